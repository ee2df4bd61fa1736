// The scheduler with real engines on several threads: whatever else runs, is cancelled, late or cut short, a job that
// is decoded to its end says the same to the bit as it does alone. Meant for the thread sanitizer as well.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "server/scheduler/scheduler.h"
#include "tests/server/scheduler/start_scheduler.h"
#include "tests/support/make_plan.h"
#include "tests/support/test_models.h"

namespace heed {
namespace {

constexpr TokenId kEos = 2;
constexpr int kClients = 3, kItems = 40;

constexpr EngineOptions kOptions = {.max_rows = 9, .encode_time_per_step = absl::Microseconds(10)};

DecodeJob RandomJob(std::mt19937& random) {
  DecodeJob job;
  job.source.resize(1 + random() % 20);
  for (TokenId& id : job.source) id = static_cast<TokenId>(3 + random() % 16);
  job.source.back() = kEos;
  job.search.beam_size = random() % 2 == 0 ? 1 : static_cast<int>(1 + random() % 5);
  job.search.n_best = static_cast<int>(1 + random() % static_cast<unsigned>(job.search.beam_size));
  job.search.max_length = static_cast<int>(1 + random() % 20);
  job.capture.weights = random() % 2 == 0;
  job.capture.attends = {0};
  job.progress = random() % 2 == 0;
  return job;
}

DecodeResult Alone(const Plan& plan, const DecodeJob& job) {
  const auto engine = plan.MakeEngine().value();
  engine->Admit(1, &job);
  StepReport report;
  while (report.finished.empty()) engine->Step(&report);
  return engine->Take(1);
}

void ExpectSame(const DecodeResult& got, const DecodeResult& expected) {
  ASSERT_EQ(got.hypotheses.size(), expected.hypotheses.size());
  for (std::size_t i = 0; i < got.hypotheses.size(); ++i) {
    EXPECT_EQ(got.hypotheses[i].tokens, expected.hypotheses[i].tokens);
    EXPECT_EQ(got.hypotheses[i].log_probabilities, expected.hypotheses[i].log_probabilities);
    EXPECT_EQ(got.hypotheses[i].score, expected.hypotheses[i].score);
    ASSERT_EQ(got.hypotheses[i].attentions.size(), expected.hypotheses[i].attentions.size());
    for (std::size_t m = 0; m < got.hypotheses[i].attentions.size(); ++m) {
      EXPECT_EQ(got.hypotheses[i].attentions[m].values, expected.hypotheses[i].attentions[m].values);
    }
  }
}

struct Sent {
  int model = 0;
  std::vector<DecodeJob> jobs;
  std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);
  bool may_be_cut = false;
  std::vector<std::vector<TokenId>> told;
  WorkResult result;
};

TEST(RealEngines, SayTheSameToTheBitWhateverElseRunsAndIsCancelled) {
  const std::vector<std::shared_ptr<const Plan>> plans = {MakePlan(LuongLstm(), kOptions),
                                                          MakePlan(BahdanauGru(), kOptions)};
  std::vector<std::vector<std::unique_ptr<Sent>>> sent(kClients);  // outlives the scheduler, whose memory it may hold
  auto scheduler = StartScheduler(
      {.max_queue = 10000, .workers = 2}, 2,
      [&](int model) { return plans[static_cast<std::size_t>(model)]->MakeEngine().value(); }, nullptr, Clock::Real());
  absl::BlockingCounter answered(kClients * kItems);
  std::vector<std::thread> clients;
  for (int client = 0; client < kClients; ++client) {
    clients.emplace_back([&, client] {
      std::mt19937 random(static_cast<unsigned>(client));
      for (int i = 0; i < kItems; ++i) {
        Sent* const record = sent[static_cast<std::size_t>(client)].emplace_back(std::make_unique<Sent>()).get();
        record->model = static_cast<int>(random() % 2);
        for (int j = static_cast<int>(random() % 3); j >= 0; --j) record->jobs.push_back(RandomJob(random));
        record->told.resize(record->jobs.size());
        auto item = std::make_unique<WorkItem>();
        item->model = record->model;
        item->jobs = record->jobs;
        item->priority = random() % 3 == 0 ? Priority::kBatch : Priority::kInteractive;
        item->cancelled = record->cancelled;
        record->may_be_cut = random() % 8 == 0;
        if (record->may_be_cut) item->finish_by = absl::Now() + absl::Microseconds(random() % 5000);
        item->progress = [record](int job, const DecodedHypothesis& fresh) {
          std::vector<TokenId>& told = record->told[static_cast<std::size_t>(job)];
          told.insert(told.end(), fresh.tokens.begin(), fresh.tokens.end());
        };
        item->done = [record, &answered](WorkResult result) {
          record->result = std::move(result);
          answered.DecrementCount();
        };
        ASSERT_TRUE(scheduler->Schedule(item).ok());
        if (random() % 4 == 0) {
          *record->cancelled = true;
          scheduler->Nudge();
        }
      }
    });
  }
  // Another model comes and goes meanwhile, with work of its own.
  std::atomic<bool> stop = false;
  std::thread changes([&] {
    std::mt19937 random(99);
    do {
      const ModelId model = scheduler->AddModel([&] { return plans[0]->MakeEngine(); }, nullptr).value();
      const DecodeJob job = RandomJob(random);
      DecodeResult result;
      auto item = std::make_unique<WorkItem>();
      item->model = model;
      item->jobs = {job};
      item->done = [&result](WorkResult done) { result = std::move(done.results.at(0)); };
      ASSERT_TRUE(scheduler->Schedule(item).ok());
      absl::Notification gone;
      ASSERT_TRUE(scheduler->RetireModel(model, [&gone] { gone.Notify(); }).ok());
      gone.WaitForNotification();
      ExpectSame(result, Alone(*plans[0], job));
    } while (!stop);
  });
  for (std::thread& client : clients) client.join();
  stop = true;
  changes.join();
  answered.Wait();
  EXPECT_EQ(scheduler->stats().rows_in_use, 0);
  scheduler->Drain(absl::Seconds(1));

  int whole = 0;
  for (const auto& records : sent) {
    for (const auto& record : records) {
      if (!record->result.status.ok()) continue;
      ASSERT_EQ(record->result.results.size(), record->jobs.size());
      for (std::size_t j = 0; j < record->jobs.size(); ++j) {
        const DecodeResult expected = Alone(*plans[static_cast<std::size_t>(record->model)], record->jobs[j]);
        const DecodeResult& got = record->result.results[j];
        const std::vector<TokenId>& told = record->told[j];
        const bool stopped = std::any_of(got.hypotheses.begin(), got.hypotheses.end(),
                                         [](const DecodedHypothesis& h) { return h.finish == FinishReason::kStopped; });
        const bool cut = record->may_be_cut && (stopped || got.hypotheses.size() < expected.hypotheses.size());
        if (cut) {
          if (!got.hypotheses.empty()) {
            ASSERT_LE(told.size(), got.hypotheses[0].tokens.size());
            EXPECT_TRUE(std::equal(told.begin(), told.end(), got.hypotheses[0].tokens.begin()));
          }
          continue;
        }
        ++whole;
        ExpectSame(got, expected);
        if (record->jobs[j].progress) {
          EXPECT_EQ(told, expected.hypotheses.at(0).tokens);
        }
      }
    }
  }
  EXPECT_GT(whole, kClients * kItems / 2);
}

}  // namespace
}  // namespace heed
