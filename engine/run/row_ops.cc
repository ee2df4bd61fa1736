#include "engine/run/row_ops.h"

#include <algorithm>
#include <cstring>

#include "engine/base/status_macros.h"
#include "engine/kernels/elementwise.h"
#include "engine/kernels/position.h"

namespace heed {
namespace {

void CopyRows(const float* from, int from_stride, float* to, int to_stride, int size, int count) {
  for (int r = 0; r < count; ++r) {
    std::memcpy(to + static_cast<std::ptrdiff_t>(r) * to_stride, from + static_cast<std::ptrdiff_t>(r) * from_stride,
                sizeof(float) * size);
  }
}

// First element of row `begin` of a value whose rows have `size` elements.
float* Row(float* value, int begin, int size) { return value + static_cast<std::ptrdiff_t>(begin) * size; }

}  // namespace

absl::StatusOr<std::unique_ptr<RowOps>> RowOps::Make(const CompiledModel& model, int block, PartTimes* parts,
                                                     CoreTeam* team, BufferMaker* buffers) {
  std::unique_ptr<RowOps> ops(new RowOps(model, block, team));
  int widest = 1;
  const std::int64_t gemm_bytes = Gemm::Bytes(block);
  ops->scratch_ = GemmScratch::Make(model.packings, block, buffers);
  ops->scratch_.parts = parts;
  for (std::size_t i = 0; i < model.packings.size(); ++i) {
    buffers->Count(gemm_bytes);
    widest = std::max(widest, model.packings[i].k);
    if (!buffers->makes()) continue;
    HEED_ASSIGN_OR_RETURN(auto gemm, Gemm::Make(model.matrices[i], block, &ops->scratch_));
    ops->gemms_.push_back(std::move(gemm));
  }
  const bool shares = team != nullptr && team->threads() > 0 && Gemm::MayShare(model.packings[model.output_matrix]);
  for (int who = 0; shares && who <= team->threads(); ++who) {
    buffers->Count(Gemm::Bytes(Gemm::kSharedRows));
    if (!buffers->makes()) continue;
    HEED_ASSIGN_OR_RETURN(auto gemm, Gemm::MakeShared(model.matrices[model.output_matrix], &ops->scratch_));
    ops->shared_output_.push_back(std::move(gemm));
  }
  for (const auto* list : {&model.source_ops, &model.step_ops}) {
    for (const Op& op : *list) {
      // Attend queries without a projection are joined too; their size is that of the keys.
      if (const auto* attend = std::get_if<AttendOp>(&op)) widest = std::max(widest, attend->query.total);
      if (const auto* position = std::get_if<PositionOp>(&op)) widest = std::max(widest, position->size);
    }
  }
  ops->joined_ = buffers->Make(static_cast<std::size_t>(block + Slack()) * widest);
  return ops;
}

bool RowOps::SharesOutput(int rows) const {
  return !shared_output_.empty() && rows <= Gemm::kSharedRows && team_->available() &&
         shared_output_[0]->RowsWritten(rows) <= 2 * Gemm::kSharedRows;
}

const float* RowOps::Join(const Inputs& inputs, const Frame& frame, int begin, int count, Ref last, int last_size) {
  if (last.value < 0 && inputs.refs.size() == 1) return Row(frame.at(inputs.refs[0]), begin, inputs.sizes[0]);
  const int total = inputs.total + last_size;
  float* to = joined_.data();
  for (std::size_t i = 0; i < inputs.refs.size(); ++i) {
    const int size = inputs.sizes[i];
    CopyRows(Row(frame.at(inputs.refs[i]), begin, size), size, to, total, size, count);
    to += size;
  }
  if (last.value >= 0) CopyRows(Row(frame.at(last), begin, last_size), last_size, to, total, last_size, count);
  return joined_.data();
}

void RowOps::Run(const LinearOp& op, const Frame& frame, int begin, int count) {
  const float* x = Join(op.inputs, frame, begin, count);
  if (op.matrix < 0) {  // a bias alone
    float* y = Row(frame.values[op.out], begin, op.inputs.total);
    std::memcpy(y, x, sizeof(float) * count * op.inputs.total);
    BiasActivateRows(op.function, count, op.inputs.total, constant(op.bias), y);
    return;
  }
  Gemm& gemm = *gemms_[op.matrix];
  float* y = Row(frame.values[op.out], begin, gemm.n());
  gemm.Run(count, x, y, constant(op.bias), op.function);
}

void RowOps::RunElements(const ActivationOp& op, const Frame& frame, std::size_t first, int count) {
  float* y = frame.values[op.out] + first;
  std::memcpy(y, frame.at(op.input) + first, sizeof(float) * count);
  BiasActivateRows(op.function, 1, count, nullptr, y);
}

void RowOps::Run(const ConcatOp& op, const Frame& frame, int begin, int count) {
  float* to = Row(frame.values[op.out], begin, op.inputs.total);
  for (std::size_t i = 0; i < op.inputs.refs.size(); ++i) {
    const int size = op.inputs.sizes[i];
    CopyRows(Row(frame.at(op.inputs.refs[i]), begin, size), size, to, op.inputs.total, size, count);
    to += size;
  }
}

void RowOps::RunElements(const CombineOp& op, const Frame& frame, std::size_t first, int count) {
  float* y = frame.values[op.out] + first;
  std::memcpy(y, frame.at(op.inputs[0]) + first, sizeof(float) * count);
  for (std::size_t i = 1; i < op.inputs.size(); ++i) {
    const float* x = frame.at(op.inputs[i]) + first;
    op.product ? MulTo(count, x, y) : AddTo(count, x, y);
  }
}

void RowOps::RunElements(const LerpOp& op, const Frame& frame, std::size_t first, int count) {
  Lerp(count, frame.at(op.gate) + first, frame.at(op.a) + first, frame.at(op.b) + first, frame.values[op.out] + first);
}

void RowOps::Run(const LayerNormOp& op, const Frame& frame, int begin, int count) {
  LayerNormRows(count, op.size, Row(frame.at(op.input), begin, op.size), constant(op.scale), constant(op.bias),
                op.epsilon, Row(frame.values[op.out], begin, op.size));
}

void RowOps::Run(const SliceOp& op, const Frame& frame, int begin, int count) {
  CopyRows(Row(frame.at(op.input), begin, op.input_size) + op.begin, op.input_size,
           Row(frame.values[op.out], begin, op.size), op.size, op.size, count);
}

void RowOps::RunPosition(const PositionOp& op, const Frame& frame, int row, int position) {
  const std::size_t rows = model_.constants[op.table].size() / op.size;
  const float* sinusoids = constant(op.table) + Floats(position, op.size);
  if (static_cast<std::size_t>(position) >= rows) {
    Sinusoids(position, op.size, joined_.data());
    sinusoids = joined_.data();
  }
  float* y = Row(frame.values[op.out], row, op.size);
  std::memcpy(y, Row(frame.at(op.input), row, op.size), sizeof(float) * op.size);
  AddTo(op.size, sinusoids, y);
}

void RowOps::Run(const MaxoutOp& op, const Frame& frame, int begin, int count) {
  MaxoutRows(count, op.size, op.group, Row(frame.at(op.input), begin, op.size * op.group),
             Row(frame.values[op.out], begin, op.size));
}

}  // namespace heed
