#include "server/text/clauses.h"

#include <algorithm>
#include <cstddef>

#include "server/text/utf8.h"

namespace heed {
namespace {

// Marks that need a space behind them, which numbers and words have not: "3,000", "10:30", "well-known".
bool IsSpacedClauseMark(char32_t c) {
  return c == ',' || c == ';' || c == ':' || c == '-' || c == 0x2013 || c == 0x2014;
}

bool IsWideClauseMark(char32_t c) {
  switch (c) {
    case 0x060C:  // ، and ؛ of Arabic
    case 0x061B:
    case 0x3001:  // 、
    case 0xFF0C:  // ，
    case 0xFF1A:  // ：
    case 0xFF1B:  // ；
      return true;
    default:
      return false;
  }
}

}  // namespace

int ClauseEnd(std::string_view text, int least, int most) {
  std::size_t at = CodePointStart(text, std::min(static_cast<std::size_t>(most), text.size()));
  if (at <= static_cast<std::size_t>(least)) {
    at = static_cast<std::size_t>(least);
    return static_cast<int>(at) + (at < text.size() ? CodePointAt(text, at).size : 0);
  }
  const std::size_t anywhere = at;
  std::size_t space = 0;
  while (at > static_cast<std::size_t>(least)) {
    const CodePoint c = CodePointBefore(text, at);
    const bool spaced = at == text.size() || IsWhiteSpace(CodePointAt(text, at).value);
    if (IsWideClauseMark(c.value) || (spaced && IsSpacedClauseMark(c.value))) return static_cast<int>(at);
    if (spaced && space == 0) space = at;
    at -= static_cast<std::size_t>(c.size);
  }
  return static_cast<int>(space > 0 ? space : anywhere);
}

int FittingPart(const Tokenizer& tokenizer, std::string_view text, int max_pieces) {
  constexpr std::size_t kBytesPerPiece = 16;
  const std::size_t most = static_cast<std::size_t>(max_pieces);
  const auto pieces = [&](std::size_t size) { return tokenizer.Encode(text.substr(0, size)); };
  std::size_t seen = most * kBytesPerPiece;
  while (true) {
    const bool all = seen >= text.size();
    seen = CodePointStart(text, std::min(seen, text.size()));
    const EncodedText encoded = pieces(seen);
    if (encoded.ids.size() > most) {
      int end = std::max(encoded.ranges[most - 1].end, 1);
      while (true) {
        const int cut = ClauseEnd(text, end / 2, end);
        // What stands behind a piece may decide how it is cut, so the part alone may have more of them.
        if (end == 1 || pieces(static_cast<std::size_t>(cut)).ids.size() <= most) return cut;
        end = std::max(1, std::min(end - 1, end * 7 / 8));
      }
    }
    if (all) return static_cast<int>(text.size());
    seen *= 2;
  }
}

}  // namespace heed
