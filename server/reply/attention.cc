#include "server/reply/attention.h"

#include <memory>

namespace heed {
namespace {

void AddWords(absl::Span<const WordSpan> words, google::protobuf::RepeatedPtrField<v1::Word>* out) {
  out->Reserve(static_cast<int>(words.size()));
  for (const WordSpan& span : words) {
    v1::Word* word = out->Add();
    word->set_first_token(span.first);
    word->set_token_count(span.count);
    word->set_begin(span.range.begin);
    word->set_end(span.range.end);
    word->set_special(span.special);
  }
}

v1::AttentionComponent ComponentOf(AttentionMatrix::Component component) {
  switch (component) {
    case AttentionMatrix::Component::kEnergies:
      return v1::ATTENTION_COMPONENT_ENERGIES;
    case AttentionMatrix::Component::kContexts:
      return v1::ATTENTION_COMPONENT_CONTEXTS;
    case AttentionMatrix::Component::kWeights:
      break;
  }
  return v1::ATTENTION_COMPONENT_WEIGHTS;
}

}  // namespace

std::vector<WordSpan> Words(const std::string& text, absl::Span<const v1::Token> tokens) {
  std::vector<ByteRange> ranges;
  ranges.reserve(tokens.size());
  auto special = std::make_unique<bool[]>(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    ranges.push_back({tokens[i].begin(), tokens[i].end()});
    special[i] = tokens[i].special();
  }
  return GroupWords(text, ranges, absl::MakeConstSpan(special.get(), tokens.size()));
}

std::vector<float> FoldToWords(const AttentionMatrix& matrix, absl::Span<const WordSpan> target,
                               absl::Span<const WordSpan> source) {
  std::vector<float> folded(target.size() * source.size(), 0.0F);
  for (std::size_t t = 0; t < target.size(); ++t) {
    for (std::size_t s = 0; s < source.size(); ++s) {
      double sum = 0;
      for (int row = target[t].first; row < target[t].first + target[t].count; ++row) {
        const float* values = matrix.values.data() + static_cast<std::ptrdiff_t>(row) * matrix.columns;
        for (int column = source[s].first; column < source[s].first + source[s].count; ++column) {
          sum += static_cast<double>(values[column]);
        }
      }
      folded[t * source.size() + s] = static_cast<float>(sum / target[t].count);
    }
  }
  return folded;
}

v1::Attention MakeAttention(const std::string& attend, AttentionMatrix matrix, v1::AttentionUnit unit,
                            absl::Span<const WordSpan> target, absl::Span<const WordSpan> source) {
  v1::Attention attention;
  attention.set_attend(attend);
  attention.set_head(matrix.head);
  attention.set_component(ComponentOf(matrix.component));
  attention.set_unit(unit);
  v1::DenseMatrix* dense = attention.mutable_dense();
  if (unit == v1::ATTENTION_UNIT_WORDS) {
    const std::vector<float> folded = FoldToWords(matrix, target, source);
    dense->set_rows(static_cast<int>(target.size()));
    dense->set_columns(static_cast<int>(source.size()));
    dense->mutable_values()->Add(folded.begin(), folded.end());
    AddWords(target, attention.mutable_target_words());
    AddWords(source, attention.mutable_source_words());
  } else {
    dense->set_rows(matrix.rows);
    dense->set_columns(matrix.columns);
    dense->mutable_values()->Add(matrix.values.begin(), matrix.values.end());
  }
  return attention;
}

}  // namespace heed
