// A text made from another one code point by code point (lower-cased, with characters substituted), which still knows
// where every byte of it came from.
//
// Thread-safe: plain data.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/text/tokenizer.h"
#include "server/text/utf8.h"

namespace heed {

struct DerivedText {
  std::string text;
  std::vector<int> from;  // per byte of `text`: where its code point begins in the source; never descends

  void Append(std::string_view bytes, int source_begin) {
    text += bytes;
    from.insert(from.end(), bytes.size(), source_begin);
  }

  // The bytes of `source` that bytes [begin, end) of `text` came from; for an empty range the place where it is.
  ByteRange SourceRange(std::string_view source, ByteRange range) const {
    if (range.begin == range.end) {
      const int at = range.begin < static_cast<int>(from.size()) ? from[static_cast<std::size_t>(range.begin)]
                                                                 : static_cast<int>(source.size());
      return {at, at};
    }
    const int last = from[static_cast<std::size_t>(range.end) - 1];
    return {from[static_cast<std::size_t>(range.begin)],
            last + CodePointAt(source, static_cast<std::size_t>(last)).size};
  }
};

}  // namespace heed
