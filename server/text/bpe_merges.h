// Byte-pair merges (Sennrich et al. 2016) as subword-nmt and OpenNMT's Tokenizer read and apply them: a word starts as
// its characters, the pair that stands first in the list is merged, and so on until none is left.
//
// subword-nmt merges every occurrence of a pair before it looks for the next; OpenNMT one occurrence at a time. Its
// units are characters with their combining marks, and escapes ("％0020").
//
// Thread-safe: immutable after Parse.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"

namespace heed {

class BpeMerges {
 public:
  enum class Flavor { kSubwordNmt, kOpenNmt };

  // `file` as subword-nmt wrote it: "#version: 0.2", or 0.1 (the same as no such line); then a line for each merge, two
  // symbols with a space between. In 0.2 a word's last character ends in "</w>", in 0.1 "</w>" is a unit of its own.
  // INVALID_ARGUMENT in one line without the file's name.
  static absl::StatusOr<BpeMerges> Parse(std::string_view file, Flavor flavor);

  // Sizes in bytes of the pieces of `word`, valid UTF-8 without a U+0020, not empty. Takes n log n.
  std::vector<int> Cut(std::string_view word) const;

  // Cut, and each piece that `known` (of the piece, and whether it ends the word) does not hold is cut again where its
  // last merge joined it, down to characters: subword-nmt's --vocabulary. Only for kSubwordNmt.
  std::vector<int> Cut(std::string_view word, absl::FunctionRef<bool(std::string_view, bool)> known) const;

 private:
  struct Merge {
    int rank = 0;
    int left_size = 0;  // bytes of the left symbol
    int next = -1;      // another merge that makes the same symbol, in others_
  };

  BpeMerges() = default;
  absl::Status SetVersion(std::string_view version);
  absl::Status AddLine(std::string_view line, int number);
  // The rank of merging the symbols whose concatenation is `symbol`, the first of them of left_size bytes; -1: no
  // merge.
  int Rank(std::string_view symbol, int left_size) const;
  std::vector<int> Units(std::string_view word) const;

  Flavor flavor_ = Flavor::kSubwordNmt;
  bool end_is_unit_ = true;          // version 0.1
  std::size_t longest_ = 0;          // bytes of a merged symbol
  std::deque<std::string> symbols_;  // that merges make; the map's keys
  absl::flat_hash_map<std::string_view, Merge> merges_;
  std::vector<Merge> others_;
};

}  // namespace heed
