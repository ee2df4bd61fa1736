// What a tokeniser takes is at most what TokenizerBytes said of its files, hostile ones included. Every operator new of
// the program is weighed.
#include "server/text/tokenizer_bytes.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "absl/strings/str_cat.h"
#include "server/text/tokenizer.h"
#include "server/text/wire_fields.h"
#include "tests/server/text/text_models.h"

namespace {

thread_local bool weighing = false;
thread_local std::int64_t now = 0, most = 0;

void* Allocate(std::size_t size) {
  void* p = std::malloc(size);
  if (p == nullptr) std::abort();
  if (weighing) most = std::max(most, now += static_cast<std::int64_t>(malloc_usable_size(p)));
  return p;
}

void Free(void* p) {
  if (weighing && p != nullptr) now -= static_cast<std::int64_t>(malloc_usable_size(p));
  std::free(p);
}

}  // namespace

// Not inlined: the compiler would take free() for the wrong end of a new-expression.
#define HEED_COUNTED [[gnu::noinline]]
HEED_COUNTED void* operator new(std::size_t size) { return Allocate(size); }
HEED_COUNTED void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return Allocate(size); }
HEED_COUNTED void operator delete(void* p) noexcept { Free(p); }
HEED_COUNTED void operator delete(void* p, std::size_t) noexcept { Free(p); }

