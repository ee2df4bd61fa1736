#include "engine/run/output_layer.h"

#include <cstring>

namespace heed {

OutputLayer::OutputLayer(const CompiledModel& model, RowOps* ops, BufferMaker* buffers) : model_(model), ops_(ops) {
  const int capacity = ops->block() + RowOps::Slack();
  logits_ = buffers->Make(Floats(capacity, model.vocabulary));
  if (model.output_rows >= 0) dense_ = buffers->Make(Floats(capacity, model.output_inputs.total));
  place_.resize(ops->block());
  listed_.reserve(ops->block());
}

// Rows without a shortlist come first among the logits, since a product writes a few rows more than it has.
void OutputLayer::Run(const float* x, const std::vector<StepRow>& rows) {
  const int count = static_cast<int>(rows.size()), k = model_.output_inputs.total;
  int full = 0;
  for (int r = 0; r < count; ++r) {
    if (rows[r].job->job().shortlist.empty()) place_[r] = full++;
  }
  if (full == count) {
    ops_->gemm(model_.output_matrix).Run(count, x, logits_.data());
    return;
  }
  int next = full;
  listed_.clear();
  for (int r = 0; r < count; ++r) {
    const std::vector<TokenId>& list = rows[r].job->job().shortlist;
    const float* from = x + Floats(r, k);
    if (list.empty()) {
      std::memcpy(dense_.data() + Floats(place_[r], k), from, sizeof(float) * k);
    } else {
      place_[r] = next++;
      listed_.push_back({from, list.data(), static_cast<int>(list.size()), logits(r)});
    }
  }
  if (full > 0) ops_->gemm(model_.output_matrix).Run(full, dense_.data(), logits_.data());
  GatherProduct(listed_.data(), static_cast<int>(listed_.size()),
                {model_.vocabulary, k, ops_->constant(model_.output_rows), ops_->constant(model_.output_bias)});
}

}  // namespace heed
