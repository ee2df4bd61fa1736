// Many threads, random cancellations and deadlines: every item accepted is answered exactly once, rightly. Meant to run
// under the thread sanitizer as well.
#include <gtest/gtest.h>

#include <random>
#include <thread>
#include <utility>

#include "absl/synchronization/blocking_counter.h"
#include "absl/time/clock.h"
#include "server/scheduler/scheduler.h"
#include "tests/server/scheduler/start_scheduler.h"

namespace heed {
namespace {

// A job of n source ids is finished by its n-th step; its result spells the source.
class FakeEngine : public StepEngine {
 public:
  explicit FakeEngine(int rows) : max_rows_(rows), free_rows_(rows) {}

  int free_rows() const override { return free_rows_; }
  int max_rows() const override { return max_rows_; }
  int live_jobs() const override { return static_cast<int>(jobs_.size()); }

  void Admit(JobId id, const DecodeJob* job) override {
    free_rows_ -= job->search.beam_size;
    if (free_rows_ < 0) std::abort();
    jobs_.push_back({id, job, 0});
  }
  void Release(JobId id) override {
    std::erase_if(jobs_, [&](const Live& live) {
      if (live.id != id) return false;
      free_rows_ += live.job->search.beam_size;
      return true;
    });
  }
  void Step(StepReport* report) override {
    for (Live& live : jobs_) {
      report->rows += live.job->search.beam_size;
      if (++live.steps == 1) report->first_token.push_back(live.id);
      if (live.job->progress) report->progressed.push_back(live.id);
      if (live.steps == static_cast<int>(live.job->source.size())) report->finished.push_back(live.id);
    }
  }
  DecodeResult Take(JobId id) override {
    DecodeResult result;
    for (const Live& live : jobs_) {
      if (live.id == id) result.hypotheses.push_back({.tokens = live.job->source});
    }
    Release(id);
    return result;
  }
  DecodeResult Finish(JobId id) override {
    DecodeResult result;
    const Live& live = Find(id);
    if (live.steps > 0) result.hypotheses.push_back(Part(live, 0));
    Release(id);
    return result;
  }
  DecodedHypothesis TakeProgress(JobId id) override {
    Live& live = Find(id);
    return Part(live, std::exchange(live.told, live.steps));
  }

 private:
  struct Live {
    JobId id;
    const DecodeJob* job;
    int steps;
    int told = 0;
  };

  Live& Find(JobId id) {
    return *std::find_if(jobs_.begin(), jobs_.end(), [id](const Live& live) { return live.id == id; });
  }
  static DecodedHypothesis Part(const Live& live, int begin) {
    const auto source = live.job->source.begin();
    return {.tokens = {source + begin, source + live.steps}, .finish = FinishReason::kStopped};
  }

