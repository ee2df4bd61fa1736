#include "server/scheduler/time_model.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace heed {

void TimeModel::OnDone(absl::Duration inside) {
  measured_ = std::min(measured_ + 1, kEnough);
  inside_ += (inside - inside_) / measured_;  // a plain mean at first, then a moving one
}

absl::Duration TimeModel::TimeToStart(const Backlog& backlog) const {
  if (measured_ < kEnough) return absl::ZeroDuration();
  const auto rows = static_cast<double>(std::max<std::int64_t>(0, backlog.rows_ahead - backlog.free_rows));
  return inside_ * (rows / static_cast<double>(std::max<std::int64_t>(1, backlog.all_rows)));
}

absl::Duration TimeModel::TimeToEnd(const Backlog& backlog) const {
  if (measured_ < kEnough) return absl::ZeroDuration();
  return TimeToStart(backlog) + inside_;
}

absl::Status TimeModel::Check(const Backlog& backlog, absl::Duration left, bool has_budget) const {
  const absl::Duration predicted = has_budget ? TimeToStart(backlog) : TimeToEnd(backlog);
  if (backlog.segments == 0 || predicted / 2 <= left) return absl::OkStatus();
  const absl::Duration unit = absl::Milliseconds(1);
  return absl::ResourceExhaustedError(
      absl::StrCat("the deadline cannot be met: ", backlog.segments, " segments wait and the predicted time is ",
                   absl::FormatDuration(absl::Ceil(predicted, unit)), "; the deadline leaves ",
                   absl::FormatDuration(absl::Floor(std::max(left, absl::ZeroDuration()), unit))));
}

}  // namespace heed
