#include "server/reply/segment_stream.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "server/reply/attention.h"
#include "server/reply/tokens.h"

namespace heed {
namespace {

template <typename T>
void Append(const std::vector<T>& from, std::size_t begin, std::vector<T>* to) {
  to->insert(to->end(), from.begin() + static_cast<std::ptrdiff_t>(std::min(begin, from.size())), from.end());
}

const AdmittedText& TextOf(const AdmittedRequest& request, int text) {
  return request.texts[static_cast<std::size_t>(text)];
}

}  // namespace

SegmentStream::SegmentStream(const AdmittedRequest* request, int text, int segment, bool attention)
    : request_(request),
      segment_(&TextOf(*request, text).segments[static_cast<std::size_t>(segment)]),
      text_index_(text),
      segment_index_(segment),
      attention_(attention),
      source_(TypedSource(TextOf(*request, text).text, *segment_)),
      text_(request->model->target_tokenizer->StartDecoding()) {}

void SegmentStream::Add(DecodedHypothesis fresh) {
  const model::v1::Vocabulary& target = request_->model->spec.target();
  for (std::size_t t = 0; t < fresh.tokens.size(); ++t) {
    if (const int from = TypedAs(fresh, t, target); from >= 0) {
      const TypedToken& typed = source_[static_cast<std::size_t>(from)];
      text_->Add(GivenToken{.spelling = typed.spelling, .text = typed.text});
    } else {
      text_->Add(fresh.tokens[t]);
    }
  }
  Append(fresh.tokens, 0, &decoded_.tokens);
  Append(fresh.log_probabilities, 0, &decoded_.log_probabilities);
  Append(fresh.copies, 0, &decoded_.copies);
  Append(fresh.sources, 0, &decoded_.sources);
  if (!attention_) return;
  if (decoded_.attentions.empty()) {
    decoded_.attentions = std::move(fresh.attentions);
    return;
  }
  for (std::size_t i = 0; i < fresh.attentions.size() && i < decoded_.attentions.size(); ++i) {
    Append(fresh.attentions[i].values, 0, &decoded_.attentions[i].values);
    decoded_.attentions[i].rows += fresh.attentions[i].rows;
  }
}

void SegmentStream::AddRest(const DecodedHypothesis& best) {
  const std::size_t known = decoded_.tokens.size();
  if (known >= best.tokens.size()) return;
  DecodedHypothesis rest;
  Append(best.tokens, known, &rest.tokens);
  Append(best.log_probabilities, known, &rest.log_probabilities);
  Append(best.copies, known, &rest.copies);
  Append(best.sources, known, &rest.sources);
  for (const AttentionMatrix& matrix : best.attentions) {
    AttentionMatrix& rows = rest.attentions.emplace_back(matrix);
    rows.rows = static_cast<int>(rest.tokens.size());
    rows.values.clear();
    Append(matrix.values, known * static_cast<std::size_t>(matrix.columns), &rows.values);
  }
  Add(std::move(rest));
}

std::optional<v1::SegmentProgress> SegmentStream::Take(bool end) {
  if (end && !std::exchange(ended_, true)) text_->Finish();
  const DecodedText& text = text_->decoded();
  const std::size_t settled = text_->settled();
  if (settled == told_ && !(end && told_bytes_ < text.text.size())) return std::nullopt;

  v1::SegmentProgress progress;
  progress.set_text(text_index_);
  progress.set_segment(segment_index_);
  std::size_t bytes = told_bytes_;
  for (std::size_t t = told_; t < settled; ++t) {
    v1::Token* token = progress.add_tokens();
    *token = MakeToken(*request_->model, decoded_, t);
    token->set_begin(text.ranges[t].begin);
    token->set_end(text.ranges[t].end);
    bytes = std::max(bytes, static_cast<std::size_t>(text.ranges[t].end));
  }
  if (end) bytes = text.text.size();
  progress.set_delta(text.text.substr(told_bytes_, bytes - told_bytes_));
  TakeAttention(settled - told_, &progress);
  told_ = settled;
  told_bytes_ = bytes;
  return progress;
}

void SegmentStream::TakeAttention(std::size_t rows, v1::SegmentProgress* progress) {
  for (AttentionMatrix& matrix : decoded_.attentions) {
    const std::size_t values = rows * static_cast<std::size_t>(matrix.columns);
    AttentionMatrix told = {matrix.attend, matrix.head, matrix.component, static_cast<int>(rows), matrix.columns, {}};
    told.values.assign(matrix.values.begin(), matrix.values.begin() + static_cast<std::ptrdiff_t>(values));
    matrix.values.erase(matrix.values.begin(), matrix.values.begin() + static_cast<std::ptrdiff_t>(values));
    matrix.rows -= static_cast<int>(rows);
    const std::string& name = request_->model->plan->attends()[static_cast<std::size_t>(matrix.attend)].name;
    *progress->add_attentions() = MakeAttention(name, std::move(told), v1::ATTENTION_UNIT_PIECES, {}, {});
  }
}

}  // namespace heed
