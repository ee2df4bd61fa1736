// Lines on their way to a file descriptor that may take none for a while: a pipe that nobody reads. Whoever logs leaves
// a line here and goes on; one thread writes. The lines that wait are bounded; past the bound they are dropped,
// counted, and said as soon as there is room.
//
// Thread-safe. No function waits for the descriptor but Flush, and that no longer than it is told.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace heed {

struct LogQueueOptions {
  int fd = 2;
  std::int64_t max_bytes = 1 << 20;  // of lines that wait, what keeping them takes included
  // The line that says how many were dropped, newline included. Called under the queue's lock: it must not log.
  std::function<std::string(std::int64_t dropped)> note;
};

class LogQueue {
 public:
  explicit LogQueue(LogQueueOptions options);
  // Writes what waits, however long the descriptor takes over it. A process that may not wait keeps its queue for good.
  ~LogQueue();
  LogQueue(const LogQueue&) = delete;
  LogQueue& operator=(const LogQueue&) = delete;

  // A line with its newline. Lines come out in the order of these calls. Others are gathered for some milliseconds, an
  // urgent one is written at once with all before it.
  void Push(std::string line, bool urgent);

  // Waits until everything pushed so far has been written, at most `time`; whether it has.
  bool Flush(absl::Duration time);

  // Lines that were never written, so far.
  std::int64_t dropped() const;

 private:
  // A pipe takes so much in one piece (PIPE_BUF), so lines of several processes on one pipe stay whole.
  static constexpr std::int64_t kPieceBytes = 4096;
  static constexpr int kPieceLines = 32;
  struct Piece {
    std::array<std::string, kPieceLines> lines;
    int count = 0;
    std::int64_t cost = 0;
  };

  void Run();
  // The next lines; false: closed, and there are none.
  bool Take(Piece* piece);
  bool Write(const Piece& piece) const;

  void PushNote() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool InAHurry() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const LogQueueOptions options_;
  mutable absl::Mutex mu_;
  absl::CondVar more_;     // the writer waits here
  absl::CondVar written_;  // Flush waits here
  std::deque<std::string> lines_ ABSL_GUARDED_BY(mu_);
  std::int64_t bytes_ ABSL_GUARDED_BY(mu_) = 0;  // of `lines_` and of the piece that is being written
  std::int64_t dropped_ ABSL_GUARDED_BY(mu_) = 0;
  std::int64_t unsaid_ ABSL_GUARDED_BY(mu_) = 0;   // of them, those after the last note
  std::uint64_t pushed_ ABSL_GUARDED_BY(mu_) = 0;  // lines and notes that were let in
  std::uint64_t done_ ABSL_GUARDED_BY(mu_) = 0;    // of them, those that have been written or lost
  int flushing_ ABSL_GUARDED_BY(mu_) = 0;
  bool urgent_ ABSL_GUARDED_BY(mu_) = false;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  std::thread writer_;
};

// Writes a short text (at most 4096 bytes) to a descriptor that has room for it within `time`; whether it had.
bool WriteWithin(int fd, const std::string& text, absl::Duration time);

}  // namespace heed
