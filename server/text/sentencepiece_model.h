// A SentencePiece model file (a serialised sentencepiece.ModelProto), read and checked.
//
// heed reads the format itself: libsentencepiece exports the symbols of an old protobuf of its own, so that it and
// libprotobuf cannot live in one process. What follows from the file (normalisation, segmentation, decoding) does here
// what SentencePiece 0.1.97 (Apache-2.0) does, to the bit.
//
// Thread-safe: a function and plain data.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/types.h"
#include "server/text/charsmap.h"

namespace heed {

inline constexpr std::string_view kSpaceSymbol = "\xe2\x96\x81";  // "▁", U+2581, stands for a space

struct SentencePieceModel {
  // As ModelProto numbers them.
  enum class Kind { kUnigram = 1, kBpe = 2 };
  enum class PieceType { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

  struct Piece {
    std::string text;
    float score = 0;
    PieceType type = PieceType::kNormal;

    // Whether it may be found in a text by its spelling.
    bool IsText() const {
      return type == PieceType::kNormal || type == PieceType::kUserDefined || type == PieceType::kUnused;
    }
  };

  Kind kind = Kind::kUnigram;
  std::vector<Piece> pieces;  // by id
  TokenId unk_id = -1;
  TokenId bos_id = -1;  // -1: the model has none
  TokenId eos_id = -1;
  std::string unk_surface;  // what the unknown piece is in decoded text

  bool byte_fallback = false;  // unknown characters become pieces of one byte each
  std::array<TokenId, 256> byte_ids = {};

  bool whitespace_as_suffix = false;     // words end in "▁" instead of starting with it
  bool add_dummy_prefix = true;          // a "▁" is put before the text
  bool remove_extra_whitespaces = true;  // spaces at the ends go, runs of them become one
  Charsmap charsmap;
};

// Reads `file`, which must have `size` pieces where that is given. INVALID_ARGUMENT, in one line, when it is not a
// model, is neither unigram nor BPE, has a denormaliser or unescaped spaces (not supported), or a piece or character
// rule is malformed: a piece takes 1 to 512 bytes of UTF-8 without NUL, no two are spelt alike, one is the unknown
// piece, and there are either all 256 byte pieces or none.
absl::StatusOr<SentencePieceModel> ReadSentencePieceModel(std::string_view file, std::optional<int> size);

}  // namespace heed
