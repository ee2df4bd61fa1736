// How many files, connections among them, this process may have open.
//
// Called once by main, before it serves.
#pragma once

namespace heed {

// Raises the limit (RLIMIT_NOFILE, the soft one) to `wanted` if it is lower, as far as the hard one lets it. The limit
// that holds then.
int RaiseDescriptorLimit(int wanted);

}  // namespace heed
