#include "client/cli/attention_map.h"

#include <algorithm>
#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace heed::cli {
namespace {

using Tokens = google::protobuf::RepeatedPtrField<v1::Token>;
using Words = google::protobuf::RepeatedPtrField<v1::Word>;

std::vector<std::string> PieceLabels(const Tokens& tokens) {
  std::vector<std::string> labels;
  for (const v1::Token& token : tokens) labels.push_back(token.piece());
  return labels;
}

// A word is called what it reads in its text, a special by its piece.
std::vector<std::string> WordLabels(const Words& words, const Tokens& tokens, const std::string& text) {
  std::vector<std::string> labels;
  for (const v1::Word& word : words) {
    std::string label;
    if (word.special()) {
      if (word.first_token() >= 0 && word.first_token() < tokens.size()) label = tokens[word.first_token()].piece();
    } else if (word.begin() >= 0 && word.begin() <= word.end() && word.end() <= static_cast<int>(text.size())) {
      label = text.substr(word.begin(), word.end() - word.begin());
    }
    labels.push_back(std::move(label));
  }
  return labels;
}

bool Drawn(const v1::Attention& attention) {
  return attention.has_dense() && (attention.component() == v1::ATTENTION_COMPONENT_WEIGHTS ||
                                   attention.component() == v1::ATTENTION_COMPONENT_ENERGIES);
}

bool Chosen(const HeadChoice& choice, const v1::Attention& attention) {
  return choice.head == attention.head() && (choice.attend.empty() || choice.attend == attention.attend());
}

// The last head of each attend.
std::map<std::string, int> LastHeads(const v1::Hypothesis& hypothesis) {
  std::map<std::string, int> heads;
  for (const v1::Attention& attention : hypothesis.attentions()) {
    if (Drawn(attention)) heads[attention.attend()] = std::max(heads[attention.attend()], attention.head());
  }
  return heads;
}

std::string Title(const v1::Attention& attention, int last_head) {
  const bool weights = attention.component() == v1::ATTENTION_COMPONENT_WEIGHTS;
  return absl::StrCat("attention \"", attention.attend(), "\", head ", attention.head(),
                      last_head > 0 ? absl::StrCat(" (of 0 to ", last_head, ")") : "", ", ",
                      weights ? "weights in %" : "energies");
}

}  // namespace

absl::StatusOr<std::vector<HeadChoice>> ParseHeads(const std::string& value) {
  std::vector<HeadChoice> choices;
  for (const absl::string_view part : absl::StrSplit(value, ',')) {
    const std::size_t colon = part.rfind(':');
    HeadChoice choice;
    if (colon != absl::string_view::npos) choice.attend = std::string(part.substr(0, colon));
    const absl::string_view number = colon == absl::string_view::npos ? part : part.substr(colon + 1);
    if (!absl::SimpleAtoi(number, &choice.head) || choice.head < 0 || colon == 0) {
      return absl::InvalidArgumentError("it must be numbers from 0, as N or ATTEND:N, with commas between them");
    }
    choices.push_back(std::move(choice));
  }
  return choices;
}

absl::Status CheckHeads(const std::vector<HeadChoice>& choices, const v1::TextOutput& output) {
  for (const v1::Segment& segment : output.segments()) {
    for (const v1::Hypothesis& hypothesis : segment.hypotheses()) {
      const std::map<std::string, int> heads = LastHeads(hypothesis);
      if (heads.empty()) continue;
      for (const HeadChoice& choice : choices) {
        const bool there = std::any_of(
            hypothesis.attentions().begin(), hypothesis.attentions().end(),
            [&choice](const v1::Attention& attention) { return Drawn(attention) && Chosen(choice, attention); });
        if (there) continue;
        const std::string asked = choice.attend.empty() ? "" : choice.attend + ":";
        const std::string has = absl::StrJoin(heads, ", ", [](std::string* out, const auto& attend) {
          absl::StrAppend(out, attend.first, ":0", attend.second > 0 ? absl::StrCat(" to ", attend.second) : "");
        });
        return absl::InvalidArgumentError(
            absl::StrCat("--head asks for ", asked, choice.head, "; it must be of the heads that there are: ", has));
      }
      return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

std::vector<HeatMap> MapsOf(const std::string& source, const v1::TextOutput& output, int segment_index,
                            int hypothesis_index, const std::vector<HeadChoice>& choices) {
  const v1::Segment& segment = output.segments(segment_index);
  const v1::Hypothesis& hypothesis = segment.hypotheses(hypothesis_index);
  const std::map<std::string, int> heads = LastHeads(hypothesis);
  std::string place;
  const auto of = [&place](const char* what, int index, int count) {
    if (count > 1) absl::StrAppend(&place, what, " ", index + 1, " of ", count, ", ");
  };
  of("sentence", segment_index, output.segments_size());
  of("hypothesis", hypothesis_index, segment.hypotheses_size());
  std::vector<HeatMap> maps;
  for (const v1::Attention& attention : hypothesis.attentions()) {
    const bool chosen = choices.empty() || std::any_of(choices.begin(), choices.end(), [&](const HeadChoice& choice) {
                          return Chosen(choice, attention);
                        });
    if (!Drawn(attention) || !chosen) continue;
    const v1::DenseMatrix& dense = attention.dense();
    HeatMap map;
    map.weights = attention.component() == v1::ATTENTION_COMPONENT_WEIGHTS;
    map.title = place + Title(attention, heads.at(attention.attend()));
    const bool words = attention.unit() == v1::ATTENTION_UNIT_WORDS;
    map.columns_are = words ? "source words" : "source pieces";
    map.rows = words ? WordLabels(attention.target_words(), hypothesis.tokens(), hypothesis.text())
                     : PieceLabels(hypothesis.tokens());
    map.columns = words ? WordLabels(attention.source_words(), segment.source_tokens(), source)
                        : PieceLabels(segment.source_tokens());
    const bool matches = static_cast<std::size_t>(dense.rows()) == map.rows.size() &&
                         static_cast<std::size_t>(dense.columns()) == map.columns.size() &&
                         static_cast<std::size_t>(dense.values_size()) == map.rows.size() * map.columns.size();
    if (!matches) continue;
    map.values.assign(dense.values().begin(), dense.values().end());
    maps.push_back(std::move(map));
  }
  return maps;
}

}  // namespace heed::cli