namespace heed {
namespace {

using ::heed::testing::ReadTestFile;
using ::heed::testing::TestVocabulary;
using Files = std::map<std::string, std::string>;

constexpr std::int64_t kSmall = 64 << 10;  // what does not grow with the files

// The most that making it takes; whether it can be made is another matter.
std::int64_t Taken(const model::v1::Vocabulary& vocabulary, const Files& files) {
  now = most = 0;
  weighing = true;
  { const auto tokenizer = Tokenizer::Make(vocabulary, files); }
  weighing = false;
  return most;
}

void ExpectBounded(const model::v1::Vocabulary& vocabulary, const Files& files) {
  EXPECT_LE(Taken(vocabulary, files), TokenizerBytes(vocabulary, files) + kSmall);
}

model::v1::Vocabulary Listed(int size) {
  model::v1::Vocabulary vocabulary;
  vocabulary.set_size(size);
  vocabulary.set_pieces("p");
  vocabulary.mutable_words();
  return vocabulary;
}

std::string Field(int number, const std::string& bytes) {
  std::string field(1, static_cast<char>(number << 3 | 2));
  for (std::size_t size = bytes.size();; size >>= 7) {
    field += static_cast<char>((size & 0x7F) | (size > 0x7F ? 0x80 : 0));
    if (size <= 0x7F) break;
  }
  return field + bytes;
}

TEST(TokenizerBytes, BoundRealModels) {
  for (const char* name : {"unigram", "bpe_bytes", "bpe_suffix", "unigram_plain"}) {
    const model::v1::Vocabulary vocabulary = TestVocabulary(name);
    const Files files = {{vocabulary.sentencepiece().file(), ReadTestFile(absl::StrCat(name, ".model"))}};
    EXPECT_GT(Taken(vocabulary, files), kSmall / 4) << name;
    ExpectBounded(vocabulary, files);
  }
}

TEST(TokenizerBytes, BoundListsOfTinyAndOfLongPieces) {
  for (const std::string& text : {std::string(), std::string("twenty-five letters or so"), std::string(3000, 'x')}) {
    const int count = text.size() > 1000 ? 100 : 100000;
    std::string list = "[";
    for (int i = 0; i < count; ++i) absl::StrAppend(&list, i == 0 ? "" : ",", "\"", text.empty() ? "" : text, "\"");
    ExpectBounded(Listed(count), {{"p", list + "]"}});
    std::string different = "[";
    for (int i = 0; i < count; ++i) absl::StrAppend(&different, i == 0 ? "" : ",", "\"", i, text, "\"");
    ExpectBounded(Listed(count), {{"p", different + "]"}});
  }
}

TEST(TokenizerBytes, BoundListsOfMerges) {
  model::v1::Vocabulary vocabulary = Listed(1);
  vocabulary.mutable_bpe()->set_merges("m");
  for (const int bytes : {0, 40}) {
    std::string merges = "#version: 0.2\n";
    for (int i = 0; i < 100000; ++i) absl::StrAppend(&merges, i % 300, std::string(bytes, 'a'), " ", i / 300, "\n");
    ExpectBounded(vocabulary, {{"p", "[\"<unk>\"]"}, {"m", merges}});
  }
}

TEST(TokenizerBytes, BoundModelsOfManyPiecesAndOfPiecesWithNothingInCommon) {
  for (const int bytes : {0, 60, 500}) {
    const int count = bytes == 500 ? 2000 : 50000;
    std::string model;
    for (int i = 0; i < count; ++i) {
      // The number first: no two share more than it.
      std::string piece = Field(1, absl::StrCat(i, std::string(bytes, 'a')));
      if (i == 0) piece += "\x18\x02";      // the unknown piece
      if (i % 2 == 1) piece += "\x18\x04";  // user-defined: in two tries
      model += Field(1, piece);
    }
    model::v1::Vocabulary vocabulary;
    vocabulary.set_size(count);
    vocabulary.mutable_sentencepiece()->set_file("s");
    EXPECT_TRUE(Tokenizer::Make(vocabulary, {{"s", model}}).ok());
    ExpectBounded(vocabulary, {{"s", model}});
  }
}

// Read into a tree, each would take some 30 times its two bytes.
TEST(TokenizerBytes, BoundModelsOfNothingButTinyFields) {
  const model::v1::Vocabulary vocabulary = TestVocabulary("unigram");
  const std::string& name = vocabulary.sentencepiece().file();
  std::string numbers, strings;
  for (int i = 0; i < 500000; ++i) numbers += "\x08\x01";
  for (int i = 0; i < 500000; ++i) strings += std::string("\x12\0", 2);
  for (const std::string& file : {numbers, strings, Field(1, numbers), Field(2, strings), Field(3, numbers)}) {
    EXPECT_LE(Taken(vocabulary, {{name, file}}), 4 * static_cast<std::int64_t>(file.size()) + kSmall);
    ExpectBounded(vocabulary, {{name, file}});
  }
}

TEST(WireFields, ReadsEveryKindAndPassesGroupsOver) {
  const std::string message = std::string("\x08\x96\x01", 3) +            // 1: 150
                              std::string("\x13\x08\x01\x14", 4) +        // 2: a group
                              std::string("\x1D\x01\0\0\0", 5) +          // 3: fixed32
                              std::string("\x21\x02\0\0\0\0\0\0\0", 9) +  // 4: fixed64
                              Field(5, "abc");
  WireFields fields(message);
  WireField field;
  ASSERT_TRUE(fields.Next(&field));
  EXPECT_EQ(field.number, 1);
  EXPECT_EQ(field.value, 150U);
  ASSERT_TRUE(fields.Next(&field));
  EXPECT_EQ(field.number, 3);
  EXPECT_EQ(field.value, 1U);
  ASSERT_TRUE(fields.Next(&field));
  EXPECT_EQ(field.number, 4);
  EXPECT_EQ(field.value, 2U);
  ASSERT_TRUE(fields.Next(&field));
  EXPECT_EQ(field.number, 5);
  EXPECT_EQ(field.bytes, "abc");
  EXPECT_FALSE(fields.Next(&field));
  EXPECT_FALSE(fields.damaged());
}

TEST(WireFields, SeesDamage) {
  EXPECT_TRUE(IsWireMessage(""));
  for (const std::string& bad :
       {std::string("\x08"), std::string("\x00\x01", 2),
        std::string("\x0A\x05"
                    "abc"),
        std::string("\x0F\x01"), std::string("\x13\x08\x01"), std::string("\x14"), std::string("\x13\x1C"),
        std::string("\x0D\x01\x02"), std::string("\x08") + std::string(10, '\xFF'),
        std::string(101, '\x0B') + std::string(101, '\x0C')}) {
    EXPECT_FALSE(IsWireMessage(bad));
  }
}

}  // namespace
}  // namespace heed
