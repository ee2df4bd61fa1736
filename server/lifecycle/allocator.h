// How this process uses glibc's allocator.
//
// SetUpAllocator is called once by main, before any thread starts; TrimAllocator is anyone's.
#pragma once

namespace heed {

// Makes memory that was given back go back to the system, so that resident memory follows the byte budgets: by itself
// glibc raises the size from which a buffer is mapped on its own (to 32 MiB, after the first large reply), which leaves
// such buffers as holes in its arenas, and makes up to eight arenas per core, each with holes of its own.
void SetUpAllocator();

// Gives the system the pages that lie free between buffers in use, as floods of small calls leave them. Some 0.1 to 1
// ms, in which other threads may wait for an arena; to be called every few seconds.
void TrimAllocator();

}  // namespace heed
