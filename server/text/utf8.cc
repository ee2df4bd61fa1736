#include "server/text/utf8.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace heed {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

std::uint8_t ByteAt(std::string_view text, std::size_t position) { return static_cast<std::uint8_t>(text[position]); }

// Length that a lead byte announces; 0 for a byte that cannot lead.
int SequenceLength(std::uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;  // continuation bytes, and leads of overlong pairs
  if (lead < 0xE0) return 2;
  if (lead < 0xF0) return 3;
  return lead < 0xF5 ? 4 : 0;
}

// Decodes the sequence at `position`; size 0 when it is not well-formed.
CodePoint Decode(std::string_view text, std::size_t position) {
  const std::uint8_t lead = ByteAt(text, position);
  const int length = SequenceLength(lead);
  if (length == 1) return {lead, 1};
  if (length == 0 || text.size() - position < static_cast<std::size_t>(length)) return {kReplacement, 0};
  char32_t value = lead & (0x7F >> length);
  for (int i = 1; i < length; ++i) {
    const std::uint8_t next = ByteAt(text, position + i);
    if ((next & 0xC0) != 0x80) return {kReplacement, 0};
    value = (value << 6) | (next & 0x3F);
  }
  const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (overlong || surrogate || value > 0x10FFFF) return {kReplacement, 0};
  return {value, length};
}

}  // namespace

bool IsValidUtf8(std::string_view text) {
  std::size_t position = 0;
  while (position < text.size()) {
    std::uint64_t eight = 0;
    if (text.size() - position >= sizeof(eight)) {
      std::memcpy(&eight, text.data() + position, sizeof(eight));
      if ((eight & 0x8080808080808080u) == 0) {
        position += sizeof(eight);
        continue;
      }
    }
    const CodePoint c = Decode(text, position);
    if (c.size == 0) return false;
    position += c.size;
  }
  return true;
}

std::string Printable(std::string_view text) {
  std::string printable;
  for (std::size_t position = 0; position < text.size();) {
    const CodePoint c = Decode(text, position);
    const std::size_t size = std::max(c.size, 1);
    if (c.size == 0 || c.value < ' ' || (c.value >= 0x7F && c.value < 0xA0)) {
      for (const char byte : text.substr(position, size)) {
        absl::StrAppend(&printable, "\\x", absl::Hex(static_cast<std::uint8_t>(byte), absl::kZeroPad2));
      }
    } else {
      printable += text.substr(position, size);
    }
    position += size;
  }
  return printable;
}

CodePoint CodePointAt(std::string_view text, std::size_t position) {
  const CodePoint c = Decode(text, position);
  return c.size == 0 ? CodePoint{kReplacement, 1} : c;
}

CodePoint CodePointBefore(std::string_view text, std::size_t position) {
  std::size_t start = position - 1;
  while (start > 0 && position - start < 4 && (ByteAt(text, start) & 0xC0) == 0x80) --start;
  const CodePoint c = Decode(text, start);
  return static_cast<std::size_t>(c.size) == position - start ? c : CodePoint{kReplacement, 1};
}

std::size_t CodePointStart(std::string_view text, std::size_t position) {
  while (position > 0 && position < text.size() && (ByteAt(text, position) & 0xC0) == 0x80) --position;
  return position;
}

void AppendUtf8(char32_t c, std::string* text) {
  if (c < 0x80) {
    text->push_back(static_cast<char>(c));
    return;
  }
  const int tail = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  static constexpr unsigned char kLeads[] = {0, 0xC0, 0xE0, 0xF0};
  text->push_back(static_cast<char>(kLeads[tail] | (c >> (6 * tail))));
  for (int i = tail - 1; i >= 0; --i) text->push_back(static_cast<char>(0x80 | ((c >> (6 * i)) & 0x3F)));
}

bool IsWhiteSpace(char32_t c) {
  if (c <= 0x20) return c == 0x20 || (c >= 0x09 && c <= 0x0D);
  if (c < 0x1680) return c == 0x85 || c == 0xA0;
  if (c >= 0x2000 && c <= 0x200A) return true;
  return c == 0x1680 || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool ContainsWhiteSpace(std::string_view text) { return AnyCodePoint(text, IsWhiteSpace); }

ByteRange TrimWhiteSpace(std::string_view text, ByteRange range) {
  while (range.begin < range.end) {
    const CodePoint c = CodePointAt(text, range.begin);
    if (!IsWhiteSpace(c.value)) break;
    range.begin += c.size;
  }
  while (range.begin < range.end) {
    const CodePoint c = CodePointBefore(text, range.end);
    if (!IsWhiteSpace(c.value)) break;
    range.end -= c.size;
  }
  return range;
}

}  // namespace heed
