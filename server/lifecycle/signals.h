// SIGTERM and SIGINT: the first asks for a drain, the second ends the process at once.
//
// Not thread-safe: main calls these, in this order.
#pragma once

namespace heed {

// Before any thread starts, so that every thread leaves these signals to WaitForShutdownSignal. SIGPIPE is ignored.
void BlockShutdownSignals();
// Sleeps until one comes; its number.
int WaitForShutdownSignal();
// From now on one of them ends the process with 128 + its number. A handler rather than the default action, which
// process 1 of a container would not get.
void ExitOnNextSignal();

}  // namespace heed
