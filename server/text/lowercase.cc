#include "server/text/lowercase.h"

#include <unicode/uchar.h>

#include <cstddef>
#include <string>
#include <utility>

#include "server/text/text_decoder.h"
#include "server/text/utf8.h"

namespace heed {
namespace {

constexpr char32_t kCapitalSigma = 0x3A3, kFinalSigma = 0x3C2, kCapitalIWithDot = 0x130;
constexpr std::string_view kSmallIWithDot = "i\u0307";

bool Has(char32_t c, UProperty property) { return u_hasBinaryProperty(static_cast<UChar32>(c), property) != 0; }

// Whether the capital sigma in bytes [begin, end) of `text` ends a word.
bool IsFinal(std::string_view text, std::size_t begin, std::size_t end) {
  bool cased = false;
  while (begin > 0) {
    const CodePoint c = CodePointBefore(text, begin);
    begin -= static_cast<std::size_t>(c.size);
    if (Has(c.value, UCHAR_CASE_IGNORABLE)) continue;
    cased = Has(c.value, UCHAR_CASED);
    break;
  }
  while (cased && end < text.size()) {
    const CodePoint c = CodePointAt(text, end);
    end += static_cast<std::size_t>(c.size);
    if (!Has(c.value, UCHAR_CASE_IGNORABLE)) return !Has(c.value, UCHAR_CASED);
  }
  return cased;
}

class LowercasingTokenizer : public Tokenizer {
 public:
  explicit LowercasingTokenizer(std::unique_ptr<Tokenizer> inner) : inner_(std::move(inner)) {}

  EncodedText Encode(std::string_view text) const override {
    const DerivedText lower = Lowercase(text);
    EncodedText encoded = inner_->Encode(lower.text);
    for (ByteRange& range : encoded.ranges) range = lower.SourceRange(text, range);
    return encoded;
  }
  std::unique_ptr<TextDecoder> StartDecoding() const override { return inner_->StartDecoding(); }
  std::optional<TokenId> Find(std::string_view spelling) const override { return inner_->Find(spelling); }
  std::string_view Piece(TokenId id) const override { return inner_->Piece(id); }
  bool IsSpecial(TokenId id) const override { return inner_->IsSpecial(id); }
  bool IsByte(TokenId id) const override { return inner_->IsByte(id); }

 private:
  const std::unique_ptr<Tokenizer> inner_;
};

}  // namespace

DerivedText Lowercase(std::string_view text) {
  DerivedText lower;
  lower.text.reserve(text.size());
  lower.from.reserve(text.size());
  std::string bytes;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = CodePointAt(text, at);
    const int begin = static_cast<int>(at);
    at += static_cast<std::size_t>(c.size);
    bytes.clear();
    if (c.value == kCapitalIWithDot) {
      bytes = kSmallIWithDot;
    } else if (c.value == kCapitalSigma && IsFinal(text, static_cast<std::size_t>(begin), at)) {
      AppendUtf8(kFinalSigma, &bytes);
    } else if (c.value < 0x80) {
      bytes = static_cast<char>(c.value >= 'A' && c.value <= 'Z' ? c.value + ('a' - 'A') : c.value);
    } else {
      AppendUtf8(static_cast<char32_t>(u_tolower(static_cast<UChar32>(c.value))), &bytes);
    }
    lower.Append(bytes, begin);
  }
  return lower;
}

std::unique_ptr<Tokenizer> MakeLowercasingTokenizer(std::unique_ptr<Tokenizer> inner) {
  return std::make_unique<LowercasingTokenizer>(std::move(inner));
}

}  // namespace heed
