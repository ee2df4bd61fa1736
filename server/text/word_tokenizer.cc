#include "server/text/word_tokenizer.h"

#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "server/text/ranges.h"
#include "server/text/table_tokenizer.h"
#include "server/text/utf8.h"

namespace heed {
namespace {

// A space, or the end of a line: all that parts words where subword-nmt cuts them, and what it reads line by line.
bool IsSpaceOrLineEnd(char32_t c) { return c == ' ' || c == '\n' || c == '\r'; }

// Calls `visit` with the range of every run of `text` without what `parts`.
template <typename Visit>
void ForEachWord(std::string_view text, bool (*parts)(char32_t), Visit visit) {
  const int size = static_cast<int>(text.size());
  int begin = -1;
  for (int at = 0; at < size;) {
    const CodePoint c = CodePointAt(text, static_cast<std::size_t>(at));
    if (!parts(c.value)) {
      if (begin < 0) begin = at;
    } else if (begin >= 0) {
      visit(ByteRange{begin, at});
      begin = -1;
    }
    at += c.size;
  }
  if (begin >= 0) visit(ByteRange{begin, size});
}

class WordTokenizer : public TableTokenizer {
 public:
  explicit WordTokenizer(PieceTable table) : TableTokenizer(std::move(table)) {}

  EncodedText Encode(std::string_view text) const override {
    EncodedText encoded;
    ForEachWord(text, IsWhiteSpace, [&](ByteRange word) {
      Add(std::string(text.substr(word.begin, word.end - word.begin)), word, &encoded);
    });
    return encoded;
  }

 private:
  Parts Split(std::string_view spelling) const override { return {.text = std::string(spelling)}; }
};

class SubwordTokenizer : public TableTokenizer {
 public:
  SubwordTokenizer(PieceTable table, BpeMerges merges, std::string separator, bool split_unknown)
      : TableTokenizer(std::move(table)),
        merges_(std::move(merges)),
        separator_(std::move(separator)),
        split_unknown_(split_unknown) {}

  EncodedText Encode(std::string_view text) const override {
    EncodedText encoded;
    ForEachWord(text, IsSpaceOrLineEnd, [&](ByteRange range) {
      const std::string_view word = text.substr(range.begin, range.end - range.begin);
      for (const int size : Cut(word)) {
        const ByteRange piece = {range.begin, range.begin + size};
        // A space inside a word (U+00A0) is of its piece, but of no range.
        Add(Spelling(text.substr(piece.begin, size), piece.end == range.end), TrimWhiteSpace(text, piece), &encoded);
        range.begin = piece.end;
      }
    });
    PlaceEmptyRanges(std::vector<bool>(encoded.ranges.size(), true), &encoded.ranges);
    return encoded;
  }

 private:
  std::vector<int> Cut(std::string_view word) const {
    if (!split_unknown_) return merges_.Cut(word);
    return merges_.Cut(
        word, [this](std::string_view piece, bool last) { return table().Find(Spelling(piece, last)).has_value(); });
  }
  std::string Spelling(std::string_view piece, bool last) const {
    std::string spelling(piece);
    if (!last) {
      spelling += separator_;
    } else if (piece.ends_with(separator_)) {
      spelling += kLiteralMark;
    }
    return spelling;
  }
  Parts Split(std::string_view spelling) const override {
    const bool continues = spelling.ends_with(separator_);
    if (continues) spelling.remove_suffix(separator_.size());
    return {.text = std::string(spelling), .join_right = continues};
  }

  const BpeMerges merges_;
  const std::string separator_;
  const bool split_unknown_;
};

}  // namespace

std::unique_ptr<Tokenizer> MakeWordTokenizer(PieceTable table) {
  return std::make_unique<WordTokenizer>(std::move(table));
}

std::unique_ptr<Tokenizer> MakeSubwordTokenizer(PieceTable table, BpeMerges merges, std::string separator,
                                                bool split_unknown) {
  return std::make_unique<SubwordTokenizer>(std::move(table), std::move(merges), std::move(separator), split_unknown);
}

}  // namespace heed
