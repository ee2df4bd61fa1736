#include "engine/run/self_attention.h"

#include <algorithm>
#include <cmath>

#include "engine/kernels/self_attention.h"

namespace heed {

SelfAttention::SelfAttention(const CompiledModel& model, RowOps* ops, int max_positions, BufferMaker* buffers)
    : ops_(ops) {
  int size = 0;
  std::size_t scratch = 0;
  for (const Op& op : model.source_ops) {
    const auto* attend = std::get_if<SelfAttendOp>(&op);
    if (attend == nullptr) continue;
    size = std::max(size, attend->size);
    scratch = std::max(scratch, SelfAttentionScratch(max_positions, attend->size / attend->heads));
  }
  projected_ = buffers->Make(Floats(max_positions + RowOps::Slack(), 3 * size));
  contexts_ = buffers->Make(Floats(ops->block() + RowOps::Slack(), size));
  scratch_ = buffers->Make(scratch);
}

void SelfAttention::Project(const SelfAttendOp& op, const float* x, int begin, int count) {
  float* y = projected_.data() + Floats(begin, 3 * op.size);
  ops_->gemm(op.projections).Run(count, x + Floats(begin, op.size), y, ops_->constant(op.bias));
}

void SelfAttention::Attend(const SelfAttendOp& op, const std::vector<int>& offset, const std::vector<int>& length,
                           int begin, int count, float* y) {
  const int size = op.size / op.heads, end = begin + count;
  std::size_t s = std::upper_bound(offset.begin(), offset.end(), begin) - offset.begin() - 1;
  for (; s < offset.size() && offset[s] < end; ++s) {
    const int first = std::max(begin, offset[s]), last = std::min(end, offset[s] + length[s]);
    const float* queries = projected_.data() + Floats(first, 3 * op.size);
    const float* source = projected_.data() + Floats(offset[s], 3 * op.size);
    for (int head = 0; head < op.heads; ++head) {
      AttendHead({.q = queries + head * size,
                  .k = source + op.size + head * size,
                  .v = source + 2 * op.size + head * size,
                  .queries = last - first,
                  .positions = length[s],
                  .size = size,
                  .stride = 3 * op.size,
                  .scale = 1 / std::sqrt(static_cast<float>(size)),
                  .out = contexts_.data() + Floats(first - begin, op.size) + head * size,
                  .out_stride = op.size,
                  .scratch = scratch_.data()});
    }
  }
  float* out = y + Floats(begin, op.size);
  ops_->gemm(op.output).Run(count, contexts_.data(), out, ops_->constant(op.output_bias));
}

}  // namespace heed
