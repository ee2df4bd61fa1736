// Where exceptions end that mean "no memory": what is made of a file, or of flags, fails with a status.
//
// Plain function, thread-safe.
#pragma once

#include <new>
#include <stdexcept>

#include "absl/status/status.h"

namespace heed {

// f(), or RESOURCE_EXHAUSTED where an allocation in it failed or a length was impossible. F returns absl::Status or an
// absl::StatusOr.
template <typename F>
auto CatchNoMemory(F f) -> decltype(f()) {
  try {
    return f();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("the system has no memory for it");
  } catch (const std::length_error&) {
    return absl::ResourceExhaustedError("something in it is larger than memory can be");
  }
}

}  // namespace heed
