#include "server/lifecycle/log_queue.h"

#include <poll.h>
#include <pthread.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <utility>

#include "absl/time/clock.h"

namespace heed {
namespace {

// Lines of so long go out together: a wake-up for each would take a core from a step thread at every request.
constexpr absl::Duration kGather = absl::Milliseconds(5);

constexpr std::int64_t kLineOverhead = 64;  // of a string in a queue

std::int64_t CostOf(const std::string& line) { return static_cast<std::int64_t>(line.size()) + kLineOverhead; }

}  // namespace

LogQueue::LogQueue(LogQueueOptions options) : options_(std::move(options)), writer_([this] { Run(); }) {}

LogQueue::~LogQueue() {
  {
    absl::MutexLock lock(&mu_);
    closed_ = true;
    more_.Signal();
  }
  writer_.join();
}

void LogQueue::Push(std::string line, bool urgent) {
  absl::MutexLock lock(&mu_);
  const std::int64_t cost = CostOf(line);
  // Once lines were dropped there must be room for many: else each one that gets in would come with a note.
  const std::int64_t bound = unsaid_ > 0 ? options_.max_bytes / 2 : options_.max_bytes;
  if (bytes_ + cost > bound) {
    ++dropped_;
    ++unsaid_;
    return;
  }
  const bool hurried = InAHurry();
  const bool was_empty = lines_.empty();
  try {
    PushNote();
    lines_.push_back(std::move(line));
  } catch (const std::bad_alloc&) {
    ++dropped_;
    ++unsaid_;
    return;
  }
  ++pushed_;
  bytes_ += cost;
  urgent_ = urgent_ || urgent;
  if (was_empty || (!hurried && InAHurry())) more_.Signal();
}

bool LogQueue::Flush(absl::Duration time) {
  const absl::Time end = absl::Now() + time;
  absl::MutexLock lock(&mu_);
  const std::uint64_t wanted = pushed_;
  ++flushing_;
  more_.Signal();
  while (done_ < wanted) {
    if (written_.WaitWithDeadline(&mu_, end)) break;
  }
  --flushing_;
  return done_ >= wanted;
}

std::int64_t LogQueue::dropped() const {
  absl::MutexLock lock(&mu_);
  return dropped_;
}

void LogQueue::PushNote() {
  if (unsaid_ == 0) return;
  lines_.push_back(options_.note(unsaid_));
  bytes_ += CostOf(lines_.back());
  ++pushed_;
  unsaid_ = 0;
}

bool LogQueue::InAHurry() const { return closed_ || urgent_ || flushing_ > 0 || bytes_ >= kPieceBytes; }

void LogQueue::Run() {
  pthread_setname_np(pthread_self(), "heed-log");
  Piece piece;
  while (Take(&piece)) {
    const bool written = Write(piece);
    absl::MutexLock lock(&mu_);
    bytes_ -= piece.cost;
    done_ += static_cast<std::uint64_t>(piece.count);
    if (!written) {
      dropped_ += piece.count;
      unsaid_ += piece.count;
    }
    written_.SignalAll();
  }
}

bool LogQueue::Take(Piece* piece) {
  absl::MutexLock lock(&mu_);
  while (lines_.empty() && !closed_) more_.Wait(&mu_);
  const absl::Time gathered = absl::Now() + kGather;
  while (!InAHurry()) {
    if (more_.WaitWithDeadline(&mu_, gathered)) break;
  }
  piece->count = 0;
  piece->cost = 0;
  std::int64_t bytes = 0;
  while (!lines_.empty() && piece->count < kPieceLines) {
    bytes += static_cast<std::int64_t>(lines_.front().size());
    if (piece->count > 0 && bytes > kPieceBytes) break;
    piece->cost += CostOf(lines_.front());
    piece->lines[static_cast<std::size_t>(piece->count++)] = std::move(lines_.front());
    lines_.pop_front();
  }
  if (lines_.empty()) {
    urgent_ = false;
    // All that came before what was dropped is on its way.
    if (piece->count > 0) {
      try {
        PushNote();
      } catch (const std::bad_alloc&) {
        return true;  // it is said with the next line
      }
    }
  }
  return piece->count > 0;
}

bool LogQueue::Write(const Piece& piece) const {
  std::array<iovec, kPieceLines> parts;
  for (int i = 0; i < piece.count; ++i) {
    const std::string& line = piece.lines[static_cast<std::size_t>(i)];
    parts[static_cast<std::size_t>(i)] = {const_cast<char*>(line.data()), line.size()};
  }
  iovec* next = parts.data();
  int left = piece.count;
  while (left > 0) {
    const ssize_t size = writev(options_.fd, next, left);
    if (size < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return false;  // nobody will ever read it, or the disk is full
      pollfd room = {options_.fd, POLLOUT, 0};
      poll(&room, 1, -1);
      continue;
    }
    std::size_t taken = static_cast<std::size_t>(size);
    while (left > 0 && taken >= next->iov_len) {
      taken -= next->iov_len;
      ++next;
      --left;
    }
    if (left > 0) {
      next->iov_base = static_cast<char*>(next->iov_base) + taken;
      next->iov_len -= taken;
    }
  }
  return true;
}

bool WriteWithin(int fd, const std::string& text, absl::Duration time) {
  pollfd room = {fd, POLLOUT, 0};
  if (poll(&room, 1, static_cast<int>(absl::ToInt64Milliseconds(time))) <= 0) return false;
  return write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

}  // namespace heed
