#include "server/text/opennmt_words.h"

#include <unicode/uchar.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "server/text/utf8.h"

namespace heed {
namespace {

constexpr char32_t kOpen = 0xFF5F, kClose = 0xFF60, kByteOrderMark = 0xFEFF;
constexpr std::string_view kOpenText = "｟", kCloseText = "｠";

enum class Kind { kSeparator, kLetter, kNumber, kMark, kOther };

struct Character {
  char32_t value = 0;
  Kind kind = Kind::kOther;
  int begin = 0;  // in the text
  int size = 0;
};

Kind KindOf(char32_t c) {
  if (IsWhiteSpace(c)) return Kind::kSeparator;
  const std::uint32_t category = U_GET_GC_MASK(static_cast<UChar32>(c));
  if ((category & U_GC_L_MASK) != 0) return Kind::kLetter;
  if ((category & U_GC_N_MASK) != 0) return Kind::kNumber;
  return (category & U_GC_M_MASK) != 0 ? Kind::kMark : Kind::kOther;
}

// What stands for a character that means something to the Tokenizer; empty for any other.
std::string_view Substitute(char32_t c) {
  switch (c) {
    case 0x2581:
      return "_";
    case 0xFFED:
      return "■";
    case 0xFFE8:
      return "│";
    case 0xFF05:
      return "%";
    case 0xFF03:
      return "#";
    case 0xFF1A:
      return ":";
    default:
      return "";
  }
}

std::vector<Character> Characters(std::string_view text) {
  std::vector<Character> characters;
  characters.reserve(text.size());
  for (int at = 0; at < static_cast<int>(text.size());) {
    const CodePoint c = CodePointAt(text, static_cast<std::size_t>(at));
    characters.push_back({c.value, KindOf(c.value), at, c.size});
    at += c.size;
  }
  return characters;
}

class Cutter {
 public:
  Cutter(std::string_view text, model::v1::OpenNmtMode mode)
      : text_(text), mode_(mode), characters_(Characters(text)) {}

  OpenNmtWords Run() {
    if (mode_ == model::v1::OPEN_NMT_MODE_SPACE) {
      CutAtSpaces();
    } else {
      CutByKind();
    }
    EndWord();
    return std::move(out_);
  }

 private:
  enum class State { kSpace, kLetter, kNumber, kOther, kPlaceholder };

  void CutAtSpaces();
  void CutByKind();
  // Steps of CutByKind; each takes the characters [i, next), those behind i combining marks.
  void PlaceholderStep(std::size_t i);
  void SeparatorStep(std::size_t i, std::size_t next);
  void LetterStep(std::size_t i, std::size_t next);
  void NumberStep(std::size_t i, std::size_t next);
  void OtherStep(std::size_t i, std::size_t next);
  bool CountsAsLetter(std::size_t i, std::size_t next) const;

  std::string_view Bytes(const Character& c) const { return text_.substr(c.begin, c.size); }
  bool IsEmpty() const { return word_.range.begin == static_cast<int>(out_.derived.text.size()); }
  void AppendAsIs(const Character& c) { out_.derived.Append(Bytes(c), c.begin); }
  void Append(const Character& c) {
    const std::string_view substitute = Substitute(c.value);
    out_.derived.Append(substitute.empty() ? Bytes(c) : substitute, c.begin);
  }
  void AppendEscaped(const Character& c) {
    out_.derived.Append(absl::StrFormat("％%04x", static_cast<unsigned>(c.value)), c.begin);
  }
  void AppendCluster(std::size_t i, std::size_t next) {
    Append(characters_[i]);
    for (std::size_t k = i + 1; k < next; ++k) AppendAsIs(characters_[k]);
  }
  // Ends the current word, if it has begun.
  void EndWord() {
    if (IsEmpty()) return;
    word_.range.end = static_cast<int>(out_.derived.text.size());
    out_.words.push_back(word_);
    word_ = {.range = {word_.range.end, 0}};
  }
  void JoinPrevious() {
    if (!out_.words.empty()) out_.words.back().join_right = true;
  }

