#include "server/text/sentence_lists.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "engine/base/status_macros.h"
#include "heed/model/v1/model.pb.h"

namespace heed {

extern const std::string_view kSentenceListsText;  // sentence_lists.txt

namespace {

constexpr std::array<std::pair<std::string_view, SentenceLists::Kind>, 12> kLists = {{
    {"inside", SentenceLists::kInside},
    {"number", SentenceLists::kNumber},
    {"may-end", SentenceLists::kMayEnd},
    {"ends", SentenceLists::kEnds},
    {"unit", SentenceLists::kUnit},
    {"openers", SentenceLists::kOpener},
    {"labels", SentenceLists::kLabel},
    {"letters", SentenceLists::kLetter},
    {"marks", SentenceLists::kMark},
    {"counters", SentenceLists::kCounter},
    {"particles", SentenceLists::kParticle},
    {"stops", SentenceLists::kStop},
}};
constexpr std::uint16_t kAbbreviations = SentenceLists::kInside | SentenceLists::kNumber | SentenceLists::kMayEnd;

// The languages that "[nb nn no]" names.
std::vector<std::string> Named(absl::string_view header) {
  return absl::StrSplit(header.substr(1, header.size() - 2), ' ', absl::SkipEmpty());
}

}  // namespace

bool SentenceLists::AddWord(std::string_view list, std::string word) {
  absl::StrReplaceAll({{"_", " "}}, &word);
  if (list == "resumes") {
    resumes_.push_back(std::move(word));
  } else if (list == "continues") {
    continues_.push_back(std::move(word));
  } else if (list == "finals") {
    finals_.push_back(std::move(word));
  } else if (list == "speech") {
    speech_.push_back(word);
    kinds_[std::move(word)] |= kSpeech;
  } else if (list == "ordinals") {
    if (word != "yes" && word != "nouns") return false;
    ordinals_ = word == "yes" ? Ordinals::kSmall : Ordinals::kBeforeNouns;
  } else {
    const auto* const known =
        std::find_if(kLists.begin(), kLists.end(), [&](const auto& named) { return named.first == list; });
    if (known == kLists.end()) return false;
    const Kind kind = known->second;
    if (kind == kOpener) has_openers_ = true;
    if ((kind & kAbbreviations) != 0) {
      if (word.back() == '.') return false;
      if (word.size() > 1 && word[0] == '-') {
        endings_.emplace_back(word.substr(1), kind);
        return true;
      }
      for (std::size_t dot = word.find('.'); dot != std::string::npos; dot = word.find('.', dot + 1)) {
        kinds_[word.substr(0, dot)] |= kBegins;
      }
    }
    kinds_[std::move(word)] |= kind;
  }
  return true;
}

std::uint16_t SentenceLists::KindsOfEnding(std::string_view word) const {
  std::uint16_t kinds = 0;
  for (const auto& [ending, kind] : endings_) {
    if (word.ends_with(ending)) kinds |= kind;
  }
  return kinds;
}

// Adds what `text` has for `language`; empty: everything.
absl::Status SentenceLists::Read(std::string_view text, std::string_view language) {
  bool wanted = false;
  std::string list;
  int number = 0;
  for (const absl::string_view line : absl::StrSplit(absl::string_view(text.data(), text.size()), '\n')) {
    ++number;
    const auto fault = [&](absl::string_view what) {
      return absl::InvalidArgumentError(absl::StrCat("line ", number, ": ", what));
    };
    if (line.empty() || line[0] == '#') continue;
    if (line[0] == '[') {
      if (line.back() != ']') return fault("a section's name ends with ]");
      const std::vector<std::string> names = Named(line);
      const auto is = [&](const std::string& name) { return language.empty() || name == "*" || name == language; };
      wanted = std::any_of(names.begin(), names.end(), is);
      list.clear();
      continue;
    }
    if (!wanted) continue;
    absl::string_view words = line;
    if (line[0] != ' ') {
      const std::size_t colon = line.find(':');
      if (colon == absl::string_view::npos) return fault("expected a list's name and a colon");
      list = std::string(line.substr(0, colon));
      words = line.substr(colon + 1);
    }
    for (const absl::string_view word : absl::StrSplit(words, ' ', absl::SkipEmpty())) {
      if (!AddWord(list, std::string(word))) return fault(absl::StrCat("\"", word, "\" cannot be in \"", list, "\""));
    }
  }
  return absl::OkStatus();
}

SentenceLists SentenceLists::For(std::string_view language) {
  SentenceLists lists;
  lists.Read(kSentenceListsText, language.empty() ? "*" : language).IgnoreError();  // a test holds that it has none
  return lists;
}

void SentenceLists::Add(const model::v1::SentenceLists& lists) {
  if (lists.replace()) *this = SentenceLists();
  const auto add = [&](std::string_view list, const auto& words) {
    for (const std::string& word : words) AddWord(list, word);
  };
  add("inside", lists.inside());
  add("number", lists.number());
  add("may-end", lists.may_end());
  add("unit", lists.unit());
  add("openers", lists.openers());
  add("labels", lists.labels());
  add("speech", lists.speech());
  if (lists.has_ordinals()) ordinals_ = lists.ordinals() ? Ordinals::kSmall : Ordinals::kNone;
}

std::vector<std::string> SentenceLists::Languages() {
  std::vector<std::string> languages;
  for (const absl::string_view line :
       absl::StrSplit(absl::string_view(kSentenceListsText.data(), kSentenceListsText.size()), '\n')) {
    if (line.empty() || line[0] != '[') continue;
    for (std::string& name : Named(line)) {
      if (name != "*") languages.push_back(std::move(name));
    }
  }
  return languages;
}

absl::Status SentenceLists::Check(std::string_view text) {
  SentenceLists lists;
  return lists.Read(text.empty() ? kSentenceListsText : text, "");
}

}  // namespace heed
