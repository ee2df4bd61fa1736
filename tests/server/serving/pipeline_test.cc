// The pipeline by a transport that is not gRPC: requests and answers are JSON, in this process.
#include "server/serving/pipeline.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "engine/base/status_macros.h"
#include "heed/v1/translation.pb.h"
#include "server/errors/errors.h"
#include "server/lifecycle/core.h"
#include "server/serving/text_request.h"
#include "tests/server/lifecycle/fake_core.h"
#include "tests/server/scheduler/puppet_scheduler.h"

namespace heed {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The test's own thread.
class TestThread : public Executor {
 public:
  void Submit(std::function<void()> task) override {
    absl::MutexLock lock(&mu_);
    tasks_.push_back(std::move(task));
  }
  void RunOne() {
    std::function<void()> task;
    {
      absl::MutexLock lock(&mu_);
      const auto has_task = [this] {
        mu_.AssertHeld();
        return !tasks_.empty();
      };
      mu_.Await(absl::Condition(&has_task));
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }

 private:
  absl::Mutex mu_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mu_);
};

absl::StatusOr<TextRequest> ParseJson(const std::string& json) {
  v1::TranslateRequest message;
  if (!google::protobuf::util::JsonStringToMessage(json, &message).ok()) {
    return absl::InvalidArgumentError("the request is no JSON of a TranslateRequest");
  }
  return ToTextRequest(v1::TASK_TRANSLATE, &message);
}

TextSource SourceOf(const std::string& json) {
  TextSource source;
  source.bytes = static_cast<std::int64_t>(json.size());
  source.parse = [json] { return ParseJson(json); };
  return source;
}

std::string ToJson(const google::protobuf::Message& message) {
  std::string json;
  google::protobuf::util::MessageToJsonString(message, &json);
  return json;
}

// An exchange of JSON: a line for each part of the answer.
class JsonCall : public UnarySink, public StreamSink {
 public:
  explicit JsonCall(TestThread* thread) : thread_(thread) {}

  RequestContext Context() {
    RequestContext context;
    context.request_id = "r1";
    context.cancelled = cancelled;
    context.executor = thread_;
    return context;
  }
  absl::Status Wait() {
    while (!ended_) thread_->RunOne();
    return status_;
  }
  void Forget() { receipt_.reset(); }

  absl::Status Add(const v1::TextResult& result) override { return Line(ToJson(result)); }
  absl::Status Add(const v1::ModelIdentity& model) override { return Line(ToJson(model)); }
  absl::Status Add(const v1::StreamEvent& event) override { return Line(ToJson(event)); }
  void Write(std::function<void(bool ok)> written) override {
    thread_->Submit([written] { written(true); });
  }
  void End(absl::Status status, Receipt receipt) override {
    thread_->Submit([this, status = std::move(status), receipt = receipt.release()] {
      status_ = status;
      receipt_.reset(receipt);
      ++ends;
      ended_ = true;
    });
  }

  const std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);
  std::vector<std::string> lines;
  absl::Status refuses;  // what Add says
  int ends = 0;

 private:
  absl::Status Line(std::string json) {
    lines.push_back(std::move(json));
    return refuses;
  }

  TestThread* const thread_;
  bool ended_ = false;
  absl::Status status_;
  Receipt receipt_;
};

class PipelineTest : public ::testing::Test {
 protected:
  PipelineTest() { Serve(nullptr); }

  void Serve(std::unique_ptr<Scheduler> scheduler) {
    core_ = std::make_unique<Core>(options_);
    FillCore(core_.get(), std::move(scheduler));
    core_->text_pool = std::make_unique<TextPool>(1, TextQueueOptions{.slice = options_.text_slice}, core_->clock);
    pipeline_.emplace(core_.get(), [this](Stage stage) { ++passed_[static_cast<std::size_t>(stage)]; });
  }
  PuppetScheduler* ServeByHand() {
    auto puppet = std::make_unique<PuppetScheduler>();
    PuppetScheduler* const raw = puppet.get();
    Serve(std::move(puppet));
    return raw;
  }

  template <typename AsSink>
  absl::Status Ask(const std::string& json, JsonCall* call) {
    pipeline_->Submit(SourceOf(json), call->Context(), static_cast<AsSink*>(call));
    return call->Wait();
  }
  // By stage: enter, parse, select, room, admit, decode, reply, end.
  std::vector<int> Passed() const { return {passed_.begin(), passed_.end()}; }
  std::string Metrics() { return core_->metrics->Render(); }

  ServerOptions options_;
  std::unique_ptr<Core> core_;
  std::optional<Pipeline> pipeline_;
  std::array<std::atomic<int>, 8> passed_{};
  TestThread thread_;
  JsonCall call_{&thread_};
};

std::string Long() {
  std::string json = R"({"texts": [)";
  for (int i = 0; i < 100; ++i) json += R"("hello world", )";
  return json + R"("good day."]})";
}

TEST_F(PipelineTest, AnotherProtocolIsServed) {
  ASSERT_TRUE(Ask<UnarySink>(R"({"texts": ["hello world", "good"]})", &call_).ok());
  EXPECT_THAT(call_.lines, ElementsAre(HasSubstr(R"("text":"hello world")"), HasSubstr(R"("text":"good")"),
                                       HasSubstr(R"("name":"echo")")));
  EXPECT_THAT(Metrics(), HasSubstr(R"(heed_requests_total{code="OK",model="echo",rpc="Translate")"));
}

