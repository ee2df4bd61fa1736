// A bar on standard error while a file is worked on, if that is a terminal. It is taken away before anything else is
// printed and is gone at the end.
//
// Not thread-safe: the main thread has it.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "client/cli/console.h"

namespace heed::cli {

// How far a run is.
struct ProgressState {
  std::int64_t done = 0;   // bytes of input
  std::int64_t total = 0;  // 0: not known
  std::int64_t lines = 0;
  absl::Duration elapsed;
};

// The bar in at most `columns` columns: "[#####-----]  50%  1200 lines, 60 lines/s, 20 s left".
std::string ProgressLine(const ProgressState& state, int columns);

class Progress {
 public:
  // Shows nothing unless `shown` and standard error is a terminal.
  Progress(const Console* console, bool shown, std::int64_t total_bytes);
  ~Progress() { Clear(); }

  // Draws the bar, at most ten times a second.
  void Update(std::int64_t bytes, std::int64_t lines);
  // Takes it away, so that something else can be printed; the next Update draws it again.
  void Clear();

 private:
  const Console* const console_;
  const bool shown_;
  const absl::Time start_;
  ProgressState state_;
  absl::Time next_ = absl::InfinitePast();
  bool drawn_ = false;
};

}  // namespace heed::cli
