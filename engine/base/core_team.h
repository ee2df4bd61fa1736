// Cores that have nothing to do, lent to a step of few rows: its largest product is done in parts, some of them there.
//
// Whoever knows of idle cores lends them (the scheduler: a worker that waits for work) and takes them back; what is
// under way there then ends with its part. Its threads sleep but for that.
//
// Thread-safe; one Run at a time has the cores, another meanwhile does its parts alone.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"

namespace heed {

class CoreTeam {
 public:
  // `threads`, at least 0, each of which calls `start` first (null: nothing).
  explicit CoreTeam(int threads, const std::function<void()>& start = nullptr);
  // After the last Run.
  ~CoreTeam();
  CoreTeam(const CoreTeam&) = delete;
  CoreTeam& operator=(const CoreTeam&) = delete;

  int threads() const { return static_cast<int>(threads_.size()); }

  // So many more cores are idle; below 0: so many fewer.
  void Lend(int cores) { lent_.fetch_add(cores, std::memory_order_relaxed); }
  // Whether Run would find a core now, if nobody else runs.
  bool available() const { return lent_.load(std::memory_order_relaxed) > 0 && !threads_.empty(); }

  // Runs so far that others were called to.
  std::uint32_t calls() const { return calls_.load(std::memory_order_relaxed); }

  // Calls work(part, who) once for each part from 0 to parts - 1, at the same time on the caller's thread (who is 0)
  // and on as many of the team's as cores are lent (who is 1 to threads()). Returns when all are done. `work` must not
  // throw, nor call Run.
  void Run(int parts, absl::FunctionRef<void(int part, int who)> work);

 private:
  using Work = absl::FunctionRef<void(int part, int who)>;
  void Help(int who, const std::function<void()>& start);
  bool Join();
  void DoParts(const Work& work, int parts, int who);

  std::vector<std::thread> threads_;
  std::atomic<int> lent_ = 0;
  std::atomic<std::uint32_t> calls_ = 0;  // of helpers, and one for the end; they wait for it to change
  std::atomic<bool> ended_ = false;

  // Of the Run that holds mu_. Helpers read `work_` and `parts_` between Join and leaving alone.
  absl::Mutex mu_;
  const Work* work_ = nullptr;
  int parts_ = 0;
  std::atomic<int> next_ = 0;
  std::atomic<std::uint32_t> places_ = 0;  // helpers that may still come in, times kPlace, and those who are in
};

}  // namespace heed
