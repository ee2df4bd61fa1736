#include "server/scheduler/time_model.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace heed {

void TimeModel::OnDone(int model, absl::Duration inside) {
  Mean& mean = models_[model];
  mean.measured = std::min(mean.measured + 1, kEnough);
  mean.inside += (inside - mean.inside) / mean.measured;  // a plain mean at first, then a moving one
}

absl::Duration TimeModel::TimeToStart(int model, const Backlog& backlog) const {
  const Mean& mean = models_[model];
  if (mean.measured < kEnough) return absl::ZeroDuration();
  const auto rows = static_cast<double>(std::max<std::int64_t>(0, backlog.rows_ahead - backlog.free_rows));
  return mean.inside * (rows / static_cast<double>(std::max<std::int64_t>(1, backlog.all_rows)));
}

absl::Duration TimeModel::TimeToEnd(int model, const Backlog& backlog) const {
  if (models_[model].measured < kEnough) return absl::ZeroDuration();
  return TimeToStart(model, backlog) + models_[model].inside;
}

absl::Status TimeModel::Check(int model, const Backlog& backlog, absl::Duration left, bool has_budget) const {
  const absl::Duration predicted = has_budget ? TimeToStart(model, backlog) : TimeToEnd(model, backlog);
  if (backlog.segments == 0 || predicted / 2 <= left) return absl::OkStatus();
  const absl::Duration unit = absl::Milliseconds(1);
  return absl::ResourceExhaustedError(
      absl::StrCat("the deadline cannot be met: ", backlog.segments, " segments wait and the predicted time is ",
                   absl::FormatDuration(absl::Ceil(predicted, unit)), "; the deadline leaves ",
                   absl::FormatDuration(absl::Floor(std::max(left, absl::ZeroDuration()), unit))));
}

}  // namespace heed
