#include "server/lifecycle/descriptors.h"

#include <sys/resource.h>

#include <algorithm>
#include <limits>

namespace heed {

int RaiseDescriptorLimit(int wanted) {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  if (limit.rlim_cur < static_cast<rlim_t>(wanted)) {
    rlimit higher = limit;
    higher.rlim_cur = std::min(static_cast<rlim_t>(wanted), limit.rlim_max);
    if (setrlimit(RLIMIT_NOFILE, &higher) == 0) limit = higher;
  }
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, std::numeric_limits<int>::max()));
}

}  // namespace heed
