// Where the time of steps goes, by part: for measuring. Whoever is given none measures nothing.
//
// Not thread-safe: one step thread owns it.
#pragma once

#include <array>
#include <chrono>
#include <string_view>

namespace heed {

enum class StepPart {
  kEncode,         // sources, first states, attention keys
  kCells,          // of the step program
  kLinear,         // likewise
  kAttention,      // likewise, queries included
  kOtherOps,       // likewise
  kOutputProduct,  // logits
  kOutputScan,     // log-sum-exp and the best
  kSearch,         // candidates, what goes on, results
  kRounding,       // of what products read and give, part of all of the above
};
inline constexpr int kParts = static_cast<int>(StepPart::kRounding) + 1;

constexpr std::string_view PartName(StepPart part) {
  constexpr std::string_view kNames[] = {"encode",         "cells",       "linear", "attention", "other_ops",
                                         "output_product", "output_scan", "search", "rounding"};
  return kNames[static_cast<int>(part)];
}

class PartTimes {
 public:
  using Clock = std::chrono::steady_clock;

  void Add(StepPart part, Clock::duration time) { times_[static_cast<int>(part)] += time; }
  double seconds(StepPart part) const { return std::chrono::duration<double>(times_[static_cast<int>(part)]).count(); }
  void Clear() { times_ = {}; }

 private:
  std::array<Clock::duration, kParts> times_{};
};

// Adds the time of its life to a part; `times` may be null.
class PartTimer {
 public:
  PartTimer(PartTimes* times, StepPart part) : times_(times), part_(part) {
    if (times_ != nullptr) begin_ = PartTimes::Clock::now();
  }
  ~PartTimer() {
    if (times_ != nullptr) times_->Add(part_, PartTimes::Clock::now() - begin_);
  }
  PartTimer(const PartTimer&) = delete;
  PartTimer& operator=(const PartTimer&) = delete;

 private:
  PartTimes* const times_;
  const StepPart part_;
  PartTimes::Clock::time_point begin_;
};

}  // namespace heed
