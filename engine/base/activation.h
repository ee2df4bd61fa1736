// Element-wise functions that programs name.
#pragma once

namespace heed {

enum class Activation {
  kIdentity,
  kTanh,
  kSigmoid,
  kRelu,
  kHardSigmoid,  // clip(0.2 x + 0.5, 0, 1), Keras before 2.3
};

}  // namespace heed
