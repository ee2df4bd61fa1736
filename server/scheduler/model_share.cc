#include "server/scheduler/model_share.h"

#include <algorithm>
#include <utility>

namespace heed {

int ModelShare::Next(const std::vector<int>& live_jobs) {
  absl::Duration least = absl::InfiniteDuration();
  for (std::size_t i = 0; i < models_.size(); ++i) {
    if (models_[i].busy && live_jobs[i] > 0) least = std::min(least, models_[i].used);
  }
  int next = -1;
  for (std::size_t i = 0; i < models_.size(); ++i) {
    Model& model = models_[i];
    if (!std::exchange(model.busy, live_jobs[i] > 0) && model.busy && least < absl::InfiniteDuration()) {
      model.used = std::max(model.used, least);
    }
    if (!model.busy) continue;
    if (next < 0 || std::pair(model.used, model.last_step) < std::pair(models_[next].used, models_[next].last_step)) {
      next = static_cast<int>(i);
    }
  }
  return next;
}

void ModelShare::Charge(int model, absl::Duration took) {
  models_[model].used += std::clamp(took, absl::ZeroDuration(), absl::Seconds(1));
  models_[model].last_step = ++steps_;
}

}  // namespace heed
