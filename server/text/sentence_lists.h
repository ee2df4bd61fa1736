// What the sentence splitter knows of a language: its abbreviations, the words that open its sentences, how it counts.
// The data is in sentence_lists.txt, which says what each list is for; it is built into the program. A bundle may add
// lists of its own, or put them in place of these.
//
// Thread-safe: read-only once made.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace heed {

namespace model::v1 {
class SentenceLists;
}  // namespace model::v1

class SentenceLists {
 public:
  // The lists that a word is in, as bits.
  enum Kind : std::uint16_t {
    kInside = 1,
    kNumber = 2,
    kMayEnd = 4,
    kUnit = 8,
    kOpener = 16,
    kLabel = 32,
    kLetter = 64,
    kSpeech = 128,
    kMark = 256,
    kCounter = 512,
    kParticle = 1024,
    kStop = 2048,
    kEnds = 4096,
    kBegins = 8192,  // a longer abbreviation begins so: "z" of "z.B"
  };
  enum class Ordinals { kNone, kSmall, kBeforeNouns };

  // Those for the language that a BCP 47 tag begins with, in small letters ("de"); none known: what all have in common.
  static SentenceLists For(std::string_view language);
  // Adds those of a bundle, which were checked when it was loaded (model.proto); `replace` there: these are forgotten
  // first.
  void Add(const model::v1::SentenceLists& lists);

  // Languages that have lists; for tests and documentation.
  static std::vector<std::string> Languages();
  // What is wrong with a text of the form of sentence_lists.txt, by line; OK for the one that is built in.
  static absl::Status Check(std::string_view text);

  // Of the word as it is written.
  std::uint16_t Kinds(std::string_view word) const {
    const auto found = kinds_.find(absl::string_view(word.data(), word.size()));
    return found == kinds_.end() ? 0 : found->second;
  }
  // Of the endings that are listed ("-str") and `word` has.
  std::uint16_t KindsOfEnding(std::string_view word) const;
  Ordinals ordinals() const { return ordinals_; }
  bool has_openers() const { return has_openers_; }
  const std::vector<std::string>& resumes() const { return resumes_; }
  const std::vector<std::string>& continues() const { return continues_; }
  const std::vector<std::string>& finals() const { return finals_; }
  const std::vector<std::string>& speech() const { return speech_; }

 private:
  absl::Status Read(std::string_view text, std::string_view language);
  bool AddWord(std::string_view list, std::string word);

  absl::flat_hash_map<std::string, std::uint16_t> kinds_;
  std::vector<std::pair<std::string, std::uint16_t>> endings_;
  std::vector<std::string> resumes_, continues_, finals_, speech_;
  Ordinals ordinals_ = Ordinals::kNone;
  bool has_openers_ = false;
};

}  // namespace heed
