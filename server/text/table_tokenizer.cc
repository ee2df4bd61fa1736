#include "server/text/table_tokenizer.h"

#include "server/text/text_decoder.h"

namespace heed {

// Puts tokens together: which get a space between them.
class TableTokenizer::Decoder : public TextDecoder {
 public:
  explicit Decoder(const TableTokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void Add(TokenId id) override {
    if (tokenizer_.IsSpecial(id)) return AppendSpecial();
    const Parts parts = tokenizer_.Split(tokenizer_.Piece(id));
    Write(parts.text, parts);
  }
  void Add(const GivenToken& given) override { Write(given.text, tokenizer_.Split(given.spelling)); }

 private:
  // A space is put before it unless it or the token before it joins; none at the ends of the text. An empty surface
  // still joins or parts its neighbours.
  void Write(std::string_view surface, const Parts& parts) {
    if (started_ && !joined_ && !parts.join_left) pending_ = true;
    started_ = true;
    joined_ = parts.join_right;
    if (!surface.empty()) {
      if (pending_ && !decoded().text.empty()) AppendSpace();
      pending_ = false;
    }
    Append(surface);
  }

  const TableTokenizer& tokenizer_;
  bool started_ = false;
  bool joined_ = false;   // the last token joins what follows
  bool pending_ = false;  // a space stands between the text so far and the next surface that is not empty
};

std::unique_ptr<TextDecoder> TableTokenizer::StartDecoding() const { return std::make_unique<Decoder>(*this); }

void TableTokenizer::Add(std::string spelling, ByteRange range, EncodedText* encoded) const {
  encoded->ids.push_back(table_.Find(spelling).value_or(table_.unk_id()));
  encoded->ranges.push_back(range);
  encoded->spellings.push_back(std::move(spelling));
}

}  // namespace heed
