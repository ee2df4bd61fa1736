#include "server/text/character_tokenizer.h"

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "server/text/ranges.h"
#include "server/text/table_tokenizer.h"
#include "server/text/utf8.h"

namespace heed {
namespace {

class CharacterTokenizer : public TableTokenizer {
 public:
  CharacterTokenizer(PieceTable table, std::string space)
      : TableTokenizer(std::move(table)), space_(std::move(space)) {}

  EncodedText Encode(std::string_view text) const override {
    EncodedText encoded;
    ByteRange rest = TrimWhiteSpace(text, {0, static_cast<int>(text.size())});
    while (rest.begin < rest.end) {
      const int size = CodePointAt(text, static_cast<std::size_t>(rest.begin)).size;
      const ByteRange range = {rest.begin, rest.begin + size};
      std::string spelling(text.substr(range.begin, size));
      if (spelling == " ") {
        spelling = space_;
      } else if (spelling == space_) {
        spelling += kLiteralMark;
      }
      Add(std::move(spelling), TrimWhiteSpace(text, range), &encoded);
      rest.begin = range.end;
    }
    PlaceEmptyRanges(std::vector<bool>(encoded.ranges.size(), true), &encoded.ranges);
    return encoded;
  }

 private:
  Parts Split(std::string_view spelling) const override {
    return {.text = spelling == space_ ? " " : std::string(spelling), .join_left = true, .join_right = true};
  }

  const std::string space_;
};

}  // namespace

std::unique_ptr<Tokenizer> MakeCharacterTokenizer(PieceTable table, std::string space) {
  return std::make_unique<CharacterTokenizer>(std::move(table), std::move(space));
}

}  // namespace heed
