// The rule of the text pool: whose slice of text work is done next. It is arithmetic over plain values, so every
// decision can be written down as a table; text_pool.cc adds the lock, the threads and the clock.
//
// Order within a class (interactive or batch): as the tasks would end if all of them took turns. Each class has a
// virtual time V, which goes on by the work done over the number of tasks; a task that comes gets V plus the time that
// it is expected to take as its end, and the earliest end goes first, from the next slice on. So a short task goes
// before long ones that came earlier, none ends much later than if they took turns in fact, however many short ones
// come, and few are half done at a time. One that takes longer than expected is given as long again.
//
// Between the classes: a class whose slice took t moves on by t times its cost, and the one less far goes next. An
// interactive slice costs 1; a batch one batch_share, and less the longer the task has waited since its last slice,
// down to 1 after batch_ageing (server/scheduler/run_queue.h has the same rule for rows).
//
// Memory: a task may take memory from its first slice to its end. It begins only while fewer than `threads` of its
// class are under way that take less than four times what it takes; those go on in its place. So of any `threads` + 1
// tasks of a class under way one takes a quarter of another, or less, and all of them no more than 4/3 x `threads` of
// the most that one may take, however many wait.
//
// A task that is dead (cancelled, past its deadline) goes before all others, for it only has to be ended.
//
// Not thread-safe: the pool's lock guards it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "absl/time/time.h"
#include "server/scheduler/scheduler.h"

namespace heed {

struct TextQueueOptions {
  int threads = 1;  // that do slices of any length at the same time
  // A task that is expected to take less is short: TakeShort's.
  absl::Duration slice = absl::Milliseconds(5);
  int batch_share = 8;
  absl::Duration batch_ageing = absl::Seconds(10);
};

// What the rule knows of a task.
struct TextTaskInfo {
  Priority priority = Priority::kInteractive;
  absl::Duration expected;  // all its slices; above 0
  std::int64_t memory = 0;  // that it takes while it is under way, in any unit
  absl::Time deadline = absl::InfiniteFuture();
  std::shared_ptr<const std::atomic<bool>> cancelled;  // null: never
};

class TextQueue {
 public:
  using Id = std::int64_t;

  explicit TextQueue(const TextQueueOptions& options) : options_(options) {}

  Id Add(TextTaskInfo info, absl::Time now);
  // The task that is next, for one slice; nobody else gets it before Put. None where none waits.
  std::optional<Id> Take(absl::Time now) { return TakeAny(now, /*only_short=*/false); }
  // The same of short tasks alone, for a thread that long ones do not keep.
  std::optional<Id> TakeShort(absl::Time now) { return TakeAny(now, /*only_short=*/true); }
  // A slice of it took so long; `over`: it was the last.
  void Put(Id id, absl::Duration took, bool over, absl::Time now);

  // Whether TakeShort, or Take, has one.
  bool CanTake(bool only_short) const;
  // All that were added and are not over.
  int size() const { return static_cast<int>(tasks_.size()); }

 private:
  struct Task {
    Id id = 0;
    TextTaskInfo info;
    absl::Duration end;      // virtual
    absl::Duration left;     // of what it is expected to take; all of it is charged by its end
    absl::Duration allowed;  // what it may take in all
    absl::Time waits_since;
    bool begun = false;
    double cost = 1;  // of its slice under way
  };
  struct ByEnd {
    bool operator()(const Task* a, const Task* b) const { return std::pair(a->end, a->id) < std::pair(b->end, b->id); }
  };
  struct Class {
    std::set<Task*, ByEnd> waiting;
    std::set<const Task*> holding;       // under way and taking memory
    std::multiset<absl::Duration> ends;  // of all tasks, as if they took turns
    absl::Duration now;                  // V
    double passed = 0;                   // seconds of slices, each times its cost
    int tasks = 0;
  };

  Class& ClassOf(const Task& task) { return classes_[static_cast<std::size_t>(task.info.priority)]; }
  std::optional<Id> TakeAny(absl::Time now, bool only_short);
  // The class's next; null where there is none.
  Task* Head(const Class& of, bool only_short) const;
  Task* Dead(const Class& of, bool only_short, absl::Time now) const;
  bool MayBegin(const Class& of, const Task& task) const;
  static bool Keeps(const Task& other, const Task& task);  // from beginning
  bool IsShort(const Task& task) const { return task.allowed < options_.slice; }
  double Cost(const Task& task, absl::Time now) const;
  static void Advance(Class* of, absl::Duration work);

  const TextQueueOptions options_;
  std::map<Id, std::unique_ptr<Task>> tasks_;
  std::array<Class, 2> classes_;  // by Priority
  Id last_ = 0;
};

}  // namespace heed
