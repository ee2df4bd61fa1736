#include "client/cli/width.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cstdint>

namespace heed::cli {
namespace {

constexpr UChar32 kJoiner = 0x200D;             // emoji on both sides are one
constexpr UChar32 kEmojiPresentation = 0xFE0F;  // the character before it is drawn as an emoji

// Goes through text code point by code point and keeps the width of what it has seen.
class Walk {
 public:
  explicit Walk(const std::string& text) : text_(text) {}

  bool Done() const { return next_ >= static_cast<std::int32_t>(text_.size()); }
  std::int32_t position() const { return next_; }
  int width() const { return width_; }

  void Step() {
    UChar32 c = 0;
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(text_.data());
    U8_NEXT(bytes, next_, static_cast<std::int32_t>(text_.size()), c);
    width_ += WidthOf(c);
    previous_ = c;
  }

 private:
  int WidthOf(UChar32 c) {
    if (c < 0) return 1;
    if (c == kEmojiPresentation) return previous_width_ == 1 && u_hasBinaryProperty(previous_, UCHAR_EMOJI) ? 1 : 0;
    const bool joined = previous_ == kJoiner && u_hasBinaryProperty(c, UCHAR_EXTENDED_PICTOGRAPHIC);
    // Two regional indicators are one flag.
    const bool second_of_flag = flag_open_ && u_hasBinaryProperty(c, UCHAR_REGIONAL_INDICATOR);
    flag_open_ = !second_of_flag && u_hasBinaryProperty(c, UCHAR_REGIONAL_INDICATOR);
    const int width = joined || second_of_flag ? 0 : Alone(c);
    if (width > 0) previous_width_ = width;
    return width;
  }

  static int Alone(UChar32 c) {
    switch (u_charType(c)) {
      case U_NON_SPACING_MARK:
      case U_ENCLOSING_MARK:
      case U_FORMAT_CHAR:
      case U_CONTROL_CHAR:
        return 0;
      default:
        break;
    }
    // Vowels and final consonants of decomposed Hangul are drawn over the initial consonant.
    if (c >= 0x1160 && c <= 0x11FF) return 0;
    if (u_hasBinaryProperty(c, UCHAR_EMOJI_MODIFIER)) return 0;
    if (u_hasBinaryProperty(c, UCHAR_REGIONAL_INDICATOR)) return 2;
    const int width = u_getIntPropertyValue(c, UCHAR_EAST_ASIAN_WIDTH);
    return width == U_EA_WIDE || width == U_EA_FULLWIDTH ? 2 : 1;
  }

  const std::string& text_;
  std::int32_t next_ = 0;
  int width_ = 0;
  UChar32 previous_ = 0;
  int previous_width_ = 0;
  bool flag_open_ = false;
};

// With "�" for invalid bytes and for characters that are `bad`.
template <typename Bad>
std::string Replaced(const std::string& text, const Bad& bad) {
  std::string replaced;
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  const auto size = static_cast<std::int32_t>(text.size());
  for (std::int32_t next = 0; next < size;) {
    const std::int32_t begin = next;
    UChar32 c = 0;
    U8_NEXT(bytes, next, size, c);
    replaced += c < 0 || bad(c) ? "\uFFFD" : text.substr(begin, next - begin);
  }
  return replaced;
}

}  // namespace

int DisplayWidth(const std::string& text) {
  Walk walk(text);
  while (!walk.Done()) walk.Step();
  return walk.width();
}

std::string Truncate(const std::string& text, int columns) {
  if (DisplayWidth(text) <= columns) return text;
  Walk walk(text);
  std::int32_t end = 0;
  while (!walk.Done()) {
    walk.Step();
    if (walk.width() > columns - 1) break;
    end = walk.position();
  }
  return text.substr(0, end) + "…";
}

std::vector<std::string> Glyphs(const std::string& text) {
  std::vector<std::string> glyphs;
  Walk walk(text);
  while (!walk.Done()) {
    const std::int32_t begin = walk.position();
    const int before = walk.width();
    walk.Step();
    const bool joins = before == 0 || walk.width() == before || text.compare(begin, 3, "\uFE0F") == 0;
    if (glyphs.empty() || !joins) glyphs.emplace_back();
    glyphs.back().append(text, begin, walk.position() - begin);
  }
  return glyphs;
}

std::string Isolated(const std::string& text) {
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  const auto size = static_cast<std::int32_t>(text.size());
  for (std::int32_t next = 0; next < size;) {
    UChar32 c = 0;
    U8_NEXT(bytes, next, size, c);
    const UCharDirection direction = c < 0 ? U_LEFT_TO_RIGHT : u_charDirection(c);
    if (direction == U_RIGHT_TO_LEFT || direction == U_RIGHT_TO_LEFT_ARABIC || direction == U_ARABIC_NUMBER) {
      return "\u2068" + text + "\u2069";
    }
  }
  return text;
}

std::string PadRight(const std::string& text, int columns) {
  return text + std::string(std::max(0, columns - DisplayWidth(text)), ' ');
}

std::string PadLeft(const std::string& text, int columns) {
  return std::string(std::max(0, columns - DisplayWidth(text)), ' ') + text;
}

std::string Printable(const std::string& text) {
  return Replaced(text, [](UChar32 c) {
    // Marks that turn the direction of what follows would scramble the table.
    const bool turns = (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
    return turns || u_charType(c) == U_CONTROL_CHAR || c == 0x2028 || c == 0x2029;
  });
}

std::string PrintableText(const std::string& text) {
  return Replaced(text, [](UChar32 c) { return u_charType(c) == U_CONTROL_CHAR && c != '\n' && c != '\t'; });
}

}  // namespace heed::cli
