#include "server/text/opennmt_tokenizer.h"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/text/opennmt_words.h"
#include "server/text/ranges.h"
#include "server/text/table_tokenizer.h"
#include "server/text/utf8.h"

namespace heed {
namespace {

// "％" and four small hex digits stand for a character.
std::string Unescaped(std::string_view text) {
  constexpr std::string_view kEscape = "％", kDigits = "0123456789abcdef";
  constexpr std::size_t kWidth = 4;
  std::string out;
  while (!text.empty()) {
    const std::size_t at = text.find(kEscape);
    out += text.substr(0, at);
    if (at == std::string_view::npos) break;
    text.remove_prefix(at + kEscape.size());
    const std::string_view code = text.substr(0, kWidth);
    char32_t value = 0;
    bool valid = code.size() == kWidth;
    for (const char c : code) {
      const std::size_t digit = kDigits.find(c);
      valid = valid && digit != std::string_view::npos;
      value = value * 16 + static_cast<char32_t>(digit & 15);
    }
    valid = valid && value != 0 && (value < 0xD800 || value > 0xDFFF);
    if (valid) {
      AppendUtf8(value, &out);
      text.remove_prefix(kWidth);
    } else {
      out += kEscape;
    }
  }
  return out;
}

class OpenNmtTokenizer : public TableTokenizer {
 public:
  OpenNmtTokenizer(PieceTable table, OpenNmtOptions options)
      : TableTokenizer(std::move(table)), options_(std::move(options)) {}

  EncodedText Encode(std::string_view text) const override;

 private:
  Parts Split(std::string_view spelling) const override;
  // The words with merges applied.
  std::vector<OpenNmtWord> Pieces(const OpenNmtWords& cut) const;
  std::string Spelling(std::string_view surface, bool marked_left, bool marked_right) const;

  const OpenNmtOptions options_;
};

std::vector<OpenNmtWord> OpenNmtTokenizer::Pieces(const OpenNmtWords& cut) const {
  if (!options_.merges.has_value()) return cut.words;
  std::vector<OpenNmtWord> pieces;
  for (const OpenNmtWord& word : cut.words) {
    const std::string_view surface =
        std::string_view(cut.derived.text).substr(word.range.begin, word.range.end - word.range.begin);
    if (HasPlaceholder(surface)) {
      pieces.push_back(word);
      continue;
    }
    int begin = word.range.begin;
    for (const int size : options_.merges->Cut(surface)) {
      pieces.push_back({.range = {begin, begin + size}, .join_left = false, .join_right = true});
      if (begin == word.range.begin) pieces.back().join_left = word.join_left;
      begin += size;
    }
    pieces.back().join_right = word.join_right;
  }
  return pieces;
}

std::string OpenNmtTokenizer::Spelling(std::string_view surface, bool marked_left, bool marked_right) const {
  std::string spelling = marked_left ? options_.mark : "";
  const bool literal = surface.starts_with(options_.mark) || (!options_.spacer && surface.ends_with(options_.mark));
  if (literal) spelling += kLiteralMark;
  spelling += surface;
  if (literal) spelling += kLiteralMark;
  if (marked_right) spelling += options_.mark;
  return spelling;
}

EncodedText OpenNmtTokenizer::Encode(std::string_view text) const {
  const OpenNmtWords cut = CutOpenNmtWords(text, options_.mode);
  const std::vector<OpenNmtWord> pieces = Pieces(cut);
  EncodedText encoded;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const OpenNmtWord& piece = pieces[i];
    const bool first = i == 0, last = i + 1 == pieces.size();
    bool left = !first && piece.join_left, right = !last && piece.join_right;
    if (options_.spacer) {
      left = !first && !piece.join_left && !pieces[i - 1].join_right;
      right = false;
    }
    const std::string_view surface =
        std::string_view(cut.derived.text).substr(piece.range.begin, piece.range.end - piece.range.begin);
    Add(Spelling(surface, left, right), cut.derived.SourceRange(text, piece.range), &encoded);
  }
  CoverText(text, &encoded.ranges);
  PlaceEmptyRanges(std::vector<bool>(encoded.ranges.size(), true), &encoded.ranges);
  return encoded;
}

TableTokenizer::Parts OpenNmtTokenizer::Split(std::string_view spelling) const {
  Parts parts;
  const std::size_t mark = options_.mark.size();
  if (options_.spacer) {
    parts.join_left = !spelling.starts_with(options_.mark);
    if (!parts.join_left) spelling.remove_prefix(mark);
  } else {
    parts.join_left = spelling.starts_with(options_.mark);
    parts.join_right = spelling.ends_with(options_.mark);
    if (parts.join_left) spelling.remove_prefix(mark);
    if (parts.join_right) spelling.remove_suffix(std::min(mark, spelling.size()));
  }
  parts.text = HasPlaceholder(spelling) ? std::string(spelling) : Unescaped(spelling);
  return parts;
}

}  // namespace

std::unique_ptr<Tokenizer> MakeOpenNmtTokenizer(PieceTable table, OpenNmtOptions options) {
  return std::make_unique<OpenNmtTokenizer>(std::move(table), std::move(options));
}

}  // namespace heed
