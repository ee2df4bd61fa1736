// A lexical shortlist: which target ids a source may have, after Marian's lex.*.s2t.bin.
//
// The file, little-endian (marian-dev src/data/shortlist.h, shortlist.cpp: BinaryShortlistGenerator):
//
//   u64 magic 0xF11A48D5013417F5, checksum, firstNum, bestNum, number of offsets n, number of ids m
//   u64 offsets[n]   source id i has the ids [offsets[i], offsets[i + 1]); ascending, the last is m
//   u32 ids[m]
//
// The checksum is boost::hash_combine over every whole u64 from firstNum on.
//
// Immutable after Parse, so safe to share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/types.h"

namespace heed {

class Shortlist {
 public:
  // `bytes` is the content of the bundle's file `name`; `shared`: both sides have one vocabulary. INVALID_ARGUMENT, one
  // line that opens with `name`: a wrong magic or checksum, sizes that disagree with the file's, offsets that are not
  // those of source_vocabulary ids or do not ascend to m, an id beyond target_vocabulary. Allocates no more than the
  // file's size.
  static absl::StatusOr<Shortlist> Parse(absl::string_view name, absl::string_view bytes, int source_vocabulary,
                                         int target_vocabulary, bool shared);

  // The candidates of a source, ascending: the ids below firstNum, each source id itself (where the vocabulary is
  // shared), each source id's list; then the lowest other ids from firstNum on until their number is a multiple of 8
  // (or all are in). `source` holds ids below source_vocabulary, as admission has checked.
  std::vector<TokenId> Candidates(absl::Span<const TokenId> source) const;

 private:
  Shortlist() = default;
  bool shared_ = true;
  int target_vocabulary_ = 0;
  int first_ = 0;                       // at most target_vocabulary_
  std::vector<std::uint64_t> offsets_;  // by source id, and one more
  std::vector<std::uint32_t> ids_;
};

}  // namespace heed
