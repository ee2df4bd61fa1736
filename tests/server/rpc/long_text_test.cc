// Long requests and long replies, whose text work is the text pool's: the test does its slices by hand, a part each.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/rpc/running_rpc_server.h"
#include "tests/support/ticking_clock.h"

namespace heed {
namespace {

using ::testing::HasSubstr;

class LongText : public ServerTest {
 protected:
  LongText() {
    text_threads_ = 0;
    options_.text_slice = absl::Nanoseconds(1);
  }

  TextPool& pool() { return *core_->text_pool; }
  void WaitForTasks(int tasks) {
    while (pool().size() != tasks) std::this_thread::yield();
  }
  // Does slices until `done`, which another thread brings about; how many.
  int RunUntil(const std::atomic<bool>& done) {
    int slices = 0;
    while (!done) {
      if (pool().RunSlice()) {
        ++slices;
      } else {
        std::this_thread::yield();
      }
    }
    return slices;
  }
  // A request of so many sentences of 13 bytes, ten a text.
  static v1::TranslateRequest Sentences(int count) {
    std::string text;
    for (int i = 0; i < 10; ++i) text += "Hello world. ";
    return Request(std::vector<std::string>(static_cast<std::size_t>(count / 10), text));
  }
};

TEST_F(LongText, ARequestThatIsCancelledBetweenTwoPartsEndsThere) {
  PuppetScheduler* const puppet = StartServerWithPuppet();
  grpc::ClientContext context;
  std::thread client([&] {
    v1::TranslateResponse response;
    EXPECT_EQ(Translate(Sentences(1000), &response, &context).error_code(), grpc::StatusCode::CANCELLED);
  });
  WaitForTasks(1);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(pool().RunSlice());
  EXPECT_EQ(pool().size(), 1);
  context.TryCancel();
  puppet->WaitForNudge();
  int slices = 0;
  while (pool().RunSlice()) ++slices;
  EXPECT_LE(slices, 101) << "its 100 texts are freed, but no more of them are cut";
  client.join();
  EXPECT_TRUE(core_->gate.WaitEmpty(absl::Seconds(30)));
  EXPECT_THAT(Metrics(), HasSubstr("{code=\"CANCELLED\",model=\"echo\",rpc=\"Translate\",version=\"1\"} 1"));
}

TEST_F(LongText, ARequestPastItsDeadlineEndsBetweenTwoParts) {
  StartServer();
  std::atomic<bool> done{false};
  const absl::Time begin = core_->clock->Now();
  std::thread client([&] {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(50));
    v1::TranslateResponse response;
    EXPECT_EQ(translation_->Translate(&context, Sentences(1000), &response).error_code(),
              grpc::StatusCode::DEADLINE_EXCEEDED);
    done = true;
  });
  WaitForTasks(1);
  client.join();                                                                           // no slice was done
  while (core_->clock->Now() < begin + absl::Milliseconds(60)) std::this_thread::yield();  // by the server's clock too
  int slices = 0;
  while (pool().RunSlice()) ++slices;
  EXPECT_EQ(slices, 1) << "it was not even parsed";
  EXPECT_TRUE(core_->gate.WaitEmpty(absl::Seconds(30)));
}

TEST_F(LongText, AShortRequestIsAnsweredBeforeLongOnesThatCameEarlier) {
  text_clock_ = std::make_unique<TickingClock>();
  PuppetScheduler* const puppet = StartServerWithPuppet();  // no reply comes back to the pool before the test says so
  constexpr int kLong = 3;
  std::atomic<int> long_ones{0};
  // gRPC's client may take a connect under way for a failed one where threads begin with it.
  ASSERT_TRUE(channel_->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(30)));
  std::vector<std::thread> clients;
  for (int i = 0; i < kLong; ++i) {
    clients.emplace_back([&] {
      grpc::ClientContext context;
      v1::TranslateResponse response;
      const grpc::Status status = Translate(Sentences(1000), &response, &context);
      EXPECT_TRUE(status.ok()) << status.error_code() << ": " << status.error_message();
      EXPECT_EQ(response.results_size(), 100);
      ++long_ones;
    });
  }
  WaitForTasks(kLong);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(pool().RunSlice());
  std::atomic<bool> done{false};
  std::thread client([&] {
    grpc::ClientContext context;
    v1::TranslateResponse response;
    EXPECT_TRUE(Translate(Sentences(120), &response, &context).ok());
    done = true;
  });
  WaitForTasks(kLong + 1);
  // What it needs: parsed, 120 sentences, 12 ends of texts, 12 texts sized. Taking turns would be four times as many.
  for (int slices = 0; pool().size() > kLong && slices < 150; ++slices) EXPECT_TRUE(pool().RunSlice());
  EXPECT_EQ(pool().size(), kLong) << "it is with the scheduler";
  Echo(puppet->WaitForItem().get());
  RunUntil(done);
  client.join();
  while (pool().RunSlice()) {
  }
  for (int i = 0; i < kLong; ++i) Echo(puppet->WaitForItem().get());
  std::atomic<bool> all{false};
  std::thread rest([&] {
    for (std::thread& other : clients) other.join();
    all = true;
  });
  RunUntil(all);
  rest.join();
  EXPECT_EQ(long_ones, kLong);
}

TEST_F(LongText, AReplyMadeInPartsHasAllItsTexts) {
  StartServer();
  const v1::TranslateRequest request = Sentences(500);
  v1::TranslateResponse response;
  std::atomic<bool> done{false};
  std::thread client([&] {
    grpc::ClientContext context;
    EXPECT_TRUE(Translate(request, &response, &context).ok());
    done = true;
  });
  EXPECT_GT(RunUntil(done), 1000) << "sentences and hypotheses are a part each";
  client.join();
  ASSERT_EQ(response.results_size(), 50);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(response.results(i).output().text(), request.texts(i));
  EXPECT_EQ(response.model().name(), "echo");
}

TEST_F(LongText, AStreamMadeInPartsHasAllItsTexts) {
  StartServer();
  v1::StreamTranslateRequest request;
  *request.mutable_request() = Sentences(500);
  std::vector<std::string> texts(50), told(50);
  std::atomic<bool> done{false};
  std::thread client([&] {
    grpc::ClientContext context;
    SetDeadline(&context);
    auto reader = translation_->StreamTranslate(&context, request);
    for (v1::StreamTranslateResponse response; reader->Read(&response);) {
      if (response.event().has_progress()) {
        told[static_cast<std::size_t>(response.event().progress().text())] += response.event().progress().delta() + " ";
      }
      if (!response.event().has_result()) continue;
      const v1::StreamedResult& result = response.event().result();
      texts[static_cast<std::size_t>(result.text())] = result.result().output().text();
    }
    EXPECT_TRUE(reader->Finish().ok());
    done = true;
  });
  RunUntil(done);
  client.join();
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(texts[static_cast<std::size_t>(i)], request.request().texts(i));
    EXPECT_THAT(told[static_cast<std::size_t>(i)], HasSubstr("Hello"));
  }
}

}  // namespace
}  // namespace heed
