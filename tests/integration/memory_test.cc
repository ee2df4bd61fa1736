// Memory of the whole process under load that wants far more than the budgets: what does not fit waits, what never fits
// is refused, and the peak stays within the budgets plus a constant.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tests/integration/running_server.h"
#include "tests/integration/small_models.h"

namespace heed {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::int64_t kMiB = 1 << 20;
constexpr std::int64_t kRequestBytes = 32 * kMiB;
constexpr std::int64_t kQueueBytes = 2 * kMiB;
constexpr std::int64_t kTransportBytes = 16 * kMiB;
// docs/container.md, "Memory": for the allocator's holes, stacks and text that is being read.
constexpr std::int64_t kConstantBytes = 32 * kMiB;

// The most memory that a process has had resident so far.
std::int64_t PeakBytes(int pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(file, line);) {
    absl::string_view rest = line;
    std::int64_t kibibytes = 0;
    if (!absl::ConsumePrefix(&rest, "VmHWM:") || !absl::ConsumeSuffix(&rest, " kB")) continue;
    EXPECT_TRUE(absl::SimpleAtoi(rest, &kibibytes)) << line;
    return kibibytes * 1024;
  }
  ADD_FAILURE() << "no VmHWM";
  return 0;
}

class Memory : public ::testing::Test {
 protected:
  Memory() {
    WriteLuong(models.path(), "luong");
    server = std::make_unique<RunningServer>(
        models.path(), std::vector<std::string>{absl::StrCat("--max_request_bytes=", kRequestBytes),
                                                absl::StrCat("--max_queue_bytes=", kQueueBytes),
                                                absl::StrCat("--max_transport_bytes=", kTransportBytes),
                                                "--max_reply_bytes=33554432", "--max_rows=512", "--workers=1"});
  }

  // Every matrix of every hypothesis; `words` sets how large.
  static v1::TranslateRequest Wide(int words, int n_best) {
    std::string text;
    for (int i = 0; i < words; ++i) text += "서버는 ";
    v1::TranslateRequest request = TranslateTexts({text});
    v1::SearchOptions* search = request.mutable_search();
    search->set_beam_size(n_best);
    search->set_n_best(n_best);
    search->set_min_length(200);
    search->set_max_length(200);
    request.mutable_attention()->add_components(v1::ATTENTION_COMPONENT_WEIGHTS);
    request.mutable_attention()->add_components(v1::ATTENTION_COMPONENT_ENERGIES);
    request.mutable_attention()->add_components(v1::ATTENTION_COMPONENT_CONTEXTS);
    request.set_max_reply_bytes(32 * kMiB);
    return request;
  }

  TempFolder models;
  std::unique_ptr<RunningServer> server;
};

TEST_F(Memory, StaysWithinItsBudgetsUnderAnyLoad) {
  const std::int64_t at_start = PeakBytes(server->process().pid());
  Caller caller(server->port(), 64 * kMiB);
  std::vector<std::unique_ptr<PendingTranslate>> calls;
  for (int i = 0; i < 100; ++i) calls.push_back(caller.StartTranslate(Wide(40, 8)));
  std::int64_t replies = 0;
  for (auto& call : calls) {
    const TranslateAnswer& answer = call->Wait();
    ASSERT_TRUE(answer.ok()) << answer.ToString();
    replies += static_cast<std::int64_t>(answer.response.ByteSizeLong());
    call.reset();
  }
  EXPECT_GT(replies, 2 * kRequestBytes) << "the test asks for too little";
  const std::int64_t grown = PeakBytes(server->process().pid()) - at_start;
  RecordProperty("grown_bytes", absl::StrCat(grown));
  EXPECT_LT(grown, kRequestBytes + kQueueBytes + kTransportBytes + kConstantBytes);
  server->WaitUntilIdle();
  server->WaitForMetric("heed_leased_bytes", 0);
  server->WaitForMetric("heed_queue_bytes", 0);
}