  const int max_rows_;
  int free_rows_;
  std::vector<Live> jobs_;
};

constexpr int kClients = 4;
constexpr int kItems = 400;  // per client
constexpr int kModels = 2;

struct Sent {
  std::vector<DecodeJob> jobs;
  std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);
  bool may_be_cancelled = false;
  bool may_be_late = false;
  bool may_be_cut = false;                 // it has a time budget
  std::vector<std::vector<TokenId>> told;  // by job
  std::atomic<int> answers = 0;
  absl::Status status;
  std::vector<DecodeResult> results;
};

TEST(SchedulerStress, AnswersEveryAcceptedItemExactlyOnce) {
  auto scheduler = StartScheduler(
      {.max_queue = 200, .max_queue_bytes = 100000, .max_request_bytes = 10000, .workers = 3}, kModels,
      [](int) { return std::make_unique<FakeEngine>(16); }, nullptr, Clock::Real());
  std::vector<std::vector<std::unique_ptr<Sent>>> sent(kClients);
  absl::BlockingCounter all_answered(kClients);
  std::vector<std::thread> clients;
  for (int client = 0; client < kClients; ++client) {
    clients.emplace_back([&, client] {
      std::mt19937 random(client);
      const auto dice = [&](int sides) { return static_cast<int>(random() % sides); };
      for (int i = 0; i < kItems; ++i) {
        sent[client].push_back(std::make_unique<Sent>());
        Sent* const record = sent[client].back().get();
        for (int j = dice(6); j >= 0; --j) {
          DecodeJob job;
          job.source.assign(1 + dice(20), client * kItems + i);
          job.search.beam_size = dice(8) == 0 ? 1 + dice(16) : 1;
          job.progress = dice(2) == 0;
          record->jobs.push_back(std::move(job));
        }
        record->told.resize(record->jobs.size());
        auto item = std::make_unique<WorkItem>();
        item->model = dice(kModels);
        item->jobs = record->jobs;
        item->cancelled = record->cancelled;
        record->may_be_late = dice(10) == 0;
        if (record->may_be_late) item->deadline = absl::Now() + absl::Microseconds(dice(2000));
        record->may_be_cut = dice(10) == 0;
        if (record->may_be_cut) item->finish_by = absl::Now() + absl::Microseconds(dice(2000));
        item->priority = dice(3) == 0 ? Priority::kBatch : Priority::kInteractive;
        item->waiting_bytes = dice(1000);
        item->running_bytes = dice(4) == 0 ? 0 : dice(10000);
        item->progress = [record](int job, const DecodedHypothesis& fresh) {
          std::vector<TokenId>& told = record->told[static_cast<std::size_t>(job)];
          told.insert(told.end(), fresh.tokens.begin(), fresh.tokens.end());
        };
        item->done = [record](WorkResult result) {
          record->status = std::move(result.status);
          record->results = std::move(result.results);
          if (result.timings.size() != record->jobs.size()) std::abort();
          record->answers.fetch_add(1, std::memory_order_release);
        };
        record->may_be_cancelled = dice(4) == 0;
        while (!scheduler->Schedule(item).ok()) std::this_thread::yield();
        if (record->may_be_cancelled) {
          *record->cancelled = true;
          scheduler->Nudge();
        }
      }
      for (const auto& record : sent[client]) {
        while (record->answers.load(std::memory_order_acquire) == 0) std::this_thread::yield();
      }
      all_answered.DecrementCount();
    });
  }
  all_answered.Wait();
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(scheduler->stats().rows_in_use, 0);
  EXPECT_EQ(scheduler->stats().queued_jobs, 0);
  EXPECT_EQ(scheduler->stats().live_jobs, 0);
  EXPECT_EQ(scheduler->stats().queued_bytes, 0);
  EXPECT_EQ(scheduler->stats().leased_bytes, 0);
  scheduler->Drain(absl::Seconds(1));

  int good = 0;
  for (const auto& records : sent) {
    for (const auto& record : records) {
      ASSERT_EQ(record->answers, 1);
      if (!record->status.ok()) {
        EXPECT_TRUE(record->results.empty());
        EXPECT_TRUE((record->may_be_cancelled && absl::IsCancelled(record->status)) ||
                    (record->may_be_late && absl::IsDeadlineExceeded(record->status)))
            << record->status;
        continue;
      }
      ++good;
      ASSERT_EQ(record->results.size(), record->jobs.size());
      for (std::size_t i = 0; i < record->jobs.size(); ++i) {
        const std::vector<TokenId>& source = record->jobs[i].source;
        const DecodeResult& result = record->results[i];
        const std::vector<TokenId> none;
        const std::vector<TokenId>& tokens = result.hypotheses.empty() ? none : result.hypotheses[0].tokens;
        EXPECT_TRUE(tokens.size() == source.size() || record->may_be_cut);
        EXPECT_TRUE(std::equal(tokens.begin(), tokens.end(), source.begin()));
        if (record->jobs[i].progress && tokens.size() == source.size()) {
          EXPECT_EQ(record->told[i], source);
        }
      }
    }
  }
  EXPECT_GT(good, kClients * kItems / 2);
}

TEST(SchedulerStress, DrainAnswersEverythingWhileClientsKeepSending) {
  for (int round = 0; round < 20; ++round) {
    auto scheduler = StartScheduler(
        {.max_queue = 1000, .workers = 2}, 1, [](int) { return std::make_unique<FakeEngine>(4); }, nullptr,
        Clock::Real());
    std::atomic<int> accepted = 0;
    std::atomic<int> answered = 0;
    std::vector<std::thread> clients;
    for (int client = 0; client < 3; ++client) {
      clients.emplace_back([&] {
        for (;;) {
          auto item = std::make_unique<WorkItem>();
          item->model = 0;
          item->jobs.resize(2);
          for (DecodeJob& job : item->jobs) job.source.assign(50, 7);
          item->done = [&](const WorkResult& result) {
            if (result.status.ok() || absl::IsUnavailable(result.status)) ++answered;
          };
          const absl::Status status = scheduler->Schedule(item);
          if (status.ok()) ++accepted;
          if (absl::IsUnavailable(status)) return;
        }
      });
    }
    while (answered < 20) std::this_thread::yield();
    scheduler->Drain(round % 2 == 0 ? absl::ZeroDuration() : absl::Seconds(30));
    for (std::thread& client : clients) client.join();
    EXPECT_EQ(answered, accepted);
  }
}

// Counts itself.
class CountedEngine : public FakeEngine {
 public:
  CountedEngine(int rows, std::atomic<int>* alive) : FakeEngine(rows), alive_(alive) { ++*alive_; }
  ~CountedEngine() override { --*alive_; }