TEST_F(PipelineTest, ALongRequestPassesEachStageOnce) {
  ASSERT_TRUE(Ask<UnarySink>(Long(), &call_).ok());
  EXPECT_EQ(call_.lines.size(), 102U);
  EXPECT_THAT(Passed(), Each(1));
  EXPECT_EQ(call_.ends, 1);
}

TEST_F(PipelineTest, AStreamPassesEachStageOnce) {
  ASSERT_TRUE(Ask<StreamSink>(Long(), &call_).ok());
  EXPECT_THAT(Passed(), Each(1));
  EXPECT_EQ(call_.ends, 1);
  EXPECT_THAT(call_.lines.front(), HasSubstr(R"({"model":)"));
}

TEST_F(PipelineTest, AShortRequestNeedsNoLookAtAnEmptyQueue) {
  ASSERT_TRUE(Ask<UnarySink>(R"({"texts": ["hello"]})", &call_).ok());
  EXPECT_THAT(Passed(), ElementsAre(1, 1, 1, 0, 1, 1, 1, 1));
}

TEST_F(PipelineTest, ARefusedRequestStopsAtItsStageAndIsCountedUnderItsModel) {
  EXPECT_EQ(Ask<UnarySink>(R"({"texts": ["hello"], "search": {"beam_size": 1000}})", &call_).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Passed(), ElementsAre(1, 1, 1, 0, 1, 0, 0, 1));
  EXPECT_THAT(Metrics(), HasSubstr(R"(heed_requests_total{code="INVALID_ARGUMENT",model="echo")"));
}

TEST_F(PipelineTest, WhatDoesNotParseIsTheTransportsWord) {
  EXPECT_EQ(Ask<StreamSink>("{", &call_).message(), "the request is no JSON of a TranslateRequest");
  EXPECT_THAT(Passed(), ElementsAre(1, 1, 0, 0, 0, 0, 0, 1));
  EXPECT_THAT(Metrics(), HasSubstr(R"(heed_requests_total{code="INVALID_ARGUMENT",model="unknown")"));
}

TEST_F(PipelineTest, AnAnswerThatCannotBeToldEndsTheRequest) {
  call_.refuses = absl::InternalError("too large");
  EXPECT_EQ(Ask<UnarySink>(R"({"texts": ["hello"]})", &call_).code(), absl::StatusCode::kInternal);
  EXPECT_THAT(call_.lines, ElementsAre(HasSubstr("hello")));
  JsonCall stream(&thread_);
  stream.refuses = absl::InternalError("too large");
  EXPECT_EQ(Ask<StreamSink>(R"({"texts": ["hello"]})", &stream).code(), absl::StatusCode::kInternal);
  EXPECT_THAT(stream.lines, ElementsAre(HasSubstr("model")));
}

TEST_F(PipelineTest, ThePlaceInTheGateIsGivenBackWithTheReceipt) {
  ASSERT_TRUE(Ask<UnarySink>(R"({"texts": ["hello"]})", &call_).ok());
  EXPECT_EQ(core_->gate.inside(), 1);
  call_.Forget();
  EXPECT_EQ(core_->gate.inside(), 0);
}

TEST_F(PipelineTest, ACancelledRequestIsTheSchedulersToEnd) {
  PuppetScheduler* const puppet = ServeByHand();
  pipeline_->Submit(SourceOf(R"({"texts": ["hello"]})"), call_.Context(), static_cast<UnarySink*>(&call_));
  const std::unique_ptr<WorkItem> item = puppet->WaitForItem();
  pipeline_->Cancel(call_.cancelled.get());
  puppet->WaitForNudge();
  EXPECT_TRUE(item->cancelled->load());
  item->done({.status = absl::CancelledError("the client cancelled")});
  EXPECT_EQ(call_.Wait().code(), absl::StatusCode::kCancelled);
}

TEST_F(PipelineTest, ADeadlineIsTheCauseOfWhatItCancelled) {
  PuppetScheduler* const puppet = ServeByHand();
  RequestContext context = call_.Context();
  context.time_left = absl::ZeroDuration();
  pipeline_->Submit(SourceOf(R"({"texts": ["hello"]})"), context, static_cast<StreamSink*>(&call_));
  EXPECT_EQ(call_.Wait().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(puppet->stats().queued_jobs, 0);
}

TEST_F(PipelineTest, AFullQueueIsWorthAnotherTry) {
  ServeByHand()->SetFull();
  const absl::Status status = Ask<UnarySink>(R"({"texts": ["hello"]})", &call_);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(RetryDelay(status).has_value());
}

TEST_F(PipelineTest, QuestionsAreAnsweredWhereTheyAreAsked) {
  v1::GetModelRequest question;
  question.set_name("echo");
  const auto ask = [&] {
    JsonCall call(&thread_);
    std::string card;
    pipeline_->Submit(MakeQuery<v1::GetModelRequest, v1::GetModelResponse>(
                          Rpc::kGetModel, &GetModel, [&] { return question; },
                          [&](const v1::GetModelResponse& answer) {
                            card = answer.card();
                            return absl::OkStatus();
                          }),
                      call.Context(), static_cast<UnarySink*>(&call));
    const absl::Status status = call.Wait();
    return status.ok() ? card : std::string(status.message());
  };
  EXPECT_EQ(ask(), "# Echo\n");
  question.set_name("eco");
  EXPECT_THAT(ask(), HasSubstr("echo"));
  EXPECT_THAT(Metrics(), HasSubstr(R"(heed_requests_total{code="OK",model="echo",rpc="GetModel")"));
  EXPECT_EQ(core_->gate.inside(), 0);
}

}  // namespace
}  // namespace heed
