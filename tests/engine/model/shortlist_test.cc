// Lexical shortlists: the candidates of a source, and one line for every damage to the file.
#include "engine/model/shortlist.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/shortlist_file.h"

namespace heed {
namespace {

using testing::ElementsAre;
using testing::StartsWith;

// 200 source and target ids; source id i has the list lists[i].
std::vector<std::vector<std::uint32_t>> Lists() {
  std::vector<std::vector<std::uint32_t>> lists(200);
  lists[5] = {0, 63, 64, 150};
  lists[6] = {64, 199};
  lists[150] = {2};
  return lists;
}

std::vector<TokenId> CandidatesOf(std::uint64_t first, const std::vector<TokenId>& source) {
  const auto list = Shortlist::Parse("lex.bin", ShortlistBytes(first, Lists()), 200, 200, true);
  EXPECT_TRUE(list.ok()) << list.status();
  return list->Candidates(source);
}

TEST(Shortlist, GivesFirstIdsSourceIdsAndTheirListsPaddedToAMultipleOfEight) {
  // 0 1 2 | 5 | 63 64 150 make 7; one more from 3 on.
  EXPECT_THAT(CandidatesOf(3, {5}), ElementsAre(0, 1, 2, 3, 5, 63, 64, 150));
  // 0 1 2 5 6 63 64 150 199 make 9; padding goes on until 16 and skips what is in.
  EXPECT_THAT(CandidatesOf(3, {6, 5, 150, 5}), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 63, 64, 150, 199));
}

TEST(Shortlist, TakesTheWholeVocabularyWhereFirstNumIsBeyondIt) {
  const std::vector<TokenId> all = CandidatesOf(1000, {5});
  ASSERT_EQ(all.size(), 200u);
  EXPECT_EQ(all.back(), 199);
  // Padding stops at the last id: 3 ids of 3.
  const auto list = Shortlist::Parse("lex.bin", ShortlistBytes(1, {{}, {}, {}}), 3, 3, true);
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_THAT(list->Candidates({2}), ElementsAre(0, 1, 2));
}

TEST(Shortlist, LeavesSourceIdsOutWhereTheVocabulariesAreTwo) {
  // Ids of the source beyond the target's vocabulary are no candidates: 0 1 | 3 7 | 2 4 5 6 are the padding.
  const auto list =
      Shortlist::Parse("lex.bin", ShortlistBytes(2, {{}, {}, {}, {}, {}, {}, {}, {}, {}, {3, 7}, {}}), 11, 9, false);
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_THAT(list->Candidates({9, 10}), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

void ExpectRefused(const std::string& bytes, const std::string& message, int vocabulary = 200) {
  const absl::Status status = Shortlist::Parse("lex.bin", bytes, vocabulary, vocabulary, true).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), StartsWith("lex.bin: " + message));
}

TEST(Shortlist, RefusesADamagedFileWithOneLine) {
  const std::string good = ShortlistBytes(3, Lists());
  const auto damaged = [&](std::size_t at, auto value) {
    std::string bytes = good;
    Put(bytes, at, value);
    Seal(bytes);
    return bytes;
  };
  ExpectRefused("", "0 bytes, expected a header of 48 at least");
  ExpectRefused(good.substr(0, 47), "47 bytes, expected a header of 48 at least");
  ExpectRefused(damaged(0, std::uint64_t{7}), "starts with 7, expected f11a48d5013417f5, a binary lexical shortlist");
  ExpectRefused(good.substr(0, good.size() - 1), "201 offsets and 7 ids do not fill the 1635 bytes behind the header");
  ExpectRefused(good + "x", "201 offsets and 7 ids do not fill the 1637 bytes");
  // A number of offsets whose bytes wrap around to the right sum.
  ExpectRefused(damaged(32, std::uint64_t{201} + (std::uint64_t{1} << 61)), "2305843009213694153 offsets and 7 ids");
  std::string flipped = good;
  flipped[60] ^= 1;
  ExpectRefused(flipped, "checksum is ");
  ExpectRefused(good, "201 offsets, expected 101, one more than source ids", 100);
  ExpectRefused(damaged(48 + 8 * 6, std::uint64_t{9}), "offset 6 is 9, expected at most 6");
  ExpectRefused(damaged(48 + 8 * 200, std::uint64_t{8}), "offset 200 is 8, expected at most 7");
  std::string early = ShortlistBytes(3, {{}, {1}});
  Put(early, 48 + 8 * 2, std::uint64_t{0});
  Seal(early);
  ExpectRefused(early, "the last offset is 0, expected 1", 2);
  ExpectRefused(damaged(48 + 8 * 201 + 4, std::uint32_t{200}), "id 1 is 200, expected below 200");
}

}  // namespace
}  // namespace heed
