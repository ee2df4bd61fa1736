// The rule by which models share a worker's time: each that has live jobs gets as much of it as the others, however
// long its steps take. So a heavy summariser cannot slow a light translator to its own pace, nor many light steps
// starve a heavy model.
//
// The model that has used the least time goes next, of several the one stepped longest ago. A model that becomes busy
// starts where the least busy one is: time that it did not want is no credit.
//
// Not thread-safe: each worker has its own.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace heed {

class ModelShare {
 public:
  // Models are known by their places, from 0 on. A new one has the last; those behind one that goes move up.
  explicit ModelShare(int models = 0) : models_(models) {}
  void Add() { models_.emplace_back(); }
  void Remove(int model) { models_.erase(models_.begin() + model); }

  // The model to step, given how many live jobs each has; -1: none has any.
  int Next(const std::vector<int>& live_jobs);
  // It took this long, of which a second counts at most: a worker that was stopped with its machine or by a debugger
  // does not make the others catch up for as long.
  void Charge(int model, absl::Duration took);

 private:
  struct Model {
    absl::Duration used;
    std::int64_t last_step = 0;
    bool busy = false;
  };
  std::vector<Model> models_;
  std::int64_t steps_ = 0;
};

}  // namespace heed
