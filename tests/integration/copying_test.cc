// Models that copy, unknowns that are replaced and shortlists, through a real server: words that no vocabulary has come
// out as they were typed, and the reply says where from.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/integration/running_server.h"
#include "tests/support/attention_models.h"
#include "tests/support/bundle_folder.h"
#include "tests/support/shortlist_file.h"

namespace heed {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSubsetOf;
using ::testing::Not;

constexpr int kWords = 16;  // of both sides

std::string Pieces() {
  return R"(["<unk>", "<s>", "</s>", "the", "a", "cat", "dog", "saw", "and", "ran", "old", "new", "in", "of", "to",
             "."])";
}

TestSizes Sizes() { return {.source_vocabulary = kWords, .target_vocabulary = kWords}; }

void Write(const std::string& folder, BundleBuilder builder, const std::string& name, BundleFileMap files = {}) {
  builder.spec().set_name(name);
  for (model::v1::Vocabulary* side : {builder.spec().mutable_source(), builder.spec().mutable_target()}) {
    side->mutable_words();
    side->set_pieces("words.json");
  }
  files["words.json"] = Pieces();
  WriteBundleFolder(absl::StrCat(folder, "/", name), FilesOfBundle(builder.Build(), files));
}

// "pointer" copies at every step; "mixed" copies and generates; "replacing" writes nothing but unknowns, which it
// replaces; "short" has a shortlist of ids 0 to 7 and each source id.
void WriteModels(const std::string& folder) {
  BundleBuilder pointer = PointerGenerator(Sizes(), 3);
  for (float& x : pointer.tensors().at("gate.bias").data) x = -40;
  Write(folder, std::move(pointer), "pointer");
  Write(folder, CopyAttention(/*own=*/true, Sizes(), 5), "mixed");
  BundleBuilder replacing = LuongLstm(Sizes(), 7);
  replacing.tensors().at("output.bias").data[0] = 60;
  replacing.spec().mutable_search()->set_replace_unknowns(true);
  Write(folder, std::move(replacing), "replacing");
  BundleBuilder shortened = Shortlisted(Sizes(), 9);
  Write(folder, std::move(shortened), "short",
        {{"lex.bin", ShortlistBytes(3, std::vector<std::vector<std::uint32_t>>(kWords))}});
}

const char kText[] = "  Zürich saw xYz  and Zürich-West";

v1::TranslateRequest Request(const std::string& model) {
  v1::TranslateRequest request;
  request.mutable_model()->set_name(model);
  request.add_texts(kText);
  request.mutable_search()->set_max_length(8);
  return request;
}

std::string TextOf(const v1::Token& token, const std::string& text) {
  return text.substr(static_cast<std::size_t>(token.begin()), static_cast<std::size_t>(token.end() - token.begin()));
}

class Copying : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder = new TempFolder;
    WriteModels(folder->path());
    server = new RunningServer(folder->path());
  }
  static void TearDownTestSuite() {
    delete server;
    delete folder;
  }

  v1::Segment Translate(const v1::TranslateRequest& request) {
    const TranslateAnswer answer = server->caller().Translate(request);
    EXPECT_TRUE(answer.ok()) << answer.ToString();
    if (!answer.ok() || answer.response.results_size() != 1) return {};
    return answer.response.results(0).output().segments(0);
  }

  static TempFolder* folder;
  static RunningServer* server;
};
TempFolder* Copying::folder = nullptr;
RunningServer* Copying::server = nullptr;

TEST_F(Copying, StreamsTellTheWordsThatTheUnaryCallWrites) {
  for (const char* model : {"pointer", "mixed", "replacing"}) {
    for (int beam : {1, 4}) {
      v1::TranslateRequest request = Request(model);
      request.mutable_search()->set_beam_size(beam);
      const std::string text = Translate(request).hypotheses(0).text();
      std::string told;
      const auto stream = server->caller().StreamTranslate(request);
      v1::StreamEvent event;
      while (stream->Read(&event)) told += event.progress().delta();
      EXPECT_TRUE(stream->Wait().ok()) << stream->Wait().ToString();
      EXPECT_EQ(told, text) << model << " beam " << beam;
    }
  }
}

TEST_F(Copying, WordsThatNoVocabularyHasComeOutAsTheyWereTyped) {
  v1::TranslateRequest request = Request("pointer");
  request.mutable_search()->set_beam_size(4);
  request.mutable_search()->set_n_best(4);
  const v1::Segment segment = Translate(request);
  ASSERT_EQ(segment.hypotheses_size(), 4);
  std::set<std::string> written;
  for (const v1::Hypothesis& hypothesis : segment.hypotheses()) {
    std::vector<std::string> words;
    for (const v1::Token& token : hypothesis.tokens()) {
      ASSERT_TRUE(token.has_copied_from());
      EXPECT_GT(token.copied_from().gate(), 0.999F);
      EXPECT_GT(token.copied_from().share(), 0.999F);
      ASSERT_TRUE(token.copied_from().has_source_token());
      const v1::Token& source = segment.source_tokens(token.copied_from().source_token());
      EXPECT_EQ(token.special(), source.special());
      if (token.special()) continue;
      EXPECT_EQ(TextOf(token, hypothesis.text()), TextOf(source, kText));
      words.push_back(TextOf(token, hypothesis.text()));
      written.insert(words.back());
      EXPECT_EQ(token.id() == 0, token.piece() == "<unk>");
    }
    EXPECT_EQ(hypothesis.text(), absl::StrJoin(words, " "));
  }
  EXPECT_THAT(written, IsSubsetOf({"Zürich", "saw", "xYz", "and", "Zürich-West"}));
  EXPECT_THAT(absl::StrJoin(written, " "), HasSubstr("Zürich")) << "an unknown word is among them";
}

