// What is drawn: widths of characters, heat maps, the progress bar.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/attention_map.h"
#include "client/cli/heat_map.h"
#include "client/cli/progress.h"
#include "client/cli/width.h"

namespace heed::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

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

TEST(Glyphs, AreCharactersWithTheMarksOverThem) {
  EXPECT_THAT(Glyphs("a한."), ElementsAre("a", "한", "."));
  EXPECT_THAT(Glyphs("e\u0301x"), ElementsAre("e\u0301", "x"));
  EXPECT_THAT(Glyphs("\u1112\u1161\u11abx"), ElementsAre("\u1112\u1161\u11ab", "x"));
  EXPECT_THAT(Glyphs("❤\ufe0f👨‍👩‍👧🇰🇷🇰🇷"),
              ElementsAre("❤\ufe0f", "👨‍👩‍👧", "🇰🇷", "🇰🇷"));
  EXPECT_THAT(Glyphs("\u200eab"), ElementsAre("\u200ea", "b")) << "a mark of no width stands with what follows";
  EXPECT_THAT(Glyphs(""), ElementsAre());
}

TEST(Isolated, IsWhatHoldsARightToLeftScriptAndNothingElse) {
  for (const char* text : {"שלום", "سلام", "▁سلام", "a سلام", "٣", "\u200f"}) {
    EXPECT_EQ(Isolated(text), absl::StrCat("\u2068", text, "\u2069"));
    EXPECT_EQ(DisplayWidth(Isolated(text)), DisplayWidth(text));
  }
  for (const char* text : {"", "abc", "한국어", "12 %", "</s>", "\xff"}) EXPECT_EQ(Isolated(text), text);
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

TEST(HeatMap, SetsLabelsUprightWhereTheMapIsTooWide) {
  DrawOptions options;
  options.width = 20;
  EXPECT_EQ(Draw(Korean(), options),
            "title\n"
            "        파\n"
            "        이\n"
            "        썬 쉽\n"
            "        은 다  .\n"
            "Python █91░░6  3\n"
            "    is ▒30▓60░10\n"
            "  쉽다    100\n"
            "  </s>    ░20█80\n");
}

// `columns` columns of so many words, each word of so many letters.
HeatMap Large(int rows, int columns, const std::string& row, const std::string& column) {
  HeatMap map{"title of a map of many words", {}, {}, {}, "source pieces"};
  for (int i = 0; i < rows; ++i) map.rows.push_back(absl::StrCat(row, i));
  for (int j = 0; j < columns; ++j) map.columns.push_back(absl::StrCat(column, j));
  std::mt19937 random(5);
  for (int i = 0; i < rows * columns; ++i) {
    map.values.push_back(static_cast<float>(random() % 4 == 0 ? random() % 1001 : random() % 9) / 1000);
  }
  return map;
}

std::string WithoutEscapes(std::string text) {
  for (std::size_t at; (at = text.find("\x1b[")) != std::string::npos;) text.erase(at, text.find('m', at) + 1 - at);
  return text;
}

std::vector<std::string> LinesOf(const std::string& drawing) {
  std::vector<std::string> lines = absl::StrSplit(drawing, '\n');
  EXPECT_EQ(lines.back(), "") << "it ends with a line end";
  lines.pop_back();
  return lines;
}

TEST(HeatMap, LeavesNumbersOutAndSaysHowToReadTheShadesBeforeItGoesOnBelow) {
  DrawOptions options;
  options.width = 22;
  EXPECT_EQ(Draw({"",
                  {"a"},
                  {"b1", "b2", "c", "d", "e", "f", "g", "h", "i", "j"},
                  {0.04f, 0.06f, 0.3f, 0.5f, 0.75f, 1.0f, 0.0f, 0.0f, 0.0f, 0.1f}},
                 options),
            "░ 5 %, ▒ 25 %, ▓ 50 %,\n"
            "  █ 75 % or more\n"
            "  b b\n"
            "  1 2 c d e f g h i j\n"
            "a   ░░▒▒▓▓████      ░░\n");
  options.colors = Colors::k16;
  const std::string drawing =
      WithoutEscapes(Draw({"", {"a"}, {"b", "c", "d", "e", "f", "g", "h"}, {0, 0, 0, 0, 0, 0, 1}}, options));
  EXPECT_EQ(drawing, "  0 10 25 50100 %\n  b c d e f g h\na               \n");
}

TEST(HeatMap, OfALongSentenceIsNotMuchLongerThanTheSentence) {
  DrawOptions options;
  options.width = 80;
  const HeatMap map = Large(52, 54, "▁piece", "▁한국");
  const std::string narrow = Draw(map, options);
  EXPECT_LE(LinesOf(narrow).size(), 130u);
  EXPECT_THAT(narrow, HasSubstr("\nsource pieces 1 to 27 of 54:\n"));
  EXPECT_THAT(narrow, HasSubstr("\n\nsource pieces 28 to 54 of 54:\n"));
  options.width = 200;
  const std::string wide = Draw(map, options);
  EXPECT_LE(LinesOf(wide).size(), 60u);
  EXPECT_THAT(wide, Not(HasSubstr("source pieces")));
  EXPECT_THAT(Draw(Large(52, 54, "▁한국", "piece"), {}), Not(HasSubstr("source pieces"))) << "narrow letters";
}

TEST(HeatMap, IsNeverWiderThanItMayBe) {
  const std::string alphabets[] = {"word", "▁한국어", "中文字", "العربية", "👨‍👩‍👧", "e\u0301"};
  for (const int width : {20, 21, 33, 40, 80, 200}) {
    for (const int columns : {1, 2, 5, 17, 54}) {
      for (const std::string& row : alphabets) {
        for (const std::string& column : alphabets) {
          HeatMap map = Large(3, columns, absl::StrCat(row, row), absl::StrCat(column, column, column));
          map.title = "sentence 2 of 3, hypothesis 1 of 5, attention \"decoder_attention\", head 0 (of 0 to 7)";
          for (const bool weights : {true, false}) {
            map.weights = weights;
            if (!weights) map.values[0] = -12345.6f;
            for (const Colors colors : {Colors::kNone, Colors::k16}) {
              for (const std::string& line : LinesOf(Draw(map, {.colors = colors, .width = width}))) {
                EXPECT_LE(DisplayWidth(WithoutEscapes(line)), width) << line;
              }
            }
          }
        }
      }
    }
  }
}

TEST(HeatMap, SaysWhichColumnsABlockHas) {
  std::string heads;
  for (const std::string& line : LinesOf(Draw(Large(1, 100, "r", ""), {.width = 40}))) {
    if (line.find("source pieces") == 0) heads += line + " ";
  }
  EXPECT_EQ(heads, "source pieces 1 to 33 of 100: source pieces 34 to 66 of 100: source pieces 67 to 100 of 100: ");
}

TEST(HeatMap, KeepsTextOfRightToLeftScriptsInItsPlace) {
  const HeatMap map{"", {"سلام", "</s>"}, {"hello", "שלום", "."}, {1, 0, 0, 0, 0.5f, 0.5f}};
  EXPECT_EQ(Draw(map, {}),
            "     hello \u2068שלום\u2069 .\n"
            "\u2068سلام\u2069 ██100\n"
            "</s>       ▓▓50 ▓50\n");
  EXPECT_THAT(Draw(Large(1, 20, "a", "שלום"), {.width = 60}), HasSubstr("\u2068ש\u2069 \u2068ש\u2069 "))
      << "upright, each by itself";
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

TEST(HeatMap, PaintsWith16Colors) {
  const HeatMap map{"", {"a"}, {"b", "c", "d"}, {1.0f, 0.3f, 0.0f}};
  DrawOptions options;
  options.colors = Colors::k16;
  EXPECT_EQ(Draw(map, options),
            "  b   c   d\n"
            "a \x1b[107;30m100\x1b[0m \x1b[45;97m 30\x1b[0m \x1b[40;97m   \x1b[0m\n");
}

TEST(Colors, AreWhatTheTerminalSaysThatItHas) {
  const struct {
    const char *term, *color_term;
    Colors colors;
  } table[] = {{"xterm-256color", "", Colors::k256}, {"xterm-256color", "truecolor", Colors::kTrue},
               {"xterm", "24bit", Colors::kTrue},    {"xterm-direct", "", Colors::kTrue},
               {"xterm-kitty", "", Colors::k256},    {"tmux-256color", "", Colors::k256},
               {"xterm", "", Colors::k16},           {"xterm-16color", "", Colors::k16},
               {"screen", "", Colors::k16},          {"linux", "", Colors::k16},
               {"rxvt", "rxvt", Colors::k16},        {"vt100", "", Colors::kNone},
               {"vt220", "", Colors::kNone},         {"xterm-mono", "", Colors::kNone},
               {"dumb", "", Colors::kNone},          {"", "", Colors::kNone}};
  for (const auto& row : table) EXPECT_EQ(ColorsOf(row.term, row.color_term), row.colors) << row.term;
}

TEST(HeatMap, DrawsEnergiesRelativeToTheirRowWithTheirNumbers) {
  HeatMap map{"", {"a", "b"}, {"xxxxxx", "yyyyyy"}, {-5.0f, 3.254f, 7.0f, 7.0f}};
  map.weights = false;
  EXPECT_EQ(Draw(map, {}),
            "  xxxxxx yyyyyy\n"
            "a  -5.00 ██3.25\n"
            "b   7.00   7.00\n");
  map.values = {-51.26f, 30.0f, 7.0f, 7.5f};
  EXPECT_THAT(Draw(map, {}), HasSubstr("a  -51.3 ██30.0\n"));
  map.values = {-5126.0f, 30.0f, 7.0f, 7.5f};
  EXPECT_THAT(Draw(map, {}), HasSubstr("a  -5126 ████30\n"));
  map.values = {-1.6e30f, 30.0f, 7.0f, 7.5f};
  EXPECT_THAT(Draw(map, {}), HasSubstr("a -2e+30 █3e+01\n"));
}

TEST(HeatMap, TakesWhateverNumbersAServerSends) {
  constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
  HeatMap map{"", {"a", "b"}, {"xxxxxx", "yyyyyy"}, {kNan, kInf, -kInf, 3e38f}};
  EXPECT_EQ(Draw(map, {}),
            "  xxxxxx yyyyyy\n"
            "a    nan    inf\n"
            "b   -inf ███999\n");
  map.weights = false;
  for (const Colors colors : {Colors::kNone, Colors::k16, Colors::k256, Colors::kTrue}) {
    EXPECT_THAT(Draw(map, {.colors = colors}), HasSubstr("nan"));
  }
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
  std::vector<HeatMap> Maps(const std::vector<HeadChoice>& choices = {}) const {
    return MapsOf(source, output, 0, 0, choices);
  }
  const std::string source = "너 왜";
  v1::TextOutput output;
  v1::Segment& segment = *output.add_segments();
  v1::Hypothesis& hypothesis = *segment.add_hypotheses();
  v1::Attention* attention = nullptr;
};

TEST(AttentionMap, CallsPiecesByTheirSpelling) {
  Example example;
  example.attention->set_unit(v1::ATTENTION_UNIT_PIECES);
  example.SetDense(3, 3);
  const auto maps = example.Maps();
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
  const auto maps = example.Maps();
  ASSERT_EQ(maps.size(), 1u);
  EXPECT_EQ(maps[0].rows, (std::vector<std::string>{"why", "</s>"}));
  EXPECT_EQ(maps[0].columns, (std::vector<std::string>{"너", "왜", "</s>"}));
}

// Two attends; "d" has three heads.
void AddHeads(Example* example) {
  example->attention->set_unit(v1::ATTENTION_UNIT_PIECES);
  example->SetDense(3, 3);
  for (int head = 0; head < 3; ++head) {
    v1::Attention* const attention = example->hypothesis.add_attentions();
    *attention = *example->attention;
    attention->set_attend("d");
    attention->set_head(head);
  }
}

std::vector<std::string> Titles(const std::vector<HeatMap>& maps) {
  std::vector<std::string> titles;
  for (const HeatMap& map : maps) titles.push_back(map.title);
  return titles;
}

TEST(AttentionMap, SaysWhichSentenceHypothesisAndHeadItIs) {
  Example example;
  AddHeads(&example);
  EXPECT_THAT(Titles(example.Maps()),
              ElementsAre("attention \"c\", head 0, weights in %", "attention \"d\", head 0 (of 0 to 2), weights in %",
                          "attention \"d\", head 1 (of 0 to 2), weights in %",
                          "attention \"d\", head 2 (of 0 to 2), weights in %"));
  example.attention->set_component(v1::ATTENTION_COMPONENT_ENERGIES);
  v1::TextOutput output;
  for (int i = 0; i < 3; ++i) *output.add_segments() = example.segment;
  for (int i = 0; i < 4; ++i) *output.mutable_segments(1)->add_hypotheses() = example.hypothesis;
  EXPECT_EQ(MapsOf(example.source, output, 1, 4)[0].title,
            "sentence 2 of 3, hypothesis 5 of 5, attention \"c\", head 0, energies");
  EXPECT_EQ(MapsOf(example.source, output, 2, 0)[0].title, "sentence 3 of 3, attention \"c\", head 0, energies");
}

TEST(AttentionMap, IsOfTheHeadsThatAreChosen) {
  Example example;
  AddHeads(&example);
  EXPECT_THAT(Titles(example.Maps(*ParseHeads("0"))),
              ElementsAre(HasSubstr("\"c\", head 0"), HasSubstr("\"d\", head 0")));
  EXPECT_THAT(Titles(example.Maps(*ParseHeads("d:2"))), ElementsAre(HasSubstr("\"d\", head 2")));
  EXPECT_THAT(Titles(example.Maps(*ParseHeads("d:2,1,c:0"))),
              ElementsAre(HasSubstr("\"c\", head 0"), HasSubstr("\"d\", head 1"), HasSubstr("\"d\", head 2")));
  for (const char* there : {"0", "2", "d:1", "c:0,d:0"}) {
    EXPECT_TRUE(CheckHeads(*ParseHeads(there), example.output).ok()) << there;
  }
  EXPECT_EQ(CheckHeads(*ParseHeads("3"), example.output).message(),
            "--head asks for 3; it must be of the heads that there are: c:0, d:0 to 2");
  EXPECT_EQ(CheckHeads(*ParseHeads("0,c:1"), example.output).message(),
            "--head asks for c:1; it must be of the heads that there are: c:0, d:0 to 2");
  EXPECT_TRUE(CheckHeads(*ParseHeads("x:9"), v1::TextOutput()).ok()) << "nothing was read, so nothing is wrong";
  for (const char* wrong : {"", "-1", "a", ":0", "c:", "0,", "1.5", "99999999999"}) {
    EXPECT_FALSE(ParseHeads(wrong).ok()) << wrong;
  }
}

TEST(AttentionMap, IsNotOfContexts) {
  Example example;
  example.SetDense(3, 3);
  example.attention->set_component(v1::ATTENTION_COMPONENT_CONTEXTS);
  EXPECT_TRUE(example.Maps().empty());
}

TEST(AttentionMap, LeavesOutWhatDoesNotMatchItsTokens) {
  Example example;
  example.attention->set_unit(v1::ATTENTION_UNIT_PIECES);
  example.SetDense(2, 3);
  EXPECT_TRUE(example.Maps().empty());
  example.attention->clear_encoding();
  EXPECT_TRUE(example.Maps().empty());
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
