// Tokens back to text, one after the other: Tokenizer::Decode for those who get them while they are decoded.
//
//   std::unique_ptr<TextDecoder> decoder = tokenizer->StartDecoding();
//   decoder->Add(id);  // ... the text so far is decoder->decoded().text, and is never taken back
//   decoder->Finish();
//
// Half a character is not in the text before it is whole or cannot become whole.
//
// Not thread-safe.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include "server/text/tokenizer.h"

namespace heed {

class TextDecoder {
 public:
  virtual ~TextDecoder() = default;

  // The next token; one outside the vocabulary comes out as an unknown.
  virtual void Add(TokenId id) = 0;
  // The next token, written as somebody typed it; its index is not read.
  virtual void Add(const GivenToken& given) = 0;
  // No more tokens come: every one has its range.
  void Finish();

  // The text so far, which only grows, and the tokens' ranges, of which the first settled() change no more. The others
  // are half a character, which may not have a range yet, or empty, and their place depends on what follows.
  const DecodedText& decoded() const { return decoded_; }
  std::size_t settled() const { return settled_; }
  // The same, taken out: the decoder is done with.
  DecodedText Take() { return std::move(decoded_); }

 protected:
  // The next token adds `surface` to the text; its range is what of that is not space.
  void Append(std::string_view surface) { Append(surface, 1); }
  // The next `tokens` tokens are one character, or a space, together.
  void Append(std::string_view surface, std::size_t tokens);
  // The next token is no text; its range is empty, where it stands.
  void AppendSpecial();
  // Adds to the text what belongs to no token.
  void AppendSpace() { decoded_.text += ' '; }

 private:
  // Adds what is held back, now that nothing follows.
  virtual void Flush() {}
  // The last range stands; those before it that do not are empty, at its beginning.
  void Settle();

  DecodedText decoded_;
  std::size_t settled_ = 0;
  int end_ = 0;  // of the last range that is settled
};

}  // namespace heed
