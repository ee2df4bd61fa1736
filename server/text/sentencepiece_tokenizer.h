// The Tokenizer for SentencePiece models, unigram and BPE, with or without byte fallback.
//
// Ids and decoded text are those of SentencePiece 0.1.97's Encode and Decode. So "▁" (U+2581) in a text is a space:
// most models' rules make one of it, and what others leave of it is spelt as spaces are.
//
// Thread-safe: immutable after Make.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "heed/model/v1/model.pb.h"
#include "server/text/piece_table.h"
#include "server/text/tokenizer.h"

namespace heed {

// The tokeniser of `file`, the bytes of a SentencePiece model. INVALID_ARGUMENT, in one line without the file's name,
// when the model is malformed (sentencepiece_model.h) or does not agree with `vocabulary`: its number of pieces; its
// unknown piece; eos_id, where given, its end-of-sentence piece; bos_id, where given, its beginning- or end-of-sentence
// piece. A model without such a piece leaves the choice to the vocabulary, among its control pieces, as special_ids
// are.
//
// With a `table` the model only cuts: its pieces, and unknown characters side by side, are looked up there, ids and
// specials are the table's, and nothing of the above need agree.
absl::StatusOr<std::unique_ptr<Tokenizer>> MakeSentencePieceTokenizer(const model::v1::Vocabulary& vocabulary,
                                                                      std::string_view file,
                                                                      std::optional<PieceTable> table);

}  // namespace heed
