#include "server/text/table_tokenizer.h"

#include <cstddef>

#include "server/text/text_writer.h"

namespace heed {

DecodedText TableTokenizer::Decode(absl::Span<const TokenId> ids, absl::Span<const GivenToken> given) const {
  TextWriter writer;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!given.empty() && given.front().index == static_cast<int>(i)) {
      const Parts parts = Split(given.front().spelling);
      writer.Write(given.front().text, parts.join_left, parts.join_right);
      given.remove_prefix(1);
    } else if (IsSpecial(ids[i])) {
      writer.WriteSpecial();
    } else {
      const Parts parts = Split(Piece(ids[i]));
      writer.Write(parts.text, parts.join_left, parts.join_right);
    }
  }
  return std::move(writer).Finish();
}

void TableTokenizer::Add(std::string spelling, ByteRange range, EncodedText* encoded) const {
  encoded->ids.push_back(table_.Find(spelling).value_or(table_.unk_id()));
  encoded->ranges.push_back(range);
  encoded->spellings.push_back(std::move(spelling));
}

}  // namespace heed
