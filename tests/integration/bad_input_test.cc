// Bad input in requests: docs/errors.md has a row for each test here, with its code and message.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/integration/running_server.h"
#include "tests/integration/small_models.h"

namespace heed {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace std::string_literals;

constexpr char kGood[] = "서버는 요청을 받아 보냅니다.";

// One server for all: no request may harm it.
TempFolder* shared_models = nullptr;
RunningServer* shared_server = nullptr;

class BadInput : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_models = new TempFolder();
    WriteSmallModels(shared_models->path());
    shared_server = new RunningServer(shared_models->path(), {"--workers=1"});
  }
  static void TearDownTestSuite() {
    EXPECT_EQ(shared_server->Stop(), 0) << shared_server->process().error();
    delete shared_server;
    delete shared_models;
  }

  // Whatever was asked before, the server is at rest and good requests are answered.
  void TearDown() override {
    shared_server->WaitUntilIdle();
    const TranslateAnswer good = shared_server->caller().Translate(TranslateTexts({kGood}, "luong"));
    EXPECT_EQ(good.ToString(), "OK: ");
    EXPECT_TRUE(shared_server->process().running());
  }

  static Caller& caller() { return shared_server->caller(); }

  // The result of the middle of three texts, whose neighbours must come back as they do alone.
  static v1::TextResult ResultAmongGoodOnes(const std::string& text) {
    const TranslateAnswer alone = caller().Translate(TranslateTexts({kGood}, "luong"));
    const TranslateAnswer answer = caller().Translate(TranslateTexts({kGood, text, kGood}, "luong"));
    EXPECT_EQ(answer.ToString(), "OK: ");
    if (!alone.ok() || answer.response.results_size() != 3) return {};
    for (int neighbour : {0, 2}) {
      EXPECT_EQ(answer.response.results(neighbour).SerializeAsString(), alone.response.results(0).SerializeAsString());
    }
    return answer.response.results(1);
  }

  // Every byte of the text that is not a space belongs to a source token, in order.
  static void ExpectTokensCover(const std::string& text, const v1::TextOutput& output) {
    std::size_t at = 0;
    for (const v1::Segment& segment : output.segments()) {
      for (const v1::Token& token : segment.source_tokens()) {
        if (token.special()) continue;
        EXPECT_LE(token.begin(), token.end());
        for (; at < static_cast<std::size_t>(token.begin()); ++at) EXPECT_EQ(text[at], ' ') << "byte " << at;
        at = std::max(at, static_cast<std::size_t>(token.end()));
      }
    }
    EXPECT_EQ(at, text.size());
  }

  static std::string TranslateWith(const std::function<void(v1::TranslateRequest*)>& change) {
    v1::TranslateRequest request = TranslateTexts({kGood}, "luong");
    change(&request);
    return caller().Translate(request).ToString();
  }

  static std::string SearchWith(const std::function<void(v1::SearchOptions*)>& change) {
    return TranslateWith([&](v1::TranslateRequest* request) { change(request->mutable_search()); });
  }
};

TEST_F(BadInput, AnEmptyTextHasAnEmptyOutput) {
  const v1::TextResult result = ResultAmongGoodOnes("");
  ASSERT_TRUE(result.has_output());
  EXPECT_EQ(result.output().text(), "");
  EXPECT_EQ(result.output().segments_size(), 0);
}

TEST_F(BadInput, ATextOfSpacesComesBackAsItIs) {
  const v1::TextResult result = ResultAmongGoodOnes(" \n\t　 ");
  ASSERT_TRUE(result.has_output());
  EXPECT_EQ(result.output().text(), " \n\t　 ");
  EXPECT_EQ(result.output().segments_size(), 0);
}

TEST_F(BadInput, ATextOf1MebibyteIsThatTextsError) {
  const v1::TextResult result = ResultAmongGoodOnes(std::string(1 << 20, 'a'));
  EXPECT_EQ(result.error().code(), static_cast<int>(absl::StatusCode::kOutOfRange));
  EXPECT_EQ(result.error().message(), "the text has 1048576 bytes; at most 65536 are taken");
  EXPECT_EQ(result.error().quantity(), "bytes");
  EXPECT_EQ(result.error().value(), 1048576);
  EXPECT_EQ(result.error().bound(), 65536);
}

