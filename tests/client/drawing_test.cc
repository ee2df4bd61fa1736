// What is drawn: widths of characters, heat maps, the progress bar.
#include <gtest/gtest.h>

#include "client/cli/attention_map.h"
#include "client/cli/heat_map.h"
#include "client/cli/progress.h"
#include "client/cli/width.h"

namespace heed::cli {
namespace {

TEST(DisplayWidth, IsTwoForWideCharactersAndNoneForMarks) {
  const std::pair<std::string, int> table[] = {{"", 0},
                                               {"abc", 3},
                                               {"파이썬", 6},
                                               {"中文", 4},
                                               {"ｱ", 1},   // half-width katakana
                                               {"Ａ", 2},  // full-width A
                                               {"é", 1},
                                               {"e\u0301", 1},             // combining acute
                                               {"\u1112\u1161\u11ab", 2},  // decomposed 한
                                               {"▁doc", 4},
                                               {"</s>", 4},
                                               {"😀", 2},
                                               {"👍🏽", 2},            // with a skin tone
                                               {"👨‍👩‍👧", 2},  // joined family
                                               {"🇰🇷", 2},                  // a flag
                                               {"🇰🇷🇰🇷", 4},
                                               {"❤\ufe0f", 2},    // text made an emoji
                                               {"a\u200bb", 2},   // zero-width space
                                               {"\xff\xfe", 2}};  // not UTF-8
  for (const auto& [text, width] : table) EXPECT_EQ(DisplayWidth(text), width) << text;
}

TEST(Truncate, CutsAtAColumnAndSaysSo) {
  EXPECT_EQ(Truncate("abcdef", 6), "abcdef");
  EXPECT_EQ(Truncate("abcdef", 4), "abc…");
  EXPECT_EQ(Truncate("파이썬", 6), "파이썬");
  EXPECT_EQ(Truncate("파이썬", 5), "파이…");
  EXPECT_EQ(Truncate("파이썬", 4), "파…");  // half a character is none
}

TEST(Pad, CountsColumnsRatherThanBytes) {
  EXPECT_EQ(PadLeft("한", 4), "  한");
  EXPECT_EQ(PadRight("한", 4), "한  ");
  EXPECT_EQ(PadLeft("long", 2), "long");
}

TEST(Printable, LeavesTextsTheirLinesAndDirections) {
  EXPECT_EQ(PrintableText("a\x1b[31mb\n\tc\r\u009b\x7f"), "a\uFFFD[31mb\n\tc\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(PrintableText("\u202Eabc 한\xff"), "\u202Eabc 한\uFFFD");
}

TEST(Printable, LeavesNothingThatATerminalWouldObey) {
  EXPECT_EQ(Printable("a\x1b[31mb\n"), "a\uFFFD[31mb\uFFFD");
  EXPECT_EQ(Printable("\u202Eabc"), "\uFFFDabc");
  EXPECT_EQ(Printable("한\xff"), "한\uFFFD");
  EXPECT_EQ(Printable(std::string("a\0b", 3)), "a\uFFFDb");
}

HeatMap Korean() {
  return {"title",
          {"Python", "is", "쉽다", "</s>"},
          {"파이썬은", "쉽다", "."},
          {0.91f, 0.06f, 0.03f,  //
           0.3f, 0.6f, 0.1f,     //
           0.0f, 1.0f, 0.0f,     //
           0.004f, 0.2f, 0.796f}};
}

TEST(HeatMap, ShadesCellsUnderTheirLabelsWithoutColor) {
  EXPECT_EQ(Draw(Korean(), {}),
            "title\n"
            "       파이썬은 쉽다 .\n"
            "Python ██████91 ░░░6   3\n"
            "    is ▒▒▒▒▒▒30 ▓▓60 ░10\n"
            "  쉽다          █100\n"
            "  </s>          ░░20 █80\n");
}

TEST(HeatMap, GoesOnBelowWhenTheTerminalIsNarrow) {
  DrawOptions options;
  options.width = 20;
  EXPECT_EQ(Draw(Korean(), options),
            "title\n"
            "       파이썬은 쉽다\n"
            "Python ██████91 ░░░6\n"
            "    is ▒▒▒▒▒▒30 ▓▓60\n"
            "  쉽다          █100\n"
            "  </s>          ░░20\n"
            "\n"
            "       .\n"
            "Python   3\n"
            "    is ░10\n"
            "  쉽다\n"
            "  </s> █80\n");
}

TEST(HeatMap, DrawsAtLeastOneColumnHoweverNarrowTheTerminalIs) {
  DrawOptions options;
  options.width = 1;
  const std::string drawing = Draw(Korean(), options);
  EXPECT_NE(drawing.find("파이썬은"), std::string::npos);
  EXPECT_NE(drawing.find("█80"), std::string::npos);
}

TEST(HeatMap, PaintsWithTrueColors) {
  const HeatMap map{"", {"a"}, {"b", "c"}, {1.0f, 0.0f}};
  DrawOptions options;
  options.colors = Colors::kTrue;
  EXPECT_EQ(Draw(map, options),
            "  b   c\n"
            "a \x1b[48;2;252;255;164m\x1b[38;2;0;0;0m100\x1b[0m \x1b[48;2;0;0;4m\x1b[38;2;255;255;255m   \x1b[0m\n");
}

TEST(HeatMap, PaintsWith256Colors) {
  const HeatMap map{"", {"a"}, {"b", "c"}, {1.0f, 0.0f}};
  DrawOptions options;
  options.colors = Colors::k256;
  EXPECT_EQ(Draw(map, options),
            "  b   c\n"
            "a \x1b[48;5;229m\x1b[38;5;16m100\x1b[0m \x1b[48;5;16m\x1b[38;5;231m   \x1b[0m\n");
}

TEST(HeatMap, DrawsEnergiesRelativeToTheirRow) {
  HeatMap map{"", {"a", "b"}, {"xxxx", "yyyy"}, {-5.0f, 3.0f, 7.0f, 7.0f}};
  map.weights = false;
  EXPECT_EQ(Draw(map, {}),
            "  xxxx yyyy\n"
            "a      ████\n"
            "b\n");
}

TEST(HeatMap, OfNothingIsItsTitle) { EXPECT_EQ(Draw({"title", {}, {}, {}}, {}), "title\n"); }

TEST(HeatMap, CutsLongLabels) {
  const HeatMap map{"", {"abcdefghijklmnopqrstuvwxyz"}, {"c"}, {0.5f}};
  DrawOptions options;
  options.max_label = 6;
  EXPECT_EQ(Draw(map, options),
            "       c\n"
            "abcde… ▓50\n");
}

v1::Token Token(const std::string& piece, int begin, int end, bool special = false) {
  v1::Token token;
  token.set_piece(piece);
  token.set_begin(begin);
  token.set_end(end);
  token.set_special(special);
  return token;
}

// "너 왜" read as two words and </s>; "why" written as two pieces and </s>.
struct Example {
  Example() {
    *segment.add_source_tokens() = Token("▁너", 0, 3);
    *segment.add_source_tokens() = Token("▁왜", 4, 7);
    *segment.add_source_tokens() = Token("</s>", 7, 7, true);
    hypothesis.set_text("why");
    *hypothesis.add_tokens() = Token("▁wh", 0, 2);
    *hypothesis.add_tokens() = Token("y", 2, 3);
    *hypothesis.add_tokens() = Token("</s>", 3, 3, true);
    attention = hypothesis.add_attentions();
    attention->set_attend("c");
    attention->set_component(v1::ATTENTION_COMPONENT_WEIGHTS);
  }
  void SetDense(int rows, int columns) const {
    attention->mutable_dense()->set_rows(rows);
    attention->mutable_dense()->set_columns(columns);
    for (int i = 0; i < rows * columns; ++i) attention->mutable_dense()->add_values(static_cast<float>(i));
  }
  const std::string source = "너 왜";
  v1::Segment segment;
  v1::Hypothesis hypothesis;
  v1::Attention* attention = nullptr;
};

TEST(AttentionMap, CallsPiecesByTheirSpelling) {
  Example example;
  example.attention->set_unit(v1::ATTENTION_UNIT_PIECES);
  example.SetDense(3, 3);
  const auto maps = MapsOf(example.source, example.segment, example.hypothesis);
  ASSERT_EQ(maps.size(), 1u);
  EXPECT_EQ(maps[0].rows, (std::vector<std::string>{"▁wh", "y", "</s>"}));
  EXPECT_EQ(maps[0].columns, (std::vector<std::string>{"▁너", "▁왜", "</s>"}));
  EXPECT_EQ(maps[0].values.size(), 9u);
  EXPECT_EQ(maps[0].title, "attention \"c\", head 0, weights in %");
}

TEST(AttentionMap, CallsWordsByTheirText) {
  Example example;
  example.attention->set_unit(v1::ATTENTION_UNIT_WORDS);
  const auto word = [](v1::Word* word, int first, int count, int begin, int end, bool special) {
    word->set_first_token(first);
    word->set_token_count(count);
    word->set_begin(begin);
    word->set_end(end);
    word->set_special(special);
  };
  word(example.attention->add_target_words(), 0, 2, 0, 3, false);
  word(example.attention->add_target_words(), 2, 1, 3, 3, true);
  word(example.attention->add_source_words(), 0, 1, 0, 3, false);
  word(example.attention->add_source_words(), 1, 1, 4, 7, false);
  word(example.attention->add_source_words(), 2, 1, 7, 7, true);
  example.SetDense(2, 3);
  const auto maps = MapsOf(example.source, example.segment, example.hypothesis);
  ASSERT_EQ(maps.size(), 1u);
  EXPECT_EQ(maps[0].rows, (std::vector<std::string>{"why", "</s>"}));
  EXPECT_EQ(maps[0].columns, (std::vector<std::string>{"너", "왜", "</s>"}));
}

TEST(AttentionMap, LeavesOutWhatDoesNotMatchItsTokens) {
  Example example;
  example.attention->set_unit(v1::ATTENTION_UNIT_PIECES);
  example.SetDense(2, 3);
  EXPECT_TRUE(MapsOf(example.source, example.segment, example.hypothesis).empty());
  example.attention->clear_encoding();
  EXPECT_TRUE(MapsOf(example.source, example.segment, example.hypothesis).empty());
}

TEST(ProgressLine, ShowsShareSpeedAndTimeLeft) {
  EXPECT_EQ(ProgressLine({.done = 50, .total = 100, .lines = 1200, .elapsed = absl::Seconds(20)}, 80),
            "[##################-------------------]  50%  1200 lines, 60 lines/s, 20 s left");
  EXPECT_EQ(ProgressLine({.done = 100, .total = 100, .lines = 7, .elapsed = absl::Seconds(1)}, 60),
            "[################################] 100%  7 lines, 7 lines/s");
  EXPECT_EQ(ProgressLine({.done = 50, .total = 100, .lines = 1200, .elapsed = absl::Seconds(20)}, 30),
            " 50%  1200 lines, 60 lines/s,");
  EXPECT_EQ(ProgressLine({.lines = 3}, 80), "3 lines");
}

}  // namespace
}  // namespace heed::cli
