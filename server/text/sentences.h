// Cuts a text into sentences by ICU's rules for a language, so that each is a row of its own and the parts go back
// together with the source's own spacing.
//
// Thread-safe: every call makes its own iterator.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/text/tokenizer.h"

namespace heed {

class SentenceSplitter {
 public:
  // `language` is a BCP 47 tag, "ko". INVALID_ARGUMENT when ICU has no such locale syntax.
  static absl::StatusOr<SentenceSplitter> Make(const std::string& language);

  // Byte ranges of the sentences of valid UTF-8 `text`, in order, without the spaces around them; a line break always
  // ends a sentence. What lies between two ranges is space (Unicode White_Space). Text of spaces alone gives none.
  std::vector<ByteRange> Split(std::string_view text) const;

  // The same for a text that is not cut: one range without surrounding space, or none.
  static std::vector<ByteRange> Whole(std::string_view text);

 private:
  explicit SentenceSplitter(std::string language) : language_(std::move(language)) {}
  std::string language_;
};

}  // namespace heed
