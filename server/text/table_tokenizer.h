// What the Tokenizers of listed vocabularies share: all of them but SentencePiece's.
//
// Thread-safe: immutable after construction.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "server/text/piece_table.h"
#include "server/text/tokenizer.h"

namespace heed {

// In a spelling: tells text that is spelt like a mark (a word "@@") from the mark. No UTF-8 has it, so no piece does.
inline constexpr char kLiteralMark = '\xFF';

class TableTokenizer : public Tokenizer {
 public:
  explicit TableTokenizer(PieceTable table) : table_(std::move(table)) {}

  std::unique_ptr<TextDecoder> StartDecoding() const override;
  std::optional<TokenId> Find(std::string_view spelling) const override { return table_.Find(spelling); }
  std::string_view Piece(TokenId id) const override { return table_.Piece(id); }
  bool IsSpecial(TokenId id) const override { return table_.IsSpecial(id); }

 protected:
  // A spelling without its marks, and what they say.
  struct Parts {
    std::string text;
    bool join_left = false;
    bool join_right = false;
  };
  virtual Parts Split(std::string_view spelling) const = 0;

  // Adds a source token: its id is what the table holds for `spelling`.
  void Add(std::string spelling, ByteRange range, EncodedText* encoded) const;
  const PieceTable& table() const { return table_; }

 private:
  class Decoder;

  const PieceTable table_;
};

}  // namespace heed