  const std::string_view text_;
  const model::v1::OpenNmtMode mode_;
  const std::vector<Character> characters_;
  OpenNmtWords out_;
  OpenNmtWord word_;  // being made
  State state_ = State::kSpace;
  bool after_placeholder_ = false;  // the last letter was the end of one
};

void Cutter::CutAtSpaces() {
  bool in_placeholder = false;
  const auto is_separator = [&](std::size_t i) { return characters_[i].kind == Kind::kSeparator; };
  for (std::size_t i = 0; i < characters_.size(); ++i) {
    const Character& c = characters_[i];
    if (in_placeholder && is_separator(i)) {
      AppendEscaped(c);
    } else if (in_placeholder) {
      AppendAsIs(c);
      if (c.value != kClose) continue;
      if (i + 1 < characters_.size() && !is_separator(i + 1)) word_.join_right = true;
      EndWord();
      in_placeholder = false;
    } else if (c.value == kOpen) {
      if (!IsEmpty() && !is_separator(i - 1)) word_.join_right = true;
      EndWord();
      AppendAsIs(c);
      in_placeholder = true;
    } else if (is_separator(i)) {
      EndWord();
    } else {
      Append(c);
    }
  }
}

bool Cutter::CountsAsLetter(std::size_t i, std::size_t next) const {
  const Character& c = characters_[i];
  if (c.kind == Kind::kLetter) return true;
  if (mode_ != model::v1::OPEN_NMT_MODE_CONSERVATIVE) return false;
  if (c.kind == Kind::kNumber || c.value == '_') return true;
  if (state_ != State::kLetter) return false;
  if (c.value == '-') return true;
  return (c.value == '.' || c.value == ',') && next < characters_.size() &&
         (characters_[next].kind == Kind::kNumber || characters_[next].kind == Kind::kLetter);
}

void Cutter::CutByKind() {
  for (std::size_t i = 0; i < characters_.size();) {
    const Character& c = characters_[i];
    std::size_t next = i + 1;
    const bool left_out = (c.value < 32 && c.kind != Kind::kSeparator) || c.value == kByteOrderMark;
    if (left_out) {
      i = next;
      continue;
    }
    while (next < characters_.size() && characters_[next].kind == Kind::kMark) ++next;
    if (state_ == State::kPlaceholder || c.value == kOpen) {
      next = i + 1;
      PlaceholderStep(i);
    } else if (c.kind == Kind::kSeparator) {
      SeparatorStep(i, next);
    } else if (CountsAsLetter(i, next)) {
      LetterStep(i, next);
    } else if (c.kind == Kind::kNumber) {
      NumberStep(i, next);
    } else {
      OtherStep(i, next);
    }
    i = next;
  }
}

void Cutter::PlaceholderStep(std::size_t i) {
  const Character& c = characters_[i];
  if (state_ != State::kPlaceholder) {  // it begins
    if (state_ != State::kSpace) {
      EndWord();
      if ((state_ == State::kLetter && !after_placeholder_) || state_ == State::kNumber) {
        word_.join_left = true;
      } else {
        JoinPrevious();
      }
    }
    AppendAsIs(c);
    state_ = State::kPlaceholder;
  } else if (c.kind == Kind::kSeparator) {
    AppendEscaped(c);
  } else {
    AppendAsIs(c);
    if (c.value != kClose) return;
    after_placeholder_ = true;
    state_ = State::kLetter;
  }
}

void Cutter::SeparatorStep(std::size_t i, std::size_t next) {
  if (next == i + 1) {
    EndWord();
    state_ = State::kSpace;
    return;
  }
  if (state_ != State::kSpace) {
    EndWord();
    word_.join_left = true;
  }
  AppendEscaped(characters_[i]);
  for (std::size_t k = i + 1; k < next; ++k) AppendAsIs(characters_[k]);
  EndWord();
  state_ = State::kOther;
}

void Cutter::LetterStep(std::size_t i, std::size_t next) {
  if (state_ == State::kNumber || (state_ == State::kLetter && after_placeholder_)) {
    word_.join_right = true;
    EndWord();
  } else if (state_ == State::kOther && IsEmpty()) {
    JoinPrevious();
  }
  AppendCluster(i, next);
  state_ = State::kLetter;
  after_placeholder_ = false;
}

void Cutter::NumberStep(std::size_t i, std::size_t next) {
  if (state_ == State::kLetter) {
    EndWord();
    if (after_placeholder_) {
      JoinPrevious();
    } else {
      word_.join_left = true;
    }
  } else if (state_ == State::kOther) {
    JoinPrevious();
  }
  AppendCluster(i, next);
  state_ = State::kNumber;
}

void Cutter::OtherStep(std::size_t i, std::size_t next) {
  if (state_ != State::kSpace) {
    EndWord();
    word_.join_left = true;
  }
  AppendCluster(i, next);
  EndWord();
  state_ = State::kOther;
}

}  // namespace

OpenNmtWords CutOpenNmtWords(std::string_view text, model::v1::OpenNmtMode mode) { return Cutter(text, mode).Run(); }

bool HasPlaceholder(std::string_view word) {
  const std::size_t open = word.find(kOpenText);
  return open != std::string_view::npos && word.find(kCloseText, open + kOpenText.size() + 1) != std::string_view::npos;
}

}  // namespace heed
