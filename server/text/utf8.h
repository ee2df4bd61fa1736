// Code points and white space of UTF-8 text: what the files of this folder share. Callers hold valid UTF-8
// (IsValidUtf8); malformed bytes are read as single code points of value U+FFFD, never past the end.
//
// Thread-safe: functions only.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "server/text/tokenizer.h"

namespace heed {

struct CodePoint {
  char32_t value = 0;
  int size = 1;  // bytes that it takes
};

// The code point that starts at byte `position`, which lies inside `text`.
CodePoint CodePointAt(std::string_view text, std::size_t position);
// The code point that ends at byte `position`, which is above 0.
CodePoint CodePointBefore(std::string_view text, std::size_t position);

// Where the code point begins that has byte `position`: `position` itself at such a place, and at the text's end.
std::size_t CodePointStart(std::string_view text, std::size_t position);

// Appends a code point that is no surrogate.
void AppendUtf8(char32_t c, std::string* text);

// A name or message from outside as text that any reply or log may hold: bytes that belong to no well-formed sequence,
// and control characters, become "\xNN". Valid text without control characters stays as it is.
std::string Printable(std::string_view text);

// Whether `predicate` holds for the value of any code point of `text`.
template <typename Predicate>
bool AnyCodePoint(std::string_view text, Predicate predicate) {
  for (std::size_t position = 0; position < text.size();) {
    const CodePoint c = CodePointAt(text, position);
    if (predicate(c.value)) return true;
    position += static_cast<std::size_t>(c.size);
  }
  return false;
}

// Unicode's White_Space property.
bool IsWhiteSpace(char32_t c);
// Whether any code point of `text` is White_Space.
bool ContainsWhiteSpace(std::string_view text);
// `range` of `text` without the White_Space at its ends; empty, at its end, when nothing is left.
ByteRange TrimWhiteSpace(std::string_view text, ByteRange range);

}  // namespace heed