TEST_F(Memory, ManyLargeMessagesAtOnceStayWithinTheTransportsShare) {
  const std::int64_t at_start = PeakBytes(server->process().pid());
  const v1::TranslateRequest large = TranslateTexts(std::vector<std::string>(60, std::string(65000, 'a')));
  std::vector<std::unique_ptr<PendingTranslate>> calls;
  for (int i = 0; i < 80; ++i) calls.push_back(server->caller().StartTranslate(large));
  // Some are refused for what they are, others dropped by gRPC, which has no room for them.
  for (auto& call : calls) {
    EXPECT_FALSE(call->Wait().ok());
    call.reset();
  }
  const std::int64_t grown = PeakBytes(server->process().pid()) - at_start;
  RecordProperty("grown_bytes", absl::StrCat(grown));
  EXPECT_LT(grown, kRequestBytes + kQueueBytes + kTransportBytes + kConstantBytes);
  EXPECT_TRUE(server->caller().Translate(TranslateTexts({"서버는"})).ok());
}

// Two bytes on their way, dozens as an object.
TEST_F(Memory, MillionsOfEmptyFieldsAreRefusedBeforeTheyAreParsed) {
  const std::int64_t at_start = PeakBytes(server->process().pid());
  std::string texts, attends;
  for (int i = 0; i < 2000000; ++i) texts += std::string("\x12\0", 2);
  for (int i = 0; i < 2000000; ++i) attends += std::string("\x1a\0", 2);
  const std::string attention = absl::StrCat("\x2a\x80\x92\xf4\x01", attends);  // field 5, 4000000 bytes
  for (const std::string& bytes : {texts, attention}) {
    EXPECT_EQ(
        server->caller().SendBytes("/heed.v1.TranslationService/Translate", bytes).ToString(),
        "INVALID_ARGUMENT: the request has more than 1512 fields, those of messages inside it included; send fewer "
        "texts at a time");
  }
  EXPECT_LT(PeakBytes(server->process().pid()) - at_start, kTransportBytes + kConstantBytes);
}

// A token takes far more than its byte.
TEST_F(Memory, TextOfManyTokensStaysWithinTheConstant) {
  const std::int64_t at_start = PeakBytes(server->process().pid());
  std::string text;
  for (int sentence = 0; sentence < 100; ++sentence) {
    for (int word = 0; word < 60; ++word) text += "서버는 ";
    text += "돌려줍니다. ";
  }
  v1::TranslateRequest request = TranslateTexts(std::vector<std::string>(10, text));
  request.set_max_reply_bytes(32 * kMiB);
  EXPECT_EQ(server->caller().Translate(request).code, absl::StatusCode::kOutOfRange);
  const std::int64_t grown = PeakBytes(server->process().pid()) - at_start;
  RecordProperty("grown_bytes", absl::StrCat(grown));
  EXPECT_LT(grown, kTransportBytes + kConstantBytes);
}

TEST_F(Memory, ARequestThatNeverFitsIsRefusedWithTheNumbersAndNotToBeTriedAgain) {
  v1::TranslateRequest request = Wide(100, 16);
  request.add_texts(request.texts(0));
  const TranslateAnswer answer = server->caller().Translate(request);
  EXPECT_EQ(answer.code, absl::StatusCode::kOutOfRange) << answer.ToString();
  EXPECT_THAT(answer.message, StartsWith("the request takes "));
  EXPECT_THAT(answer.message, HasSubstr(" bytes of memory while it is decoded; it may take at most 33554432"));
  EXPECT_EQ(answer.trailers.count("grpc-retry-pushback-ms"), 0U);
  EXPECT_EQ(server->Metric("heed_leased_bytes"), 0);
}

TEST_F(Memory, ARequestTooLargeToWaitIsRefusedToo) {
  v1::TranslateRequest request = TranslateTexts(std::vector<std::string>(40, std::string(60000, 'a')));
  const TranslateAnswer answer = server->caller().Translate(request);
  EXPECT_EQ(answer.code, absl::StatusCode::kOutOfRange) << answer.ToString();
  EXPECT_EQ(answer.message,
            "the request takes at least 2400000 bytes of memory while it waits; it may take at most 2097152");
  EXPECT_EQ(answer.trailers.count("grpc-retry-pushback-ms"), 0U);
}

}  // namespace
}  // namespace heed
