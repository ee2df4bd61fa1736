// StreamTranslate through a real server: what is streamed is what the unary call answers, token for token; slow,
// vanished and late clients; a drain with streams under way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/integration/running_server.h"
#include "tests/integration/small_models.h"

namespace heed {
namespace {

using ::testing::AnyOf;
using ::testing::Eq;
using ::testing::StartsWith;

// What a stream told of one segment, put together.
struct Told {
  std::vector<std::string> tokens;  // serialised
  std::string text;
  std::vector<v1::Attention> attentions;
};

struct Streamed {
  Answer answer;
  v1::ModelIdentity model;
  std::map<std::pair<int, int>, Told> segments;  // by text and segment
  std::vector<v1::TextResult> results;
  int events = 0;
};

void Append(const v1::SegmentProgress& progress, Told* told) {
  for (const v1::Token& token : progress.tokens()) told->tokens.push_back(token.SerializeAsString());
  told->text += progress.delta();
  for (int i = 0; i < progress.attentions_size(); ++i) {
    const v1::Attention& rows = progress.attentions(i);
    EXPECT_EQ(rows.dense().rows(), progress.tokens_size());
    if (static_cast<int>(told->attentions.size()) == i) {
      told->attentions.push_back(rows);
      continue;
    }
    v1::DenseMatrix* dense = told->attentions[static_cast<std::size_t>(i)].mutable_dense();
    dense->set_rows(dense->rows() + rows.dense().rows());
    dense->mutable_values()->MergeFrom(rows.dense().values());
  }
}

Streamed ReadAll(PendingStream* stream, int texts) {
  Streamed all;
  all.results.resize(static_cast<std::size_t>(texts));
  v1::StreamEvent event;
  while (stream->Read(&event)) {
    if (event.has_model()) {
      EXPECT_EQ(all.events, 0) << "the model is the first event";
    }
    ++all.events;
    if (event.has_model()) all.model = event.model();
    if (event.has_progress()) {
      EXPECT_FALSE(all.results.at(static_cast<std::size_t>(event.progress().text())).has_output())
          << "a text's result is its last event";
      Append(event.progress(), &all.segments[{event.progress().text(), event.progress().segment()}]);
    }
    if (event.has_result()) all.results.at(static_cast<std::size_t>(event.result().text())) = event.result().result();
  }
  all.answer = stream->Wait();
  return all;
}

// The stream of a request tells what its unary answer has.
void ExpectAlike(const RunningServer& server, Caller& caller, const v1::TranslateRequest& request) {
  const TranslateAnswer unary = caller.Translate(request);
  ASSERT_TRUE(unary.ok()) << unary.ToString();
  const auto stream = caller.StreamTranslate(request);
  const Streamed streamed = ReadAll(stream.get(), request.texts_size());
  ASSERT_TRUE(streamed.answer.ok()) << streamed.answer.ToString();
  EXPECT_EQ(streamed.model.SerializeAsString(), unary.response.model().SerializeAsString());
  const bool tells_attention = request.has_attention() && request.attention().unit() != v1::ATTENTION_UNIT_WORDS &&
                               request.search().beam_size() == 1;
  for (int text = 0; text < unary.response.results_size(); ++text) {
    v1::TextResult expected = unary.response.results(text);
    for (int s = 0; s < expected.output().segments_size(); ++s) {
      v1::Segment* segment = expected.mutable_output()->mutable_segments(s);
      if (segment->hypotheses().empty()) continue;
      v1::Hypothesis* best = segment->mutable_hypotheses(0);
      const auto found = streamed.segments.find({text, s});
      ASSERT_NE(found, streamed.segments.end()) << text << " " << s;
      std::vector<std::string> tokens;
      for (v1::Token token : best->tokens()) {
        token.clear_confidence();  // it is told with the result
        tokens.push_back(token.SerializeAsString());
      }
      EXPECT_EQ(found->second.tokens, tokens);
      EXPECT_EQ(found->second.text, best->text());
      if (!tells_attention) {
        EXPECT_TRUE(found->second.attentions.empty());
        continue;
      }
      ASSERT_EQ(found->second.attentions.size(), static_cast<std::size_t>(best->attentions_size()));
      for (int i = 0; i < best->attentions_size(); ++i) {
        EXPECT_EQ(found->second.attentions[static_cast<std::size_t>(i)].SerializeAsString(),
                  best->attentions(i).SerializeAsString());
      }
      best->clear_attentions();
    }
    EXPECT_EQ(streamed.results[static_cast<std::size_t>(text)].SerializeAsString(), expected.SerializeAsString())
        << "text " << text;
  }
  server.WaitUntilIdle();
}

TEST(Streams, TellWhatTheUnaryCallAnswers) {
  TempFolder models;
  WriteSmallModels(models.path());
  RunningServer server(models.path());
  for (const char* model : {"luong", "marian", "variety", "plain"}) {
    for (int beam : {1, 4}) {
      v1::TranslateRequest request;
      request.mutable_model()->set_name(model);
      for (const std::string& text : Sentences(5)) request.add_texts(absl::StrCat(text, " ", text, "  끝."));
      request.add_texts("");
      request.add_texts("ab \U0001F600 c");
      request.mutable_search()->set_beam_size(beam);
      request.mutable_search()->set_n_best(beam > 1 ? 2 : 1);
      request.mutable_search()->set_max_length(40);
      SCOPED_TRACE(absl::StrCat(model, " beam ", beam));
      ExpectAlike(server, server.caller(), request);
      if (std::string(model) == "plain") continue;
      request.mutable_attention()->add_components(v1::ATTENTION_COMPONENT_WEIGHTS);
      request.mutable_attention()->add_components(v1::ATTENTION_COMPONENT_ENERGIES);
      request.mutable_attention()->add_components(v1::ATTENTION_COMPONENT_CONTEXTS);
      request.mutable_attention()->set_unit(v1::ATTENTION_UNIT_PIECES);
      ExpectAlike(server, server.caller(), request);
      request.mutable_attention()->clear_components();
      request.mutable_attention()->add_components(v1::ATTENTION_COMPONENT_WEIGHTS);
      request.mutable_attention()->set_unit(v1::ATTENTION_UNIT_WORDS);
      ExpectAlike(server, server.caller(), request);
    }
  }
}

TEST(Streams, OfTheShippedModelTellWhatTheUnaryCallAnswers) {
  RunningServer server(HEED_SHIPPED_MODELS);
  v1::TranslateRequest request;
  for (const std::string& text : Sentences(6)) request.add_texts(text);
  for (int beam : {1, 5}) {
    request.mutable_search()->set_beam_size(beam);
    ExpectAlike(server, server.caller(), request);
  }
}

// Through the command, for both: what is printed as it comes is what the unary call answers.
TEST(Streams, OfTheShippedSummariserTellWhatTheUnaryCallAnswers) {
  const RunningServer server(HEED_SHIPPED_MODELS);
  const std::string request = "회의실에 들어오기 전에 휴대폰 전원을 꺼 주세요.";
  const Finished unary = server.Heed({"summarize", request});
  ASSERT_EQ(unary.code, 0) << unary.err;
  const Finished streamed = server.Heed({"summarize", "--stream", request});
  EXPECT_EQ(streamed.code, 0) << streamed.err;
  EXPECT_EQ(streamed.out, unary.out);
  EXPECT_GT(unary.out.size(), 1u);
  EXPECT_EQ(server.Metric(R"(heed_requests_total{code="OK",model="sae4k-ko",rpc="StreamSummarize",version="2.0.0"})"),
            1);
}

TEST(Streams, ErrorsOfARequestEndThemWithTheUnaryCallsCode) {
  TempFolder models;
  WriteLuong(models.path(), "luong");
  RunningServer server(models.path());
  v1::TranslateRequest request = TranslateTexts({"안녕"}, "nobody");
  EXPECT_EQ(server.caller().StreamTranslate(request)->Wait().ToString(), server.caller().Translate(request).ToString());
  request = TranslateTexts({"안녕"});
  request.mutable_search()->set_beam_size(0);
  EXPECT_EQ(server.caller().StreamTranslate(request)->Wait().code, absl::StatusCode::kInvalidArgument);
  const Answer answer =
      server.caller().SendBytes("/heed.v1.TranslationService/StreamTranslate", std::string("\xff\xff\xff", 3));
  EXPECT_THAT(answer.ToString(), StartsWith("INVALID_ARGUMENT: the request does not parse"));
  server.WaitUntilIdle();
}

constexpr int kVeryLong = 65536;  // target tokens: seconds of work for the slow model

// Four rows, and texts as long as anybody likes.
class SlowStreams : public ::testing::Test {
 protected:
  SlowStreams() { WriteSlowModel(models_.path()); }
  std::unique_ptr<RunningServer> Start(std::vector<std::string> flags = {}) {
    flags.insert(flags.begin(), {"--workers=1", "--max_rows=4", "--max_beam_size=1", "--max_target_tokens=65536",
                                 "--default_reply_bytes=67108864", "--default_deadline=10m"});
    return std::make_unique<RunningServer>(models_.path(), flags);
  }
  static void ReadSome(PendingStream* stream) {
    v1::StreamEvent event;
    while (stream->Read(&event) && !event.has_progress()) {
    }
    ASSERT_TRUE(event.has_progress());
  }

