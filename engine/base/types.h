// Names for the plain numbers that travel through the engine. The engine knows ids and floats, never text.
#pragma once

#include <cstdint>

namespace heed {

using TokenId = std::int32_t;

// A token and its logit or log-probability.
struct ScoredToken {
  TokenId token = 0;
  float value = 0;
};

}  // namespace heed
