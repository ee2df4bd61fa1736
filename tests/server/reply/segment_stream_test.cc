// What a stream tells of a segment, put together, is the final text and its ranges: for every kind of vocabulary, any
// tokens, however they come.
#include "server/reply/segment_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "server/reply/tokens.h"
#include "tests/server/models/fake_model.h"
#include "tests/server/text/subword_models.h"

namespace heed {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

// A request with one segment to a model that writes with this tokeniser.
struct OneSegment {
  OneSegment(std::unique_ptr<Tokenizer> tokenizer, int size) {
    std::unique_ptr<ServedModel> model = FakeModel();
    model->target_tokenizer = std::move(tokenizer);
    model->spec.mutable_target()->set_size(size);
    model->spec.mutable_target()->set_unk_id(0);
    request.model = std::move(model);
    request.texts.resize(1);
    request.texts[0].segments.resize(1);
    request.texts[0].segments[0].job = 0;
  }

  AdmittedRequest request;
};

DecodedHypothesis Tokens(std::vector<TokenId> tokens) {
  DecodedHypothesis hypothesis;
  hypothesis.log_probabilities.assign(tokens.size(), -1);
  hypothesis.tokens = std::move(tokens);
  return hypothesis;
}

struct Told {
  std::vector<ByteRange> ranges;
  std::vector<TokenId> ids;
  std::string text;

  void Add(const std::optional<v1::SegmentProgress>& progress) {
    if (!progress.has_value()) return;
    EXPECT_TRUE(IsValidUtf8(progress->delta())) << "half a character";
    EXPECT_TRUE(progress->tokens_size() > 0 || !progress->delta().empty());
    for (const v1::Token& token : progress->tokens()) {
      ids.push_back(token.id());
      ranges.push_back({token.begin(), token.end()});
    }
    text += progress->delta();
  }
};

void ExpectStreamIsDecode(OneSegment* segment, const std::vector<TokenId>& ids, std::mt19937* random) {
  const DecodedText whole = segment->request.model->target_tokenizer->Decode(ids);
  SegmentStream stream(&segment->request, 0, 0, false);
  Told told;
  std::size_t at = 0;
  while (at < ids.size()) {
    const std::size_t count = std::min<std::size_t>(ids.size() - at, 1 + (*random)() % 4);
    if ((*random)() % 10 == 0) {  // the rest comes with the result
      stream.AddRest(Tokens(ids));
      at = ids.size();
    } else {
      stream.Add(Tokens(
          {ids.begin() + static_cast<std::ptrdiff_t>(at), ids.begin() + static_cast<std::ptrdiff_t>(at + count)}));
      at += count;
    }
    if ((*random)() % 3 > 0) told.Add(stream.Take(false));
    ASSERT_EQ(told.text, whole.text.substr(0, told.text.size()));
  }
  told.Add(stream.Take(true));
  EXPECT_EQ(told.text, whole.text);
  EXPECT_EQ(told.ids, ids);
  EXPECT_EQ(told.ranges, whole.ranges);
  EXPECT_FALSE(stream.Take(true).has_value());
}

TEST(SegmentStream, TellsTheFinalTextWithEveryVocabulary) {
  std::mt19937 random(5);
  const auto check = [&](const std::string& name, std::unique_ptr<Tokenizer> tokenizer, int size) {
    SCOPED_TRACE(name);
    OneSegment segment(std::move(tokenizer), size);
    for (int round = 0; round < 150; ++round) {
      std::vector<TokenId> ids;
      if (round % 2 == 0) {
        ids = segment.request.model->target_tokenizer->Encode(::heed::testing::RandomText(random)).ids;
      } else {
        for (int i = static_cast<int>(random() % 25); i >= 0; --i) {
          ids.push_back(static_cast<TokenId>(random() % static_cast<unsigned>(size)));
        }
      }
      ids.push_back(2);
      ExpectStreamIsDecode(&segment, ids, &random);
      if (::testing::Test::HasFailure()) return;
    }
  };
  for (const auto& [name, size] : ::heed::testing::TestModels())
    check(name, ::heed::testing::LoadTestTokenizer(name), size);
  for (const std::string& name : ::heed::testing::SubwordNames()) {
    const int size = ::heed::testing::SubwordVocabulary(::heed::testing::ReadSubwordFile(name + ".json")).size();
    check(name, ::heed::testing::LoadSubwordTokenizer(name), size);
  }
}

TEST(SegmentStream, HoldsBackHalfACharacter) {
  const std::string name = "bpe_bytes";
  OneSegment segment(::heed::testing::LoadTestTokenizer(name), ::heed::testing::TestModels().at(name));
  const std::vector<TokenId> ids = segment.request.model->target_tokenizer->Encode("a\U0001F600b").ids;
  ASSERT_GT(ids.size(), 5u) << "the character is bytes";
  SegmentStream stream(&segment.request, 0, 0, false);
  Told told;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    stream.Add(Tokens({ids[i]}));
    told.Add(stream.Take(false));
    // The last two tokens are the character's last byte and "b".
    EXPECT_EQ(told.text, i + 2 < ids.size() ? "a" : i + 1 < ids.size() ? "a\U0001F600" : "a\U0001F600b") << i;
  }
}

TEST(SegmentStream, TellsEachAttentionRowOnceWithItsToken) {
  OneSegment segment(::heed::testing::LoadTestTokenizer("unigram"), 380);
  SegmentStream stream(&segment.request, 0, 0, true);
  const auto add = [&](std::vector<TokenId> ids, float first) {
    DecodedHypothesis fresh = Tokens(ids);
    AttentionMatrix& matrix = fresh.attentions.emplace_back();
    matrix.rows = static_cast<int>(ids.size());
    matrix.columns = 2;
    for (std::size_t i = 0; i < 2 * ids.size(); ++i) matrix.values.push_back(first + static_cast<float>(i));
    stream.Add(std::move(fresh));
  };
  const std::vector<TokenId> ids = segment.request.model->target_tokenizer->Encode("the").ids;
  const TokenId word = ids.back();
  add({word, word}, 0);
  auto progress = stream.Take(false);
  ASSERT_TRUE(progress.has_value());
  ASSERT_THAT(progress->attentions(), SizeIs(1));
  EXPECT_THAT(progress->attentions(0).dense().values(), ElementsAre(0, 1, 2, 3));
  add({2}, 4);  // </s> has no text, and nothing changes that
  progress = stream.Take(false);
  ASSERT_TRUE(progress.has_value());
  EXPECT_EQ(progress->attentions(0).dense().rows(), 1);
  EXPECT_THAT(progress->attentions(0).dense().values(), ElementsAre(4, 5));
  EXPECT_FALSE(stream.Take(true).has_value());
}

}  // namespace
}  // namespace heed
