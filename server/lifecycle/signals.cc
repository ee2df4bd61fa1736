#include "server/lifecycle/signals.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>

namespace heed {
namespace {

constexpr timespec kMeanwhile = {.tv_sec = 4, .tv_nsec = 0};

sigset_t SetOf(std::initializer_list<int> numbers) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : numbers) sigaddset(&signals, number);
  return signals;
}

void ExitNow(int signal) { _exit(128 + signal); }

}  // namespace

void BlockSignals() {
  const sigset_t signals = SetOf({SIGTERM, SIGINT, SIGHUP});
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  for (const int ignored : {SIGPIPE, SIGUSR1, SIGUSR2}) signal(ignored, SIG_IGN);
}

int WaitForShutdownSignal(const std::function<void()>& on_hangup, const std::function<void()>& meanwhile) {
  const sigset_t signals = SetOf({SIGTERM, SIGINT, SIGHUP});
  for (;;) {
    const int number = sigtimedwait(&signals, nullptr, &kMeanwhile);
    if (number == SIGHUP) {
      on_hangup();
    } else if (number > 0) {
      return number;
    } else if (errno == EAGAIN) {
      meanwhile();
    }
  }
}

void ExitOnNextSignal() {
  struct sigaction action = {};
  action.sa_handler = ExitNow;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  // SIGHUP stays blocked.
  const sigset_t signals = SetOf({SIGTERM, SIGINT});
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

}  // namespace heed
