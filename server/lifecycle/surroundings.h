// What a start needs of the system, asked for before anything is built on it: a library that gets no thread or no
// memory half-way ends the process by a signal and says nothing that helps.
//
// For main's thread, before it starts any other; CheckSystemGives may come again later.
#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace heed {

struct SystemNeeds {
  int threads = 0;                 // at once, beside those that run
  int files = 0;                   // open at once
  std::int64_t address_bytes = 0;  // of address space, beside the threads' stacks
};

// RESOURCE_EXHAUSTED, one line: what the system gives less of, how much it gives, the need and where the bound is set.
// Starts that many threads and ends them again: there are several bounds, and not all can be read.
absl::Status CheckSystemGives(const SystemNeeds& needs);

// From now on, where memory or a thread is lacking after all and nobody handles it, the process ends with one line and
// exit code 1 rather than with an abort. Other exceptions that nobody handles abort as before.
void ExplainTermination();

}  // namespace heed
