// Text to ids and back, with the byte range of every piece in the text it came from: attention is unreadable without.
//
// Ranges are ordered, lie on code-point boundaries and cover every byte that is not space; pieces of one code point
// (byte fallback, a ligature) share its range. A piece's range leaves out the space that its "▁" stands for; a piece of
// nothing but space has an empty range, at the start of what follows. Characters that normalisation deletes belong to a
// neighbour; a text of such alone may have no pieces at all. Worked example with pieces "▁hi", "▁there", "s":
//
//   Encode("hi  theres") gives ranges {0,2} {4,9} {9,10}
//
// Text that looks like a special piece ("</s>", "@@") is text and never becomes a special id.
//
// Copying, and replacing unknowns, take a source token to the target's side by its spelling: what the source's
// vocabulary calls it, or would call it if it had it.
//
//   target->Find(source->Encode(text).spellings[j])   the target id of source token j, if it has one
//   target->Decode(ids, {{.index = t, .spelling = spellings[j], .text = typed}})   writes token t as j was typed
//
// Thread-safe: immutable after Make.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/types.h"
#include "heed/model/v1/model.pb.h"

namespace heed {

struct ByteRange {
  int begin = 0;
  int end = 0;  // one past the last byte

  bool operator==(const ByteRange&) const = default;
};

struct EncodedText {
  std::vector<TokenId> ids;       // no specials: bos and eos are the vocabulary's business
  std::vector<ByteRange> ranges;  // of the text given, one per id
  // One per id: its piece or, for an unknown, how the vocabulary would spell it: lower-cased where it is, with the
  // marks of its place in the word ("wor@@", "￭,"). Where text is spelt like a mark, a byte FF tells it apart: for
  // look-ups only, not for people.
  std::vector<std::string> spellings;
};

// A token of a decoded text that is written as somebody typed it, not as its id's piece.
struct GivenToken {
  int index = 0;              // in the ids; the id there is not read
  std::string_view spelling;  // as Encode made it: its marks say how the token joins its neighbours
  std::string_view text;      // what is written: valid UTF-8
};

struct DecodedText {
  std::string text;
  std::vector<ByteRange> ranges;  // of `text`, one per id, as above; empty ranges for specials
};

class TextDecoder;  // text_decoder.h

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // The tokeniser that `vocabulary` names, from the bundle's files. INVALID_ARGUMENT names the file and what is wrong
  // with it; the number of pieces must be vocabulary.size(), and a SentencePiece model's specials the vocabulary's.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Make(const model::v1::Vocabulary& vocabulary,
                                                         const std::map<std::string, std::string>& files);

  // `text` must be valid UTF-8 (IsValidUtf8).
  virtual EncodedText Encode(std::string_view text) const = 0;
  // Ids outside the vocabulary are an error of the caller and come out as unknowns. `given` has ascending indices.
  DecodedText Decode(absl::Span<const TokenId> ids, absl::Span<const GivenToken> given) const;
  DecodedText Decode(absl::Span<const TokenId> ids) const { return Decode(ids, {}); }
  // The same token by token. The tokeniser outlives it.
  virtual std::unique_ptr<TextDecoder> StartDecoding() const = 0;
  // The lowest id with this piece. Specials and the unknown piece are never found.
  virtual std::optional<TokenId> Find(std::string_view spelling) const = 0;
  // The vocabulary's spelling of an id.
  virtual std::string_view Piece(TokenId id) const = 0;
  // True for bos, eos, pad and other control pieces: ids that are no text. The unknown piece is text.
  virtual bool IsSpecial(TokenId id) const = 0;
  // True for pieces of byte fallback: one byte of a character that the vocabulary lacks.
  virtual bool IsByte(TokenId) const { return false; }
};

// Whether every byte belongs to a well-formed UTF-8 sequence (no overlong forms, no surrogates). NUL is valid.
bool IsValidUtf8(std::string_view text);

// Tokens of one word: tokens [first, first + count), bytes [range) of the text.
struct WordSpan {
  int first = 0;
  int count = 0;
  ByteRange range;
  bool special = false;
};

// Groups tokens into words: a new word begins where space stands between two tokens' ranges, and in scripts that have
// none (Chinese, Japanese, Thai and so on) at a token with which a word of ICU's dictionaries begins; each special is a
// word of its own with an empty range. `ranges` as Encode or Decode made them for `text`, `special` one flag per token.
std::vector<WordSpan> GroupWords(std::string_view text, absl::Span<const ByteRange> ranges,
                                 absl::Span<const bool> special);

}  // namespace heed
