// Cuts a text into words as OpenNMT's Tokenizer 1.38 (MIT) does in its modes space, conservative and aggressive, with
// its other options at their defaults.
//
// As there: "▁", "￭", "￨", "％", "＃" and "：" become "_", "■", "│", "%", "#" and ":", so that no text is a mark;
// "｟...｠" is one word (a placeholder), white space in it and under a combining mark "％" and four hex digits; control
// characters and U+FEFF are left out (not in mode space). Other than there, all of Unicode's White_Space separates
// words (there a tab joins them), and "￨" never begins a feature.
//
// Thread-safe: a function and plain data.
#pragma once

#include <string_view>
#include <vector>

#include "heed/model/v1/model.pb.h"
#include "server/text/derived_text.h"
#include "server/text/tokenizer.h"

namespace heed {

struct OpenNmtWord {
  ByteRange range;  // in OpenNmtWords::derived; not empty
  bool join_left = false;
  bool join_right = false;

  bool operator==(const OpenNmtWord&) const = default;
};

struct OpenNmtWords {
  DerivedText derived;  // the words, one after the other
  std::vector<OpenNmtWord> words;
};

// `text` must be valid UTF-8. Takes time linear in it.
OpenNmtWords CutOpenNmtWords(std::string_view text, model::v1::OpenNmtMode mode);

// Whether a word is, or holds, a placeholder: merges leave it alone.
bool HasPlaceholder(std::string_view word);

}  // namespace heed
