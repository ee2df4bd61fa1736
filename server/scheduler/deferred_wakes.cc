#include "server/scheduler/deferred_wakes.h"

#include <algorithm>

namespace heed {

thread_local DeferredWakes* DeferredWakes::current_ = nullptr;

DeferredWakes::DeferredWakes() {
  if (current_ == nullptr) current_ = this;
}

DeferredWakes::~DeferredWakes() {
  if (current_ != this) return;
  current_ = nullptr;
  for (Sleeper* sleeper : sleepers_) sleeper->WakeUp();
}

void DeferredWakes::Wake(Sleeper* sleeper) {
  if (current_ == nullptr) return sleeper->WakeUp();
  std::vector<Sleeper*>& sleepers = current_->sleepers_;
  if (std::find(sleepers.begin(), sleepers.end(), sleeper) == sleepers.end()) sleepers.push_back(sleeper);
}

}  // namespace heed
