// The character rules of a SentencePiece model ("precompiled_charsmap"): a Darts double-array trie from byte strings
// to the strings that replace them. Walks are bounded and stay inside, whatever the trie says.
//
// Thread-safe: immutable after Parse.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace heed {

class Charsmap {
 public:
  // Where a rule applies: it takes `size` bytes and gives `output`, which lives as long as the Charsmap. Size 0: none.
  struct Match {
    int size = 0;
    std::string_view output;
  };

  // No rules.
  Charsmap() = default;
  // `blob` as in the model; an empty one has no rules. INVALID_ARGUMENT when its sizes disagree or its outputs are not
  // NUL-terminated UTF-8 strings of at most 255 bytes.
  static absl::StatusOr<Charsmap> Parse(std::string_view blob);

  // The longest rule that matches at the start of valid UTF-8 `text` and ends between two code points.
  Match Longest(std::string_view text) const;

 private:
  std::vector<std::uint32_t> units_;
  std::string outputs_;  // NUL-terminated strings, named by offset
};

}  // namespace heed
