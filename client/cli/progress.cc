#include "client/cli/progress.h"

#include <algorithm>
#include <cmath>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace heed::cli {

std::string ProgressLine(const ProgressState& state, int columns) {
  const double seconds = absl::ToDoubleSeconds(state.elapsed);
  std::string text = absl::StrCat(state.lines, " lines");
  if (seconds > 0) absl::StrAppendFormat(&text, ", %.0f lines/s", static_cast<double>(state.lines) / seconds);
  if (state.total <= 0) return text.substr(0, std::max(0, columns - 1));
  const double part = std::clamp(static_cast<double>(state.done) / static_cast<double>(state.total), 0.0, 1.0);
  if (part > 0 && part < 1) absl::StrAppendFormat(&text, ", %.0f s left", std::ceil(seconds / part - seconds));
  const std::string behind = absl::StrFormat(" %3.0f%%  %s", std::floor(part * 100), text);
  // The last column stays free: some terminals wrap there.
  const int cells = std::min(40, columns - 3 - static_cast<int>(behind.size()));
  if (cells < 5) return behind.substr(1, std::max(0, columns - 1));
  const int full = static_cast<int>(part * cells);
  return absl::StrCat("[", std::string(full, '#'), std::string(cells - full, '-'), "]", behind);
}

Progress::Progress(const Console* console, bool shown, std::int64_t total_bytes)
    : console_(console), shown_(shown && console->err_is_terminal), start_(absl::Now()) {
  state_.total = total_bytes;
}

void Progress::Update(std::int64_t bytes, std::int64_t lines) {
  if (!shown_) return;
  const absl::Time now = absl::Now();
  if (now < next_) return;
  next_ = now + absl::Milliseconds(100);
  state_.done = bytes;
  state_.lines = lines;
  state_.elapsed = now - start_;
  *console_->err << "\r\x1b[K" << ProgressLine(state_, console_->columns) << std::flush;
  drawn_ = true;
}

void Progress::Clear() {
  if (!drawn_) return;
  *console_->err << "\r\x1b[K" << std::flush;
  drawn_ = false;
  next_ = absl::InfinitePast();
}

}  // namespace heed::cli
