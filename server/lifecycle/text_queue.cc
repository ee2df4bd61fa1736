#include "server/lifecycle/text_queue.h"

#include <algorithm>

namespace heed {

TextQueue::Id TextQueue::Add(TextTaskInfo info, absl::Time now) {
  auto task = std::make_unique<Task>();
  task->id = ++last_;
  task->left = task->allowed = info.expected;
  task->waits_since = now;
  task->info = std::move(info);
  Class& of = ClassOf(*task);
  if (of.tasks == 0) {  // a class with nothing to do gains nothing by it
    for (const Class& other : classes_) of.passed = std::max(of.passed, other.passed);
    of.ends.clear();
    of.now = absl::ZeroDuration();
  }
  ++of.tasks;
  task->end = of.now + task->left;
  of.ends.insert(task->end);
  of.waiting.insert(task.get());
  const Id id = task->id;
  tasks_.emplace(id, std::move(task));
  return id;
}

std::optional<TextQueue::Id> TextQueue::TakeAny(absl::Time now, bool only_short) {
  auto& [interactive, batch] = classes_;
  const bool batch_first = batch.passed < interactive.passed;
  Class* const order[] = {batch_first ? &batch : &interactive, batch_first ? &interactive : &batch};
  Task* next = nullptr;
  for (Class* of : order) {
    if (next == nullptr) next = Dead(*of, only_short, now);
  }
  for (Class* of : order) {
    if (next == nullptr) next = Head(*of, only_short);
  }
  if (next == nullptr) return std::nullopt;
  Class& of = ClassOf(*next);
  // One whose turn it was but had nothing to do gains nothing by it.
  if (order[0]->waiting.empty()) order[0]->passed = std::max(order[0]->passed, of.passed);
  of.waiting.erase(next);
  next->begun = true;
  if (next->info.memory > 0) of.holding.insert(next);
  next->cost = Cost(*next, now);
  return next->id;
}

TextQueue::Task* TextQueue::Dead(const Class& of, bool only_short, absl::Time now) const {
  for (Task* task : of.waiting) {
    if (only_short && !IsShort(*task)) continue;
    const auto& cancelled = task->info.cancelled;
    if (now >= task->info.deadline || (cancelled != nullptr && cancelled->load(std::memory_order_relaxed))) return task;
  }
  return nullptr;
}

TextQueue::Task* TextQueue::Head(const Class& of, bool only_short) const {
  const Task* kept = nullptr;
  Task* other = nullptr;
  for (Task* task : of.waiting) {
    if (only_short && !IsShort(*task)) continue;
    if (kept != nullptr && task->begun && Keeps(*task, *kept)) return task;  // it goes on in its place
    if (!MayBegin(of, *task)) {
      if (kept == nullptr) kept = task;
      continue;
    }
    if (kept == nullptr) return task;
    if (other == nullptr) other = task;
  }
  return other;
}

bool TextQueue::Keeps(const Task& other, const Task& task) {
  return other.info.memory > 0 && other.info.memory < 4 * task.info.memory;
}

bool TextQueue::MayBegin(const Class& of, const Task& task) const {
  if (task.begun || task.info.memory == 0) return true;
  return std::count_if(of.holding.begin(), of.holding.end(), [&](const Task* other) { return Keeps(*other, task); }) <
         options_.threads;
}

double TextQueue::Cost(const Task& task, absl::Time now) const {
  if (task.info.priority == Priority::kInteractive) return 1;
  const double age = options_.batch_ageing > absl::ZeroDuration()
                         ? absl::FDivDuration(now - task.waits_since, options_.batch_ageing)
                         : 1;
  return options_.batch_share - (options_.batch_share - 1) * std::clamp(age, 0.0, 1.0);
}

void TextQueue::Advance(Class* of, absl::Duration work) {
  while (!of->ends.empty()) {
    const auto tasks = static_cast<std::int64_t>(of->ends.size());
    const absl::Duration first = *of->ends.begin();
    const absl::Duration until = (first - of->now) * tasks;
    if (work < until) {
      of->now += work / tasks;
      return;
    }
    work -= until;
    of->now = first;
    of->ends.erase(of->ends.begin());
  }
}

void TextQueue::Put(Id id, absl::Duration took, bool over, absl::Time now) {
  Task* const task = tasks_.at(id).get();
  Class& of = ClassOf(*task);
  of.passed += absl::ToDoubleSeconds(took) * task->cost;
  const absl::Duration charged = over ? task->left : std::min(took, task->left);
  task->left -= charged;
  if (over) {
    of.holding.erase(task);
    --of.tasks;
    Advance(&of, charged);
    tasks_.erase(id);
    return;
  }
  if (task->left == absl::ZeroDuration()) {  // it takes longer than expected
    task->left = task->allowed;
    task->end = std::max(task->end, of.now) + task->left;
    task->allowed += task->left;
    of.ends.insert(task->end);
  }
  Advance(&of, charged);
  task->waits_since = now;
  of.waiting.insert(task);
}

bool TextQueue::CanTake(bool only_short) const {
  return std::any_of(classes_.begin(), classes_.end(),
                     [&](const Class& of) { return Head(of, only_short) != nullptr; });
}

}  // namespace heed
