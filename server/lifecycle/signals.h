// SIGTERM and SIGINT: the first asks for a drain, the second ends the process at once. SIGHUP asks that what can be
// reloaded is, and never ends it. SIGPIPE, SIGUSR1 and SIGUSR2 are ignored. SIGQUIT is left as it is: the process ends
// where it stands, with a core dump where those are on.
//
// Not thread-safe: main calls these, in this order.
#pragma once

#include <functional>

namespace heed {

// Before any thread starts, so that every thread leaves these signals to WaitForShutdownSignal.
void BlockSignals();
// Sleeps until SIGTERM or SIGINT comes; its number. Until then calls `on_hangup` for each SIGHUP, and `meanwhile` every
// few seconds.
int WaitForShutdownSignal(const std::function<void()>& on_hangup, const std::function<void()>& meanwhile);
// From now on one of the two ends the process with 128 + its number. A handler rather than the default action, which
// process 1 of a container would not get. SIGHUP does nothing any more.
void ExitOnNextSignal();

}  // namespace heed
