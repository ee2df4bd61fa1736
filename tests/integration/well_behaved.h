// A client that behaves while the test's other clients do not. It asks for the same translations over and over, on a
// connection and a thread of its own, and compares each reply with what the server said before the trouble began.
//
//   WellBehavedClient neighbour(server);
//   ... trouble ...
//   neighbour.ExpectReplies(3);  // served, and rightly, while it lasts
//
// Thread-safe.
#pragma once

#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tests/integration/running_server.h"

namespace heed {

class WellBehavedClient {
 public:
  // Asks once, for the right answer. The server, which has one translation model, outlives this.
  explicit WellBehavedClient(RunningServer& server);
  // Stops asking.
  ~WellBehavedClient();
  WellBehavedClient(const WellBehavedClient&) = delete;
  WellBehavedClient& operator=(const WellBehavedClient&) = delete;

  // Waits for so many replies to requests sent from now on. Fails the test over one that is wrong, or that does not
  // come in kLongest.
  void ExpectReplies(int count);

 private:
  void Ask();
  // The reply, or the error, as one string.
  std::string Once();
  bool Over() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !wrong_.empty() || replies_ >= wanted_; }

  Caller caller_;
  std::string right_;
  absl::Mutex mu_;
  int replies_ ABSL_GUARDED_BY(mu_) = 0;
  int wanted_ ABSL_GUARDED_BY(mu_) = 0;
  std::string wrong_ ABSL_GUARDED_BY(mu_);  // the first such reply
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

// Fails the test unless everything comes back to zero use and the server still answers: what every fault must leave
// behind.
void ExpectRecovered(RunningServer& server);

}  // namespace heed