  TempFolder models_;
};

TEST_F(SlowStreams, TokensComeLongBeforeTheEnd) {
  const auto server = Start();
  const auto stream = server->caller().StreamTranslate(SlowRequest(1, kVeryLong));
  for (int i = 0; i < 3; ++i) ReadSome(stream.get());
  EXPECT_EQ(server->Metric("heed_live_segments"), 1) << "it is still being decoded";
  stream->Cancel();
  EXPECT_EQ(stream->Wait().code, absl::StatusCode::kCancelled);
  server->WaitUntilIdle();
  EXPECT_EQ(server->Metric("heed_leased_bytes"), 0);
  EXPECT_EQ(server->Metric(R"(heed_requests_total{code="CANCELLED",model="slow",rpc="StreamTranslate",version="1"})"),
            1);
}

TEST_F(SlowStreams, ATextsResultComesWhenItIsDoneAndNotWithTheLast) {
  const auto server = Start({"--max_rows=1"});
  const auto stream = server->caller().StreamTranslate(SlowRequest(2, kVeryLong / 4));
  v1::StreamEvent event;
  while (stream->Read(&event) && !event.has_result()) {
  }
  ASSERT_TRUE(event.has_result());
  EXPECT_EQ(event.result().text(), 0);
  EXPECT_EQ(event.result().result().output().segments(0).hypotheses(0).tokens_size(), kVeryLong / 4);
  EXPECT_EQ(server->Metric("heed_live_segments"), 1) << "the other is still being decoded";
  stream->Cancel();
  EXPECT_EQ(stream->Wait().code, absl::StatusCode::kCancelled);
  server->WaitUntilIdle();
}

TEST_F(SlowStreams, OneThatIsNotReadHoldsUpNobody) {
  const auto server = Start();
  // Each event is small; together they are more than the connection's flow control lets through unread.
  const auto stream = server->caller().StreamTranslate(SlowRequest(2, 8000));
  Caller neighbour(server->port());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(neighbour.Translate(SlowRequest(1, 20)).ok());
  // It is decoded to its end though nobody reads, and nothing of it is lost.
  server->WaitForMetric("heed_live_segments", 0);
  const Streamed all = ReadAll(stream.get(), 2);
  ASSERT_TRUE(all.answer.ok()) << all.answer.ToString();
  for (int text : {0, 1}) {
    EXPECT_EQ(all.segments.at({text, 0}).tokens.size(), 8000U);
    EXPECT_EQ(all.segments.at({text, 0}).text,
              all.results[static_cast<std::size_t>(text)].output().segments(0).hypotheses(0).text());
  }
  server->WaitUntilIdle();
}

TEST_F(SlowStreams, AVanishedReaderFreesItsRows) {
  const auto server = Start();
  {
    auto gone = std::make_unique<Caller>(server->port());
    const auto stream = gone->StreamTranslate(SlowRequest(4, kVeryLong));
    ReadSome(stream.get());
  }
  server->WaitUntilIdle();
  EXPECT_TRUE(server->caller().Translate(SlowRequest(1, 5)).ok());
}

TEST_F(SlowStreams, ADeadlineEndsThemWhileTheyTell) {
  const auto server = Start();
  EXPECT_TRUE(server->caller().Translate(SlowRequest(1, 5)).ok()) << "the connection is there";
  const auto stream = server->caller().StreamTranslate(SlowRequest(1, kVeryLong), absl::Milliseconds(300));
  EXPECT_THAT(stream->Wait().ToString(),
              AnyOf(Eq("DEADLINE_EXCEEDED: Deadline Exceeded"), StartsWith("DEADLINE_EXCEEDED: the deadline passed")));
  server->WaitUntilIdle();
}

TEST_F(SlowStreams, ADrainLetsThemEnd) {
  const auto server = Start({"--drain_time=1m"});
  const auto stream = server->caller().StreamTranslate(SlowRequest(1, 3000));
  ReadSome(stream.get());
  server->process().Signal(SIGTERM);
  const Streamed rest = ReadAll(stream.get(), 1);
  EXPECT_TRUE(rest.answer.ok()) << rest.answer.ToString();
  EXPECT_EQ(rest.results[0].output().segments(0).hypotheses(0).tokens_size(), 3000);
  EXPECT_EQ(server->process().Wait(), 0);
}

TEST_F(SlowStreams, ASecondSignalEndsThemAtOnce) {
  const auto server = Start({"--drain_time=1m"});
  const auto stream = server->caller().StreamTranslate(SlowRequest(1, kVeryLong));
  ReadSome(stream.get());
  server->process().Signal(SIGTERM);
  while (server->caller().Translate(SlowRequest(1, 5)).ok()) {
  }
  server->process().Signal(SIGTERM);
  EXPECT_EQ(server->process().Wait(), 128 + SIGTERM);
  EXPECT_EQ(stream->Wait().code, absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace heed