TEST_F(BadInput, ASentenceOfTooManyTokensIsThatTextsErrorOrIsCut) {
  std::string text = "서버는";
  for (int i = 0; i < 400; ++i) text += " 요청을 받아";
  const v1::TextResult result = ResultAmongGoodOnes(text);
  EXPECT_EQ(result.error().code(), static_cast<int>(absl::StatusCode::kOutOfRange));
  EXPECT_EQ(result.error().quantity(), "source tokens");
  EXPECT_EQ(result.error().message(), absl::StrCat("a segment of the text has ", result.error().value(),
                                                   " source tokens; at most 512 are taken"));
  v1::TranslateRequest request = TranslateTexts({text}, "luong");
  request.set_too_long(v1::TOO_LONG_POLICY_TRUNCATE);
  const TranslateAnswer cut = caller().Translate(request);
  ASSERT_TRUE(cut.ok()) << cut.ToString();
  ASSERT_EQ(cut.response.results(0).output().segments_size(), 1);
  EXPECT_TRUE(cut.response.results(0).output().segments(0).truncated());
  EXPECT_EQ(cut.response.results(0).output().segments(0).source_tokens_size(), 512);
}

TEST_F(BadInput, InvalidUtf8IsAMessageThatDoesNotParse) {
  // TranslateRequest{texts: "\xff\xfe"}; no protobuf library lets such a text through.
  const Answer answer = caller().SendBytes("/heed.v1.TranslationService/Translate", "\x12\x02\xff\xfe");
  EXPECT_EQ(answer.ToString(),
            "INVALID_ARGUMENT: the request does not parse as heed.v1.TranslateRequest: its bytes are no such message, "
            "or a string in it is not valid UTF-8");
}

TEST_F(BadInput, BytesThatAreNoMessageGetInvalidArgumentAndAreCounted) {
  const std::string sample =
      R"(heed_requests_total{code="INVALID_ARGUMENT",model="unknown",rpc="Summarize",version="unknown"})";
  const double before = shared_server->Metric(sample);
  for (const char* method : {"TranslationService/Translate", "SummarizationService/Summarize",
                             "ModelService/ListModels", "ModelService/GetModel"}) {
    const Answer answer = caller().SendBytes(absl::StrCat("/heed.v1.", method), "\xff\xff\xff\xff\xff\xff\xff\xff");
    EXPECT_EQ(answer.code, absl::StatusCode::kInvalidArgument) << method;
    EXPECT_THAT(answer.message, StartsWith("the request does not parse as heed.v1.")) << method;
  }
  EXPECT_EQ(shared_server->Metric(sample), before + 1);
}

TEST_F(BadInput, AMethodThatThereIsNotIsUnimplemented) {
  EXPECT_EQ(caller().SendBytes("/heed.v1.TranslationService/Interpret", "").code, absl::StatusCode::kUnimplemented);
}

