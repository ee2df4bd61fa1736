#include "bench/static_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace heed {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class HandClock : public Clock {
 public:
  absl::Time Now() override { return now; }
  absl::Time now = absl::FromUnixSeconds(1000);
};

// Each job takes as many steps as the first id of its source says.
class CountingEngine : public StepEngine {
 public:
  int free_rows() const override { return 100 - live_jobs(); }
  int max_rows() const override { return 100; }
  int live_jobs() const override { return static_cast<int>(left_.size()); }
  void Admit(JobId id, const DecodeJob* job) override {
    left_[id] = job->forced.empty() ? job->source[0] : static_cast<int>(job->forced.size());
  }
  void Release(JobId id) override { left_.erase(id); }
  void Step(StepReport* report) override {
    for (auto& [id, left] : left_) {
      ++report->rows;
      if (--left == 0) report->finished.push_back(id);
    }
  }
  DecodeResult Take(JobId id) override { return Finish(id); }
  DecodeResult Finish(JobId id) override {
    Release(id);
    return {.hypotheses = {{.tokens = {static_cast<TokenId>(id)}}}};
  }
  DecodedHypothesis TakeProgress(JobId id) override { return {.tokens = {static_cast<TokenId>(id)}}; }

 private:
  std::map<JobId, int> left_;
};

class StaticBatchTest : public ::testing::Test {
 protected:
  void Make(bool padded, int size, absl::Duration timeout, bool pads = false) {
    batch = std::make_unique<StaticBatch>(
        StaticBatchOptions{.padded = padded, .pads = pads, .batch_size = size, .timeout = timeout},
        std::make_unique<CountingEngine>(), &clock, [this](absl::Duration nap) {
          ++naps;
          clock.now += nap;
        });
  }

  void Admit(JobId id, int steps, int beam = 1) {
    DecodeJob& job = jobs[id];
    job.source = {steps};
    job.search.beam_size = beam;
    batch->Admit(id, &job);
  }

  // The jobs that a step reports as finished; their results are taken and must be theirs.
  std::vector<JobId> Step() {
    report.Clear();
    batch->Step(&report);
    for (const JobId id : report.finished) {
      EXPECT_THAT(batch->Take(id).hypotheses.at(0).tokens, ElementsAre(id));
    }
    return report.finished;
  }

  HandClock clock;
  std::map<JobId, DecodeJob> jobs;
  std::unique_ptr<StaticBatch> batch;
  StepReport report;
  int naps = 0;
};

TEST_F(StaticBatchTest, AFullBatchStartsAtOnceAndNobodyJoinsIt) {
  Make(true, 2, absl::Seconds(1));
  Admit(1, 3);
  EXPECT_EQ(1, batch->free_rows());
  Admit(2, 3);
  EXPECT_EQ(0, batch->free_rows());
  Step();
  EXPECT_EQ(2, report.rows);
  EXPECT_EQ(0, naps);
  EXPECT_EQ(0, batch->free_rows());
}

TEST_F(StaticBatchTest, APartialBatchStartsWhenItsTimeIsOverAndSleepsUntilThen) {
  Make(true, 4, absl::Milliseconds(2));
  Admit(1, 1);
  int before = 0;
  while (Step().empty()) {
    EXPECT_EQ(0, report.rows);
    ++before;
  }
  EXPECT_EQ(4, before);  // naps of half a millisecond
  EXPECT_EQ(4, naps);
}

TEST_F(StaticBatchTest, NoTimeOutStartsWithWhatIsThere) {
  Make(true, 4, absl::ZeroDuration());
  Admit(1, 1);
  EXPECT_THAT(Step(), ElementsAre(1));
}

// Jobs of 1, 2 and 3 steps in one batch: what each step gives out, and the free rows after it.
struct PolicyCase {
  const char* name;
  bool padded;
  std::vector<std::vector<JobId>> finished;
};

class Policies : public StaticBatchTest, public ::testing::WithParamInterface<PolicyCase> {};

TEST_P(Policies, GiveResultsOutAsTheySayAndFreeTheRowsAtTheEnd) {
  Make(GetParam().padded, 3, absl::Seconds(1));
  for (const int id : {1, 2, 3}) Admit(id, id);
  for (std::size_t step = 0; step < GetParam().finished.size(); ++step) {
    EXPECT_EQ(0, batch->free_rows()) << "before step " << step;
    EXPECT_EQ(GetParam().finished[step], Step()) << "step " << step;
  }
  EXPECT_EQ(3, batch->free_rows());
  EXPECT_EQ(0, batch->live_jobs());
}

INSTANTIATE_TEST_SUITE_P(Static, Policies,
                         ::testing::Values(PolicyCase{"padded", true, {{}, {}, {1, 2, 3}}},
                                           PolicyCase{"early", false, {{1}, {2}, {3}}}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_F(StaticBatchTest, RowsThatHaveEndedAreComputedOnUntilTheBatchEnds) {
  for (const bool padded : {true, false}) {
    Make(padded, 3, absl::Seconds(1), /*pads=*/true);
    for (int round = 0; round < 2; ++round) {
      for (const int id : {1, 2, 4}) Admit(id, id);
      for (int step = 0; step < 4; ++step) {
        Step();
        EXPECT_EQ(3, report.rows) << "padded " << padded << ", step " << step;
      }
      EXPECT_EQ(3, batch->free_rows());
      EXPECT_EQ(0, batch->live_jobs());
    }
  }
}

TEST_F(StaticBatchTest, BeamsCountAsTheirRows) {
  Make(true, 5, absl::Seconds(1));
  Admit(1, 1, 4);
  EXPECT_EQ(1, batch->free_rows());
}

TEST_F(StaticBatchTest, AJobLeavesWhereverItIs) {
  Make(true, 3, absl::Seconds(1));
  Admit(1, 1);
  batch->Release(1);
  EXPECT_EQ(3, batch->free_rows());
  for (const int id : {2, 3, 4}) Admit(id, id);
  EXPECT_THAT(Step(), IsEmpty());
  EXPECT_THAT(Step(), IsEmpty());  // 2 is done and held
  batch->Release(4);
  batch->Release(2);
  EXPECT_THAT(Step(), ElementsAre(3));
  EXPECT_EQ(3, batch->free_rows());
}

TEST_F(StaticBatchTest, ResultsThatAreHeldAreGivenOutWhenTheLastRunningJobIsReleased) {
  Make(true, 2, absl::Seconds(1));
  Admit(1, 1);
  Admit(2, 9);
  EXPECT_THAT(Step(), IsEmpty());
  batch->Release(2);
  EXPECT_THAT(Step(), ElementsAre(1));
}

TEST_F(StaticBatchTest, FinishGivesWhatThereIs) {
  Make(true, 3, absl::Seconds(1));
  Admit(1, 9);
  EXPECT_THAT(batch->Finish(1).hypotheses, IsEmpty());
  for (const int id : {2, 3, 4}) Admit(id, id - 1);
  Step();
  EXPECT_THAT(batch->Finish(2).hypotheses.at(0).tokens, ElementsAre(2));  // held
  EXPECT_THAT(batch->Finish(3).hypotheses.at(0).tokens, ElementsAre(3));  // running
}

}  // namespace
}  // namespace heed
