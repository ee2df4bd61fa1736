// Sends batches on a few threads of its own, and gives their replies back in the order of the batches.
//
// Used by one thread; `send` is called on several at once.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "client/cli/text_command.h"
#include "client/cli/text_input.h"

namespace heed::cli {

// A batch and what became of it.
struct Answered {
  Batch batch;
  absl::StatusOr<TextReply> reply;
};

class Senders {
 public:
  using Send = std::function<absl::StatusOr<TextReply>(const std::vector<std::string>& texts)>;

  // At most `most` batches are under way at once; threads are started as they are needed.
  Senders(std::size_t most, Send send);
  // Waits for what is under way.
  ~Senders();
  Senders(const Senders&) = delete;
  Senders& operator=(const Senders&) = delete;

  bool idle() const { return under_way_.empty(); }
  bool full() const { return under_way_.size() >= most_; }
  // Not while full().
  void Start(Batch batch);
  // Whether the reply of the first batch is there. Where it says no, poll(2) on the descriptor says when to ask again.
  bool Done();
  int descriptor() const { return wake_; }
  // The first batch, whose reply is there.
  Answered Take();

 private:
  struct Job {
    Batch batch;
    std::optional<absl::StatusOr<TextReply>> reply;
  };

  void Work();
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return stopping_ || !queue_.empty(); }

  const std::size_t most_;
  const Send send_;
  const int wake_;  // an eventfd, written to after each reply
  std::deque<std::shared_ptr<Job>> under_way_;
  std::vector<std::thread> threads_;

  absl::Mutex mu_;  // and the replies
  std::deque<std::shared_ptr<Job>> queue_ ABSL_GUARDED_BY(mu_);
  std::size_t waiting_ ABSL_GUARDED_BY(mu_) = 0;  // threads
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace heed::cli