 private:
  std::atomic<int>* const alive_;
};

TEST(SchedulerStress, AHundredModelsComeAndGoUnderLoadAndNothingIsLostOrLeft) {
  constexpr int kWorkers = 3, kChanges = 100, kPlaces = 3;
  std::atomic<int> alive = 0, accepted = 0, answered = 0, good = 0;
  const auto held = std::make_shared<int>();  // by factories
  auto scheduler = Scheduler::Start({.max_queue = 200, .workers = kWorkers}, Clock::Real());
  const auto add = [&] {
    const auto id = scheduler->AddModel(
        [&alive, held]() -> absl::StatusOr<std::unique_ptr<StepEngine>> {
          return std::make_unique<CountedEngine>(16, &alive);
        },
        nullptr);
    EXPECT_TRUE(id.ok()) << id.status();
    return id.value_or(kNoModel);
  };
  std::atomic<ModelId> places[kPlaces];  // what clients choose from
  for (auto& place : places) place = add();
  std::atomic<bool> stop = false;
  std::vector<std::thread> clients;
  for (int client = 0; client < 3; ++client) {
    clients.emplace_back([&, client] {
      std::mt19937 random(client);
      while (!stop) {
        auto item = std::make_unique<WorkItem>();
        item->model = places[random() % kPlaces];
        item->jobs.resize(1 + random() % 3);
        for (DecodeJob& job : item->jobs) job.source.assign(1 + random() % 20, client);
        item->done = [&, jobs = item->jobs.size()](const WorkResult& result) {
          ++answered;
          if (result.status.ok() && result.results.size() == jobs) ++good;
        };
        // UNAVAILABLE: the model was retired between the choice and this.
        const absl::Status status = scheduler->Schedule(item);
        if (status.ok()) ++accepted;
        if (!status.ok()) std::this_thread::yield();
      }
    });
  }
  std::atomic<int> gone = 0;
  for (int change = 0; change < kChanges; ++change) {
    const ModelId old = places[change % kPlaces].exchange(add());
    ASSERT_TRUE(scheduler->RetireModel(old, [&gone] { ++gone; }).ok());
    // Its work ends sooner or later, so no more than a few are on their way out.
    while (change - gone > 2) std::this_thread::yield();
    EXPECT_LE(alive, kWorkers * (kPlaces + 4));
  }
  stop = true;
  for (std::thread& client : clients) client.join();
  while (gone < kChanges) std::this_thread::yield();
  while (answered < accepted) std::this_thread::yield();
  EXPECT_EQ(good, accepted);
  EXPECT_GT(accepted, kChanges);
  EXPECT_EQ(alive, kWorkers * kPlaces);
  EXPECT_EQ(scheduler->stats().models, kPlaces);
  EXPECT_EQ(scheduler->stats().max_rows, 16 * kWorkers * kPlaces);
  EXPECT_EQ(scheduler->stats().queued_jobs, 0);
  scheduler->Drain(absl::Seconds(1));
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace heed
