#include "server/scheduler/time_model.h"

#include <gtest/gtest.h>

namespace heed {
namespace {

TimeModel Measured(absl::Duration inside, int segments = TimeModel::kEnough) {
  TimeModel times;
  for (int i = 0; i < segments; ++i) times.OnDone(inside);
  return times;
}

TEST(TimeModel, PredictsNothingBeforeItHasMeasuredEnough) {
  const TimeModel times = Measured(absl::Seconds(1), TimeModel::kEnough - 1);
  EXPECT_EQ(times.TimeToEnd({.segments = 9, .rows_ahead = 64, .all_rows = 8}), absl::ZeroDuration());
  EXPECT_TRUE(times.Check({.segments = 9, .rows_ahead = 64, .all_rows = 8}, absl::Milliseconds(1), false).ok());
}

TEST(TimeModel, WaitingRowsPassAtTheRateAtWhichRowsFallFree) {
  const TimeModel times = Measured(absl::Seconds(1));
  EXPECT_EQ(times.TimeToStart({.segments = 1, .rows_ahead = 64, .free_rows = 0, .all_rows = 16}), absl::Seconds(4));
  EXPECT_EQ(times.TimeToEnd({.segments = 1, .rows_ahead = 64, .free_rows = 0, .all_rows = 16}), absl::Seconds(5));
  EXPECT_EQ(times.TimeToStart({.segments = 1, .rows_ahead = 4, .free_rows = 8, .all_rows = 16}), absl::ZeroDuration());
}

TEST(TimeModel, FollowsWhatItMeasures) {
  TimeModel times = Measured(absl::Seconds(1));
  for (int i = 0; i < 200; ++i) times.OnDone(absl::Milliseconds(100));
  const absl::Duration end = times.TimeToEnd({.segments = 1, .rows_ahead = 0, .free_rows = 8, .all_rows = 8});
  EXPECT_GT(end, absl::Milliseconds(99));
  EXPECT_LT(end, absl::Milliseconds(110));
}

struct Row {
  const char* name;
  Backlog backlog;
  absl::Duration left;
  bool has_budget;
  const char* expected;  // the status
};

TEST(TimeModel, RefusesTheHopelessAlone) {
  const TimeModel times = Measured(absl::Milliseconds(500));
  const Backlog busy = {.segments = 70, .rows_ahead = 80, .free_rows = 0, .all_rows = 16};  // 2.5 s to start, 3 to end
  const Backlog idle = {.segments = 0, .rows_ahead = 1, .free_rows = 0, .all_rows = 16};
  const Row rows[] = {
      {"half of the prediction fits", busy, absl::Milliseconds(1500), false, "OK"},
      {"it does not", busy, absl::Milliseconds(1499), false,
       "RESOURCE_EXHAUSTED: the deadline cannot be met: 70 segments wait and the predicted time is 3s; the deadline "
       "leaves 1.499s"},
      {"a time budget takes what there is", busy, absl::Milliseconds(1300), true, "OK"},
      {"but has to start", busy, absl::Milliseconds(1200), true,
       "RESOURCE_EXHAUSTED: the deadline cannot be met: 70 segments wait and the predicted time is 2.5s; the deadline "
       "leaves 1.2s"},
      {"nothing waits: nothing is refused", idle, absl::Milliseconds(1), false, "OK"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(times.Check(row.backlog, row.left, row.has_budget).ToString(), row.expected) << row.name;
  }
}

}  // namespace
}  // namespace heed
