// The Tokenizer of vocabularies made with OpenNMT's own Tokenizer: words (opennmt_words.h), perhaps cut by merges, with
// joiner or spacer marks that say where no space, or one, stood.
//
// Thread-safe: immutable after construction.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "heed/model/v1/model.pb.h"
#include "server/text/bpe_merges.h"
#include "server/text/piece_table.h"
#include "server/text/tokenizer.h"

namespace heed {

struct OpenNmtOptions {
  model::v1::OpenNmtMode mode = model::v1::OPEN_NMT_MODE_CONSERVATIVE;
  bool spacer = false;              // mark what follows a space; else what does not
  std::string mark = "￭";           // not empty
  std::optional<BpeMerges> merges;  // of OpenNMT's flavour
};

// As OpenNMT's Tokenizer cuts and joins. A word that is spelt like a mark (where that is not a character that the
// Tokenizer substitutes) is unknown.
std::unique_ptr<Tokenizer> MakeOpenNmtTokenizer(PieceTable table, OpenNmtOptions options);

}  // namespace heed
