#include "engine/run/output_layer.h"

#include <algorithm>
#include <cstring>

namespace heed {

OutputLayer::OutputLayer(const CompiledModel& model, RowOps* ops, int max_rows, BufferMaker* buffers)
    : model_(model), ops_(ops) {
  const int capacity = ops->block() + RowOps::Slack();
  logits_ = buffers->Make(Floats(max_rows, model.vocabulary));
  columns_ = buffers->Make(Gemm::StreamedFloats(model.vocabulary, ops->block()));
  if (model.output_rows >= 0) dense_ = buffers->Make(Floats(capacity, model.output_inputs.total));
  // 2 * beam candidates for each of beam rows at most, of jobs whose beams are max_rows together.
  best_.resize(2 * static_cast<std::size_t>(max_rows) * max_rows);
  rows_.resize(max_rows);
  order_.reserve(max_rows);
  scans_.resize(max_rows);
  wanted_.resize(max_rows);
  listed_.reserve(max_rows);
}

bool OutputLayer::WantsLogits(const StepRow& row) const {
  const Search& search = row.job->search();
  return model_.copy.has_value() || search.constrains() || search.forced_token() >= 0;
}

void OutputLayer::Run(const float* x, const std::vector<StepRow>& rows) {
  const int count = static_cast<int>(rows.size()), k = model_.output_inputs.total;
  order_.clear();
  std::size_t best = 0, logits = 0;
  const auto is_listed = [&](int r) { return !rows[r].job->job().shortlist.empty(); };
  for (const bool listed : {false, true}) {
    for (int r = 0; r < count; ++r) {
      if (is_listed(r) == listed) order_.push_back(r);
    }
  }
  for (int r = 0; r < count; ++r) {
    wanted_[r] = rows[r].job->search().candidates_per_row();
    rows_[r] = {.best = best_.data() + best};
    best += wanted_[r];
    if (!is_listed(r) && !WantsLogits(rows[r])) continue;
    rows_[r].logits = logits_.data() + Floats(static_cast<int>(logits++), model_.vocabulary);
  }
  int full = count;
  while (full > 0 && is_listed(order_[full - 1])) --full;
  listed_.clear();
  if (full < count && full > 0) {
    for (int i = 0; i < count; ++i)
      std::memcpy(dense_.data() + Floats(i, k), x + Floats(order_[i], k), sizeof(float) * k);
    x = dense_.data();
  }
  for (int i = full; i < count; ++i) {
    const std::vector<TokenId>& list = rows[order_[i]].job->job().shortlist;
    listed_.push_back({.x = x + Floats(i, k),
                       .ids = list.data(),
                       .count = static_cast<int>(list.size()),
                       .y = rows_[order_[i]].logits});
  }
  // The rows behind the full ones are read as well: they are there.
  if (full > 0) RunFull(x, full);
  if (full < count) RunListed(x + Floats(full, k), count - full);
}

void OutputLayer::RunFull(const float* x, int count) {
  Gemm& gemm = ops_->gemm(model_.output_matrix);
  for (int i = 0; i < count; ++i) scans_[i] = {};
  gemm.Prepare(count, x);
  const bool shared = ops_->SharesOutput(count);
  const std::size_t stride = shared ? Share(gemm, count) : 0;
  const Gemm& blocks = shared ? ops_->shared_output(0) : gemm;
  for (int block = 0; block < blocks.blocks(); ++block) {
    float* const columns = columns_.data() + stride * block;
    if (!shared) {
      const PartTimer timer(ops_->parts(), StepPart::kOutputProduct);
      gemm.RunBlock(block, columns);
    }
    const PartTimer timer(ops_->parts(), StepPart::kOutputScan);
    const int first = block * blocks.block_columns(), size = blocks.BlockSize(block);
    for (int i = 0; i < count; ++i) Scan(i, first, size, columns + Floats(i, blocks.block_columns()));
  }
  for (int i = 0; i < count; ++i) {
    OutputRow& row = rows_[order_[i]];
    row.found = scans_[i].found;
    row.log_sum_exp = static_cast<float>(scans_[i].LogSumExp());
  }
}

std::size_t OutputLayer::Share(const Gemm& prepared, int count) {
  const PartTimer timer(ops_->parts(), StepPart::kOutputProduct);
  for (int who = 0; who <= ops_->team()->threads(); ++who) ops_->shared_output(who).Follow(prepared);
  const Gemm& any = ops_->shared_output(0);
  const std::size_t stride = Floats(any.RowsWritten(count), any.block_columns());
  ops_->team()->Run(any.blocks(), [&](int block, int who) {
    ops_->shared_output(who).RunBlock(block, columns_.data() + stride * block);
  });
  return stride;
}

void OutputLayer::Scan(int i, int first, int size, float* columns) {
  OutputRow& row = rows_[order_[i]];
  const float* bias = ops_->constant(model_.output_bias);
  const int wanted = row.logits == nullptr ? wanted_[order_[i]] : 0;
  const int stretch = ops_->gemm(model_.output_matrix).stretch_columns();
  for (int at = 0; at < size && !model_.copy.has_value(); at += stretch) {
    ScanColumns(bias == nullptr ? nullptr : bias + first + at, first + at, std::min(stretch, size - at), wanted,
                columns + at, &scans_[i], row.best);
  }
  if (row.logits != nullptr) std::memcpy(row.logits + first, columns, sizeof(float) * size);
}

void OutputLayer::RunListed(const float* x, int count) {
  const PartTimer timer(ops_->parts(), StepPart::kOutputProduct);
  const RowTable& table = ops_->table(model_.output_rows);
  if (table.precision() == Precision::kInt8) {
    const QuantisedRows rounded = ops_->gemm(model_.output_matrix).Round(count, x);
    for (int i = 0; i < count; ++i) {
      listed_[i].q = rounded.q + Floats(i, table.k());
      listed_[i].scale = rounded.scale[i];
      listed_[i].zero = rounded.zero[i];
    }
  }
  GatherProduct(listed_.data(), count, {&table, ops_->constant(model_.output_bias)});
}

}  // namespace heed
