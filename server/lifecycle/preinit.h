// What must be done before any library is initialised, for their constructors run before main: one opens a descriptor,
// one pins threads. Done from .preinit_array, in programs that call RemovedPinning.
//
// Descriptors 0 to 2 that are closed are opened on /dev/null: what got such a number would be written to as standard
// error.
//
// The environment's orders to pin threads are taken away. Compute nodes set OMP_PROC_BIND and the like for programs
// whose threads are OpenMP's; oneDNN brings an OpenMP runtime, whose constructor then pins main's thread to one core.
// Every thread that it starts inherits that, and GrantedCores counts one core. heed's threads go where the mask lets
// them that the process was started with; to pin it, start it with a narrower one: taskset, cpusets.
#pragma once

#include <string>

namespace heed {

// The names of the variables that were set, in one string, with blanks between them. Thread-safe.
std::string RemovedPinning();

}  // namespace heed
