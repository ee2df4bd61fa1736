// How this process uses glibc's allocator.
//
// Called once by main, before any thread starts.
#pragma once

namespace heed {

// Makes memory that was given back go back to the system, so that resident memory follows the byte budgets: by itself
// glibc raises the size from which a buffer is mapped on its own (to 32 MiB, after the first large reply), which leaves
// such buffers as holes in its arenas, and makes up to eight arenas per core, each with holes of its own.
void SetUpAllocator();

}  // namespace heed