TEST_F(BadInput, ARequestPastTheMessageLimitIsRefusedByItsSize) {
  const std::vector<std::string> texts(5, std::string(1 << 20, 'a'));
  const TranslateAnswer answer = caller().Translate(TranslateTexts(texts, "luong"));
  EXPECT_EQ(answer.code, absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(answer.message, HasSubstr("the message has 524"));
  EXPECT_THAT(answer.message, HasSubstr(" bytes; at most 4194304 are taken"));
  EXPECT_EQ(answer.trailers.count("grpc-retry-pushback-ms"), 0U) << "trying again cannot help";
}

TEST_F(BadInput, NulBytesAreText) {
  const std::string text = "이 함수는\0 문자열을\0\0 돌려줍니다.\0"s;
  const v1::TextResult result = ResultAmongGoodOnes(text);
  ASSERT_TRUE(result.has_output()) << result.error().message();
  ExpectTokensCover(text, result.output());
}

TEST_F(BadInput, ATextThatTheVocabularyDropsHasASegmentWithoutHypotheses) {
  // A "▁" is a space to SentencePiece.
  for (const char* text : {"\x01\x02\x7f", "▁▁"}) {
    const v1::TextResult result = ResultAmongGoodOnes(text);
    ASSERT_TRUE(result.has_output()) << text << ": " << result.error().message();
    ASSERT_EQ(result.output().segments_size(), 1) << text;
    EXPECT_EQ(result.output().segments(0).hypotheses_size(), 0) << text;
    EXPECT_EQ(result.output().text(), "") << text;
  }
}

TEST_F(BadInput, EmojiAndCombiningMarksAreText) {
  for (const char* text : {"👩‍👩‍👧‍👦 가족 🇰🇷", "한 글자", "e\u0301e\u0301\u0301\u0301",
                           "\u0301\u0302", "🙂", "ﷺﬃ①"}) {
    const v1::TextResult result = ResultAmongGoodOnes(text);
    ASSERT_TRUE(result.has_output()) << text << ": " << result.error().message();
    ExpectTokensCover(text, result.output());
  }
}

TEST_F(BadInput, WhatLooksLikeSpecialPiecesIsText) {
  for (const std::string text :
       {"</s>", "<s>", "<unk> <pad>", "▁▁ a", "a@@ b", "이 함수는 </s> 돌려줍니다", "<0x41>"}) {
    const v1::TextResult result = ResultAmongGoodOnes(text);
    ASSERT_TRUE(result.has_output()) << text << ": " << result.error().message();
    int specials = 0;
    for (const v1::Segment& segment : result.output().segments()) {
      for (const v1::Token& token : segment.source_tokens()) specials += token.special();
      ASSERT_FALSE(segment.source_tokens().empty()) << text;
      EXPECT_TRUE(segment.source_tokens().rbegin()->special()) << "the model's own </s>";
    }
    EXPECT_EQ(specials, result.output().segments_size()) << text;
    ExpectTokensCover(text, result.output());
  }
}

TEST_F(BadInput, NoTextsAndTooManyAreRefused) {
  EXPECT_EQ(caller().Translate(TranslateTexts({}, "luong")).ToString(),
            "INVALID_ARGUMENT: texts is a list of 0; it must be a list of 1 to 256");
  EXPECT_EQ(caller().Translate(TranslateTexts(std::vector<std::string>(257, "a"), "luong")).ToString(),
            "INVALID_ARGUMENT: texts is a list of 257; it must be a list of 1 to 256");
}

TEST_F(BadInput, TooManySentencesInAllAreRefused) {
  std::string text;
  for (int i = 0; i < 1025; ++i) text += "끝.\n";
  EXPECT_EQ(caller().Translate(TranslateTexts({text}, "luong")).ToString(),
            "INVALID_ARGUMENT: texts is more than 1024 segments (sentences); it must be at most 1024 in all; send "
            "fewer texts at a time");
}

TEST_F(BadInput, AnUnknownModelIsNotFoundWithThoseServed) {
  EXPECT_EQ(caller().Translate(TranslateTexts({kGood}, "babel\nfish")).ToString(),
            "NOT_FOUND: no translation model is called \"babel\\nfish\"; served: luong 1 (ko to en), marian 1 (ko to "
            "fr), plain 1 (ko to ja) and variety 1 (ko to de)");
  EXPECT_EQ(TranslateWith([](auto* request) { request->mutable_model()->set_version("9"); }),
            "NOT_FOUND: \"luong\" has no version \"9\"; served: luong 1 (ko to en)");
}

TEST_F(BadInput, AModelOfAnotherTaskIsRefused) {
  EXPECT_EQ(caller().Translate(TranslateTexts({kGood}, "gist")).ToString(),
            "INVALID_ARGUMENT: model.name is \"gist\"; it must be a translation model: luong 1 (ko to en), marian 1 "
            "(ko to fr), plain 1 (ko to ja) and variety 1 (ko to de)");
}

TEST_F(BadInput, AnUnknownLanguagePairIsNotFoundWithThoseServed) {
  v1::TranslateRequest request = TranslateTexts({kGood});
  request.mutable_model()->set_source_language("ko");
  request.mutable_model()->set_target_language("tlh");
  EXPECT_EQ(caller().Translate(request).ToString(),
            "NOT_FOUND: no translation model reads and writes what was asked for, from \"ko\" to \"tlh\"; served: "
            "luong 1 (ko to en), marian 1 (ko to fr), plain 1 (ko to ja) and variety 1 (ko to de)");
}

TEST_F(BadInput, AnAmbiguousOrContradictorySelectionNamesTheCandidates) {
  EXPECT_EQ(caller().Translate(TranslateTexts({kGood})).ToString(),
            "INVALID_ARGUMENT: model is ambiguous; it must be one of: luong 1 (ko to en), marian 1 (ko to fr), plain 1 "
            "(ko to ja) and variety 1 (ko to de)");
  EXPECT_EQ(
      TranslateWith([](auto* request) { request->mutable_model()->set_target_language("fr"); }),
      "INVALID_ARGUMENT: model is \"luong\" from any language to \"fr\"; it must be without conflict: luong 1 (ko "
      "to en)");
}

TEST_F(BadInput, ABeamOf0Or10000IsRefusedWithItsBounds) {
  EXPECT_EQ(SearchWith([](auto* search) { search->set_beam_size(0); }),
            "INVALID_ARGUMENT: search.beam_size is 0; it must be 1 to 16");
  EXPECT_EQ(SearchWith([](auto* search) { search->set_beam_size(10000); }),
            "INVALID_ARGUMENT: search.beam_size is 10000; it must be 1 to 16");
}

TEST_F(BadInput, AnNBestAboveTheBeamIsRefused) {
  EXPECT_EQ(SearchWith([](auto* search) {
              search->set_beam_size(4);
              search->set_n_best(5);
            }),
            "INVALID_ARGUMENT: search.n_best is 5; it must be 1 to 4 (the beam size)");
}

TEST_F(BadInput, NegativePenaltiesAreRefusedWithTheirBounds) {
  EXPECT_EQ(SearchWith([](auto* search) { search->set_repetition_penalty(-1); }),
            "INVALID_ARGUMENT: search.repetition_penalty is -1; it must be 1 to 10");
  EXPECT_EQ(SearchWith([](auto* search) { search->mutable_average()->set_alpha(-0.5F); }),
            "INVALID_ARGUMENT: search.average.alpha is -0.5; it must be 0 to 10");
  EXPECT_EQ(SearchWith([](auto* search) { search->mutable_gnmt()->set_alpha(-1); }),
            "INVALID_ARGUMENT: search.gnmt.alpha is -1; it must be 0 to 10");
  EXPECT_EQ(SearchWith([](auto* search) { search->set_no_repeat_ngram_size(-1); }),
            "INVALID_ARGUMENT: search.no_repeat_ngram_size is -1; it must be 0 to 16");
  EXPECT_EQ(SearchWith([](auto* search) { search->mutable_gnmt()->set_alpha(std::nanf("")); }),
            "INVALID_ARGUMENT: search.gnmt.alpha is nan; it must be 0 to 10");
}

TEST_F(BadInput, LengthsOutOfBoundsAreRefused) {
  EXPECT_EQ(SearchWith([](auto* search) { search->set_max_length(0); }),
            "INVALID_ARGUMENT: search.max_length is 0; it must be 1 to 512");
  EXPECT_EQ(SearchWith([](auto* search) { search->set_max_length(513); }),
            "INVALID_ARGUMENT: search.max_length is 513; it must be 1 to 512");
  EXPECT_EQ(SearchWith([](auto* search) {
              search->set_max_length(5);
              search->set_min_length(6);
            }),
            "INVALID_ARGUMENT: search.min_length is 6; it must be 0 to 5");
}

TEST_F(BadInput, UnknownEnumValuesAreRefused) {
  EXPECT_EQ(TranslateWith([](auto* request) { request->set_too_long(static_cast<v1::TooLongPolicy>(77)); }),
            "INVALID_ARGUMENT: too_long is 77; it must be a known TooLongPolicy");
  EXPECT_EQ(TranslateWith([](auto* request) {
              request->mutable_attention()->add_components(static_cast<v1::AttentionComponent>(77));
            }),
            "INVALID_ARGUMENT: attention.components[0] is 77; it must be a known AttentionComponent");
  EXPECT_EQ(TranslateWith([](auto* request) { request->set_priority(static_cast<v1::Priority>(77)); }),
            "INVALID_ARGUMENT: priority is 77; it must be a known Priority");
}

TEST_F(BadInput, ATimeBudgetOutOfBoundsIsRefused) {
  EXPECT_EQ(TranslateWith([](auto* request) { request->mutable_time_budget()->set_seconds(-1); }),
            "INVALID_ARGUMENT: time_budget is -1s; it must be 1ms to 24h");
}

TEST_F(BadInput, AttentionThatTheModelCannotGiveIsRefused) {
  v1::TranslateRequest request = TranslateTexts({kGood}, "plain");
  request.mutable_attention();
  EXPECT_EQ(caller().Translate(request).ToString(), "FAILED_PRECONDITION: model plain has no attention to return");
  request.clear_attention();
  request.mutable_search()->set_replace_unknowns(true);
  EXPECT_EQ(caller().Translate(request).ToString(),
            "FAILED_PRECONDITION: model plain has no attention for search to read");
  EXPECT_EQ(TranslateWith([](auto* r) { r->mutable_attention()->add_attends(std::string("d")); }),
            "INVALID_ARGUMENT: attention.attends[0] is \"d\"; it must be an attend of the model: c");
  EXPECT_EQ(TranslateWith([](auto* r) {
              r->mutable_attention()->add_components(v1::ATTENTION_COMPONENT_ENERGIES);
              r->mutable_attention()->set_unit(v1::ATTENTION_UNIT_WORDS);
            }),
            "INVALID_ARGUMENT: attention.unit is ATTENTION_UNIT_WORDS; it must be pieces where energies are wanted: "
            "they do not fold");
  EXPECT_EQ(TranslateWith([](auto* r) {
              r->mutable_attention()->add_components(v1::ATTENTION_COMPONENT_CONTEXTS);
              r->mutable_attention()->set_unit(v1::ATTENTION_UNIT_WORDS);
            }),
            "INVALID_ARGUMENT: attention.unit is ATTENTION_UNIT_WORDS; it must be pieces where contexts are wanted: "
            "they do not fold");
  request = TranslateTexts({kGood}, "plain");
  request.mutable_attention()->add_components(v1::ATTENTION_COMPONENT_CONTEXTS);
  EXPECT_EQ(caller().Translate(request).ToString(), "FAILED_PRECONDITION: model plain has no attention to return");
}

TEST_F(BadInput, AShortlistThatTheModelLacksIsRefused) {
  v1::TranslateRequest request = TranslateTexts({kGood}, "plain");
  request.set_shortlist(false);
  EXPECT_TRUE(caller().Translate(request).ok());
  request.set_shortlist(true);
  EXPECT_EQ(caller().Translate(request).ToString(), "FAILED_PRECONDITION: model plain has no shortlist");
}

TEST_F(BadInput, ReplyBytesOutOfBoundsAreRefused) {
  EXPECT_EQ(TranslateWith([](auto* request) { request->set_max_reply_bytes(0); }),
            "INVALID_ARGUMENT: max_reply_bytes is 0; it must be 1 to 67108864");
  EXPECT_EQ(TranslateWith([](auto* request) { request->set_max_reply_bytes(67108865); }),
            "INVALID_ARGUMENT: max_reply_bytes is 67108865; it must be 1 to 67108864");
}

TEST_F(BadInput, ErrorsOfAFieldCarryDetailsForPrograms) {
  v1::TranslateRequest request = TranslateTexts({kGood}, "luong");
  request.mutable_search()->set_beam_size(0);
  const TranslateAnswer answer = caller().Translate(request);
  google::rpc::Status status;
  ASSERT_TRUE(status.ParseFromString(answer.details));
  google::rpc::BadRequest bad_request;
  google::rpc::ErrorInfo info;
  for (const auto& detail : status.details()) {
    if (detail.Is<google::rpc::BadRequest>()) detail.UnpackTo(&bad_request);
    if (detail.Is<google::rpc::ErrorInfo>()) detail.UnpackTo(&info);
  }
  ASSERT_EQ(bad_request.field_violations_size(), 1);
  EXPECT_EQ(bad_request.field_violations(0).field(), "search.beam_size");
  EXPECT_EQ(info.reason(), "INVALID_FIELD");
  EXPECT_EQ(info.metadata().at("value"), "0");
  EXPECT_EQ(info.metadata().at("bound"), "1 to 16");
}

}  // namespace
}  // namespace heed
