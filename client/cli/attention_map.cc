#include "client/cli/attention_map.h"

#include "absl/strings/str_cat.h"

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

}  // namespace

std::vector<HeatMap> MapsOf(const std::string& source, const v1::Segment& segment, const v1::Hypothesis& hypothesis) {
  std::vector<HeatMap> maps;
  for (const v1::Attention& attention : hypothesis.attentions()) {
    if (!attention.has_dense()) continue;
    const v1::DenseMatrix& dense = attention.dense();
    HeatMap map;
    map.weights = attention.component() == v1::ATTENTION_COMPONENT_WEIGHTS;
    map.title = absl::StrCat("attention \"", attention.attend(), "\", head ", attention.head(), ", ",
                             map.weights ? "weights in %" : "energies");
    const bool words = attention.unit() == v1::ATTENTION_UNIT_WORDS;
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
