#include "server/scheduler/deferred_wakes.h"

#include <algorithm>

namespace heed {
namespace {

thread_local DeferredWakes* outermost = nullptr;

}  // namespace

DeferredWakes::DeferredWakes() {
  if (outermost == nullptr) outermost = this;
}

DeferredWakes::~DeferredWakes() {
  if (outermost != this) return;
  outermost = nullptr;
  for (Sleeper* sleeper : sleepers_) sleeper->WakeUp();
}

void DeferredWakes::Wake(Sleeper* sleeper) {
  if (outermost == nullptr) return sleeper->WakeUp();
  std::vector<Sleeper*>& sleepers = outermost->sleepers_;
  if (std::find(sleepers.begin(), sleepers.end(), sleeper) == sleepers.end()) sleepers.push_back(sleeper);
}

}  // namespace heed