TEST_F(Copying, AModelThatMixesSaysHowMuchOfEachTokenWasCopied) {
  const v1::Segment segment = Translate(Request("mixed"));
  for (const v1::Token& token : segment.hypotheses(0).tokens()) {
    ASSERT_TRUE(token.has_copied_from());
    EXPECT_GT(token.copied_from().gate(), 0);
    EXPECT_LT(token.copied_from().gate(), 1);
    EXPECT_GE(token.copied_from().share(), 0);
    EXPECT_LE(token.copied_from().share(), 1);
    EXPECT_EQ(token.copied_from().share() > 0, token.copied_from().has_source_token());
  }
}

TEST_F(Copying, UnknownsAreReplacedByTheSourceWordThatWasAttendedToMost) {
  v1::TranslateRequest request = Request("replacing");
  request.mutable_attention();
  request.mutable_search()->set_beam_size(3);
  int specials_passed_over = 0;
  for (const std::string text : {kText, "Aa Bb", "x y z x", "cat Dog", "q"}) {
    request.set_texts(0, text);
    const v1::Segment segment = Translate(request);
    const v1::Hypothesis& hypothesis = segment.hypotheses(0);
    const v1::DenseMatrix& weights = hypothesis.attentions(0).dense();
    ASSERT_EQ(weights.rows(), hypothesis.tokens_size());
    for (int t = 0; t < weights.rows(); ++t) {
      const auto row = weights.values().begin() + static_cast<std::ptrdiff_t>(t) * weights.columns();
      const auto most = std::max_element(row, row + weights.columns() - 1) - row;  // without </s>, the last
      if (row[weights.columns() - 1] > row[most]) ++specials_passed_over;
      const v1::Token& token = hypothesis.tokens(t);
      ASSERT_EQ(token.piece(), "<unk>");
      ASSERT_TRUE(token.has_replaced_by());
      EXPECT_EQ(token.replaced_by(), most);
      EXPECT_EQ(TextOf(token, hypothesis.text()), TextOf(segment.source_tokens(token.replaced_by()), text));
      EXPECT_FALSE(token.has_copied_from());
    }
  }
  EXPECT_GT(specials_passed_over, 0) << "no row attended to </s> most: the test shows nothing about it";
}

TEST_F(Copying, ARequestMayLeaveUnknownsAsTheyAre) {
  v1::TranslateRequest request = Request("replacing");
  request.mutable_search()->set_replace_unknowns(false);
  const v1::Segment segment = Translate(request);
  EXPECT_THAT(segment.hypotheses(0).text(), HasSubstr("<unk> <unk>"));
  for (const v1::Token& token : segment.hypotheses(0).tokens()) EXPECT_FALSE(token.has_replaced_by());
}

TEST_F(Copying, AShortlistHoldsUnlessTheRequestTurnsItOff) {
  v1::TranslateRequest request = Request("short");
  request.mutable_search()->set_beam_size(8);
  request.mutable_search()->set_n_best(8);
  const auto ids = [&] {
    std::set<int> all;
    const v1::Segment segment = Translate(request);
    for (const v1::Hypothesis& hypothesis : segment.hypotheses()) {
      for (const v1::Token& token : hypothesis.tokens()) all.insert(token.id());
    }
    return all;
  };
  // Below 3, the source's 0 7 8 2, and filled up to 8.
  EXPECT_THAT(ids(), IsSubsetOf({0, 1, 2, 3, 4, 5, 7, 8}));
  request.set_shortlist(false);
  EXPECT_GT(*ids().rbegin(), 8) << "the whole vocabulary is searched";
}

TEST_F(Copying, TheClientAsksForItAndShowsItAsJson) {
  const Finished copied = server->Heed({"translate", "--model=pointer", "--max_length=4", "--output=json", kText});
  EXPECT_EQ(copied.code, 0) << copied.err;
  EXPECT_THAT(copied.out, HasSubstr("\"copiedFrom\":{\"gate\":"));
  EXPECT_THAT(copied.out, Not(HasSubstr("replacedBy"))) << "unset stays unset";
  const Finished off = server->Heed({"translate", "--model=short", "--noshortlist", "--max_length=4", kText});
  EXPECT_EQ(off.code, 0) << off.err;
  const Finished kept =
      server->Heed({"translate", "--model=replacing", "--replace_unknowns=false", "--max_length=3", kText});
  EXPECT_EQ(kept.code, 0) << kept.err;
  EXPECT_THAT(kept.out, HasSubstr("<unk>"));
}

}  // namespace
}  // namespace heed
