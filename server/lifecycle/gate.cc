#include "server/lifecycle/gate.h"

#include "absl/strings/str_cat.h"
#include "server/errors/errors.h"

namespace heed {

absl::Status Gate::Enter() {
  absl::MutexLock lock(&mu_);
  if (shut_) {
    return ErrorWithInfo(absl::StatusCode::kUnavailable, "the server is shutting down; try another one", "DRAINING");
  }
  if (inside_ >= limit_) {
    return ErrorWithInfo(absl::StatusCode::kResourceExhausted,
                         absl::StrCat(limit_, " requests are in flight, as many as the server takes; try again later"),
                         "TOO_MANY_REQUESTS", {{"bound", absl::StrCat(limit_)}});
  }
  ++inside_;
  return absl::OkStatus();
}

void Gate::Leave() {
  absl::MutexLock lock(&mu_);
  --inside_;
}

void Gate::Shut() {
  absl::MutexLock lock(&mu_);
  shut_ = true;
}

bool Gate::WaitEmpty(absl::Duration time) {
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(this, &Gate::Empty), time);
}

int Gate::inside() const {
  absl::MutexLock lock(&mu_);
  return inside_;
}

}  // namespace heed
