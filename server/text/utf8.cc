#include "server/text/utf8.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace heed {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

const std::uint8_t* Bytes(std::string_view text) { return reinterpret_cast<const std::uint8_t*>(text.data()); }

// Decodes the sequence at `position`; size 0 when it is not well-formed.
CodePoint Decode(std::string_view text, std::size_t position) {
  std::size_t next = position;
  UChar32 c = 0;
  U8_NEXT(Bytes(text), next, text.size(), c);
  if (c < 0) return {kReplacement, 0};
  return {static_cast<char32_t>(c), static_cast<int>(next - position)};
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
    position += static_cast<std::size_t>(c.size);
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
  const std::string_view last = text.substr(position - std::min<std::size_t>(position, U8_MAX_LENGTH));
  const auto end = static_cast<std::int32_t>(std::min<std::size_t>(position, U8_MAX_LENGTH));
  std::int32_t start = end;
  UChar32 c = 0;
  U8_PREV(Bytes(last), 0, start, c);
  if (c < 0) return {kReplacement, 1};
  return {static_cast<char32_t>(c), end - start};
}

std::size_t CodePointStart(std::string_view text, std::size_t position) {
  while (position > 0 && position < text.size() && U8_IS_TRAIL(Bytes(text)[position])) --position;
  return position;
}

void AppendUtf8(char32_t c, std::string* text) {
  std::uint8_t bytes[U8_MAX_LENGTH];
  int size = 0;
  U8_APPEND_UNSAFE(bytes, size, static_cast<UChar32>(c));
  text->append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
}

bool IsWhiteSpace(char32_t c) { return u_isUWhiteSpace(static_cast<UChar32>(c)) != 0; }

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
