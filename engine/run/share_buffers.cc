#include "engine/run/share_buffers.h"

#include <algorithm>

#include "engine/run/op_values.h"

namespace heed {
namespace {

// By slot: the number of the last op that needs it; past the last op for what jobs keep.
std::vector<int> LastNeeds(const CompiledModel& model) {
  std::vector<int> last(model.source_slots.size(), -1);
  int number = 0;
  for (const Op& op : model.source_ops) {
    ForEachSourceRead(op, [&](Ref ref) { last[ref.value] = number; });
    ForEachMade(op, [&](int value) { last[value] = number; });
    ++number;
  }
  for (const auto* list : {&model.sequences, &model.vectors}) {
    for (const Kept& kept : *list) last[kept.value] = number;
  }
  return last;
}

// The free buffer that fits a row of `size` best: the smallest that is wide enough, else the widest; -1: none is free.
int BestFit(const BufferPlan& plan, const std::vector<int>& free, int size) {
  int best = -1;
  for (const int candidate : free) {
    const int have = best < 0 ? 0 : plan.buffers[best].size, offered = plan.buffers[candidate].size;
    const bool better = have < size ? offered > have : offered >= size && offered < have;
    if (best < 0 || better) best = candidate;
  }
  return best;
}

}  // namespace

BufferPlan ShareBuffers(const CompiledModel& model) {
  const std::vector<int> last = LastNeeds(model);
  BufferPlan plan;
  plan.of_slot.assign(model.source_slots.size(), -1);
  std::vector<int> free;
  int number = 0;
  for (const Op& op : model.source_ops) {
    ForEachMade(op, [&](int value) {
      const Slot& slot = model.source_slots[value];
      const bool sequence = slot.type == ValueType::kSequence;
      int& at = plan.of_slot[value];
      if (sequence) at = BestFit(plan, free, slot.size);
      if (at < 0) {
        at = static_cast<int>(plan.buffers.size());
        plan.buffers.push_back({slot.type, slot.size});
      } else {
        std::erase(free, at);
        plan.buffers[at].size = std::max(plan.buffers[at].size, slot.size);
      }
    });
    for (std::size_t value = 0; value < last.size(); ++value) {
      const int at = plan.of_slot[value];
      if (last[value] != number || at < 0 || plan.buffers[at].type != ValueType::kSequence) continue;
      free.push_back(at);
    }
    ++number;
  }
  return plan;
}

}  // namespace heed
