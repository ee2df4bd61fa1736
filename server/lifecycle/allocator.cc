#include "server/lifecycle/allocator.h"

#include <malloc.h>

namespace heed {
namespace {

constexpr int kMapFrom = 1 << 20;    // bytes: what replies and captured attention take; a job's small buffers are not
constexpr int kKeptAtTop = 8 << 20;  // bytes that an arena may keep unused at its end
constexpr int kArenas = 4;           // step threads allocate little, text threads are few

}  // namespace

void SetUpAllocator() {
  mallopt(M_MMAP_THRESHOLD, kMapFrom);
  mallopt(M_TRIM_THRESHOLD, kKeptAtTop);
  mallopt(M_ARENA_MAX, kArenas);
}

void TrimAllocator() { malloc_trim(0); }

}  // namespace heed
