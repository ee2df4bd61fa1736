#include "client/cli/senders.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

namespace heed::cli {

Senders::Senders(std::size_t most, Send send)
    : most_(most), send_(std::move(send)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Senders::~Senders() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
  close(wake_);
}

void Senders::Start(Batch batch) {
  auto job = std::make_shared<Job>();
  job->batch = std::move(batch);
  under_way_.push_back(job);
  bool more = false;
  {
    absl::MutexLock lock(&mu_);
    queue_.push_back(std::move(job));
    more = waiting_ < queue_.size();
  }
  if (more && threads_.size() < most_) threads_.emplace_back([this] { Work(); });
}

bool Senders::Done() {
  eventfd_t replies = 0;
  (void)eventfd_read(wake_, &replies);  // before the look, so that none is missed
  if (under_way_.empty()) return false;
  absl::MutexLock lock(&mu_);
  return under_way_.front()->reply.has_value();
}

Answered Senders::Take() {
  const std::shared_ptr<Job> job = std::move(under_way_.front());
  under_way_.pop_front();
  absl::MutexLock lock(&mu_);
  return {std::move(job->batch), *std::move(job->reply)};
}

void Senders::Work() {
  for (;;) {
    std::shared_ptr<Job> job;
    {
      absl::MutexLock lock(&mu_);
      ++waiting_;
      mu_.Await(absl::Condition(this, &Senders::HasWork));
      --waiting_;
      if (stopping_) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    absl::StatusOr<TextReply> reply = send_(job->batch.texts);
    {
      absl::MutexLock lock(&mu_);
      job->reply = std::move(reply);
    }
    (void)eventfd_write(wake_, 1);
  }
}

}  // namespace heed::cli
