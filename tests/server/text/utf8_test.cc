#include "server/text/utf8.h"

#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/ustring.h>

#include <random>

#include "gtest/gtest.h"
#include "tests/server/text/text_models.h"

namespace heed {
namespace {

using ::heed::testing::RandomText;

TEST(Utf8, KnowsWellFormedFromIllFormed) {
  for (std::string_view good :
       {std::string_view(), std::string_view("\0a", 2), std::string_view("\x7F"), std::string_view("\xC2\x80"),
        std::string_view("\xDF\xBF"), std::string_view("\xE0\xA0\x80"), std::string_view("\xED\x9F\xBF"),
        std::string_view("\xEE\x80\x80"), std::string_view("\xEF\xBF\xBF"), std::string_view("\xF0\x90\x80\x80"),
        std::string_view("\xF4\x8F\xBF\xBF")}) {
    EXPECT_TRUE(IsValidUtf8(good));
    EXPECT_TRUE(IsValidUtf8("12345678" + std::string(good) + "12345678"));
  }
  for (std::string_view bad :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x41", "\xE0\x9F\xBF", "\xE0\xA0", "\xED\xA0\x80",
        "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF0\x90\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFE", "\xFF"}) {
    EXPECT_FALSE(IsValidUtf8(bad));
    EXPECT_FALSE(IsValidUtf8("12345678" + std::string(bad) + "12345678"));
    EXPECT_FALSE(IsValidUtf8("1234567" + std::string(bad)));
  }
}

TEST(Utf8, AcceptsExactlyWhatIcuAccepts) {
  std::mt19937 random(3);
  int valid = 0;
  for (int i = 0; i < 200000; ++i) {
    std::string text = i % 2 == 0 ? RandomText(random).substr(0, 24) : std::string(random() % 6, '\0');
    const int edits = i % 2 == 0 ? random() % 2 : static_cast<int>(text.size());
    for (int k = 0; k < edits && !text.empty(); ++k) text[random() % text.size()] = static_cast<char>(random());
    UErrorCode error = U_ZERO_ERROR;
    int length = 0;
    u_strFromUTF8(nullptr, 0, &length, text.data(), static_cast<int>(text.size()), &error);
    const bool expected = error == U_BUFFER_OVERFLOW_ERROR || U_SUCCESS(error);
    ASSERT_EQ(IsValidUtf8(text), expected);
    valid += expected;
  }
  EXPECT_GT(valid, 10000);
  EXPECT_LT(valid, 190000);
}

TEST(Utf8, ReadsEveryCodePointForwardsAndBackwardsAndKnowsItsSpaces) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    const auto code_point = static_cast<UChar32>(c);
    ASSERT_EQ(IsWhiteSpace(c), static_cast<bool>(u_isUWhiteSpace(code_point))) << std::hex << code_point;
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text = "é";
    AppendUtf8(c, &text);
    ASSERT_TRUE(IsValidUtf8(text));
    ASSERT_TRUE(CodePointAt(text, 2).value == c);
    ASSERT_EQ(CodePointAt(text, 2).size, static_cast<int>(text.size()) - 2);
    ASSERT_TRUE(CodePointBefore(text, text.size()).value == c);
    ASSERT_EQ(CodePointBefore(text, text.size()).size, static_cast<int>(text.size()) - 2);
  }
}

TEST(Utf8, TrimsWhiteSpaceOnly) {
  const std::string text = "\u3000 \u200b가 나\u0085\t";
  const ByteRange trimmed = TrimWhiteSpace(text, {0, static_cast<int>(text.size())});
  EXPECT_EQ(text.substr(trimmed.begin, trimmed.end - trimmed.begin), "\u200b가 나");
  const ByteRange none = TrimWhiteSpace(" \t ", {0, 3});
  EXPECT_EQ(none.begin, none.end);
}

TEST(Printable, EscapesWhatNoReplyMayHoldAndNothingElse) {
  EXPECT_EQ(Printable("모델 1"), "모델 1");
  EXPECT_EQ(Printable("a\xE8z"), "a\\xe8z");
  EXPECT_EQ(Printable(std::string("\0\n\x1B\x7F", 4)), "\\x00\\x0a\\x1b\\x7f");
  EXPECT_EQ(Printable("\xC2\x9B"), "\\xc2\\x9b");  // a control character of two bytes
  EXPECT_EQ(Printable("\xED\xA0\x80"), "\\xed\\xa0\\x80");
  EXPECT_TRUE(IsValidUtf8(Printable("\xF4\xBF\xBF\xBF\xEC")));
}

}  // namespace
}  // namespace heed
