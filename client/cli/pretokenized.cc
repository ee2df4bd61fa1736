#include "client/cli/pretokenized.h"

#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "client/cli/connection.h"

namespace heed::cli {
namespace {

// Of the source as it was sent, whatever a server says of ranges.
absl::string_view TextOf(const v1::Token& token, absl::string_view source) {
  if (token.begin() < 0 || token.end() < token.begin() || token.end() > static_cast<int>(source.size())) return "";
  return source.substr(static_cast<std::size_t>(token.begin()), static_cast<std::size_t>(token.end() - token.begin()));
}

// The piece without the marks of its place in a word, which other tokenisers write.
absl::string_view Bare(absl::string_view piece) {
  for (const absl::string_view mark : {"\u2581", "\uFFED", "@@"}) {
    absl::ConsumePrefix(&piece, mark);
    absl::ConsumeSuffix(&piece, mark);
  }
  return piece;
}

// "learn." ends a sentence, "." alone is a piece as it should be.
bool EndsSentenceOnAWord(absl::string_view word) {
  for (const absl::string_view end : {".", "!", "?", "\u3002", "\uFF01", "\uFF1F", "\u0964"}) {
    if (word.size() > end.size() && absl::EndsWith(word, end)) return true;
  }
  return false;
}

bool IsPretokenized(const std::string& spec_json) {
  const auto spec = nlohmann::json::parse(spec_json, nullptr, /*allow_exceptions=*/false);
  return spec.is_object() && spec.contains("source") && spec["source"].is_object() &&
         spec["source"].contains("pretokenized");
}

}  // namespace

bool LooksUncut(const std::string& source, const v1::Segment& segment) {
  int all = 0, unlike = 0;
  bool last_unlike = false;
  absl::string_view last;
  for (const v1::Token& token : segment.source_tokens()) {
    if (token.special()) continue;
    last = TextOf(token, source);
    last_unlike = last != Bare(token.piece());
    ++all;
    unlike += last_unlike ? 1 : 0;
  }
  return (unlike > 1 && 2 * unlike >= all) || (last_unlike && EndsSentenceOnAWord(last));
}

void PretokenizedNote::Look(const std::string& source, const v1::TextResult& result, const v1::ModelIdentity& model) {
  if (asked_) return;
  bool uncut = false;
  for (const v1::Segment& segment : result.output().segments()) uncut = uncut || LooksUncut(source, segment);
  if (!uncut) return;
  asked_ = true;
  const auto told = AskModel(client_, model, options_->connection);
  if (!told.ok() || !IsPretokenized(told->spec_json())) return;
  PrintNote(
      absl::StrCat("warning: the model ", model.name(),
                   " takes pieces with spaces between them, and what was sent looks like plain text: cut it as the "
                   "model's training text was"),
      *console_);
}

}  // namespace heed::cli
