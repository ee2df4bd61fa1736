#include "engine/run/stepper.h"

#include <algorithm>
#include <cstring>

namespace heed {
namespace {

std::vector<const CellOp*> CellsOf(const CompiledModel& model) {
  std::vector<const CellOp*> cells;
  for (const Op& op : model.step_ops) {
    if (const auto* cell = std::get_if<CellOp>(&op)) cells.push_back(cell);
  }
  return cells;
}

StepPart PartOf(const Op& op) {
  if (std::holds_alternative<CellOp>(op)) return StepPart::kCells;
  if (std::holds_alternative<LinearOp>(op)) return StepPart::kLinear;
  return std::holds_alternative<AttendOp>(op) ? StepPart::kAttention : StepPart::kOtherOps;
}

}  // namespace

Stepper::Stepper(const CompiledModel& model, RowOps* ops, int max_rows, int max_source_tokens, BufferMaker* buffers)
    : model_(model),
      ops_(ops),
      max_source_(max_source_tokens),
      cells_(ops, ops->block() + RowOps::Slack(), CellsOf(model), buffers),
      attention_(ops, model.step_ops, buffers),
      output_(model, ops, max_rows, buffers) {
  const int capacity = ops->block() + RowOps::Slack();
  const auto add = [&](int size) {
    buffers_.push_back(buffers->Make(Floats(capacity, size)));
    return buffers_.back().data();
  };
  for (const Slot& slot : model.step_slots) {
    // Sequences are each job's own, and distributions the output layer's and the scorer's.
    const bool here = slot.buffered && (slot.type == ValueType::kVector || slot.type == ValueType::kPositions);
    frame_.values.push_back(here ? add(Stride(slot.type, slot.size)) : nullptr);
  }
  frame_.previous.resize(model.step_slots.size());
  for (const PrimedSlot& primed : model.primed) {
    frame_.previous[primed.step_value] = add(Stride(primed.type, primed.size));
  }
  int gates = 0;
  for (const Op& op : model.step_ops) {
    if (const auto* cell = std::get_if<CellOp>(&op)) {
      if (cell->input >= 0) gates = std::max(gates, cell->blocks * cell->hidden);
    }
  }
  gates_ = buffers->Make(Floats(capacity, gates));
  table_rows_.resize(ops->block());
}

// Gives every primed value its previous row, and every constant vector its job's.
void Stepper::TakeUp(const std::vector<StepRow>& rows) {
  bool same = true;
  for (std::size_t r = 0; r < rows.size(); ++r) same = same && rows[r].parent == static_cast<int>(r);
  for (const PrimedSlot& primed : model_.primed) {
    float*& current = frame_.values[primed.step_value];
    float*& previous = frame_.previous[primed.step_value];
    if (same) {  // nobody came, left or moved
      std::swap(current, previous);
      continue;
    }
    const int stride = Stride(primed.type, primed.size);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      LiveJob& job = *rows[r].job;
      const bool positions = primed.type == ValueType::kPositions;
      const std::size_t bytes = sizeof(float) * (positions ? Floats(job.positions(), primed.size) : primed.size);
      float* to = previous + r * stride;
      if (rows[r].parent >= 0) {
        std::memcpy(to, current + Floats(rows[r].parent, stride), bytes);
      } else if (primed.kept >= 0) {
        std::memcpy(to, positions ? job.sequence(primed.kept).floats : job.vector(primed.kept), bytes);
      } else {
        std::memset(to, 0, bytes);
      }
    }
  }
  for (const auto& [value, kept] : model_.step_vectors) {
    const int size = model_.step_slots[value].size;
    for (std::size_t r = 0; r < rows.size(); ++r) {
      std::memcpy(frame_.values[value] + r * size, rows[r].job->vector(kept), sizeof(float) * size);
    }
  }
}

void Stepper::Run(const std::vector<StepRow>& rows) {
  TakeUp(rows);
  for (const Op& op : model_.step_ops) {
    const PartTimer timer(ops_->parts(), PartOf(op));
    std::visit([&](const auto& o) { RunOp(o, rows); }, op);
  }
  const int count = static_cast<int>(rows.size());
  output_.Run(ops_->Join(model_.output_inputs, frame_, 0, count), rows);
}

void Stepper::RunOp(const EmbedOp& op, const std::vector<StepRow>& rows) {
  const RowTable& table = ops_->table(op.table);
  float* out = frame_.values[op.out];
  for (const StepRow& row : rows) {
    if (row.parent < 0 && model_.start_zero) {
      std::fill_n(out, op.size, 0.0f);
    } else {
      table.Read(row.input, op.scale, out);
    }
    out += op.size;
  }
}

void Stepper::RunOp(const CellOp& op, const std::vector<StepRow>& rows) {
  const int count = static_cast<int>(rows.size()), n = op.blocks * op.hidden;
  Addend addend{nullptr, ops_->constant(op.bias)};
  if (op.table >= 0) {
    const float* table = ops_->constant(op.table);
    const Buffer& buffer = model_.constants[op.table];
    const std::size_t zero_row = buffer.size() / n - 1;
    for (int r = 0; r < count; ++r) {
      const bool zero = rows[r].parent < 0 && model_.start_zero;
      table_rows_[r] = table + (zero ? zero_row : static_cast<std::size_t>(rows[r].input)) * n;
    }
    addend.rows = table_rows_.data();
  }
  const bool has_c = op.state_c.value >= 0;
  const CellState state{.h_in = frame_.at(op.state_h),
                        .c_in = has_c ? frame_.at(op.state_c) : nullptr,
                        .h = frame_.values[op.out_h],
                        .c = has_c ? frame_.values[op.out_c] : nullptr};
  if (op.joint >= 0) {
    cells_.RunJoint(op, count, ops_->Join(op.inputs, frame_, 0, count, op.state_h, op.hidden), addend, state);
    return;
  }
  const float* x = nullptr;
  if (op.input >= 0) {
    ops_->gemm(op.input).Run(count, ops_->Join(op.inputs, frame_, 0, count), gates_.data());
    x = gates_.data();
    if (op.norm.apart) {
      cells_.FinishInput(op, count, gates_.data());
      addend = {};
    }
  }
  cells_.Run(op, count, x, addend, state);
}

void Stepper::RunOp(const PositionOp& op, const std::vector<StepRow>& rows) {
  for (std::size_t r = 0; r < rows.size(); ++r) {
    ops_->RunPosition(op, frame_, static_cast<int>(r), rows[r].job->search().steps());
  }
}

void Stepper::RunOp(const AttendOp& op, const std::vector<StepRow>& rows) {
  const int count = static_cast<int>(rows.size());
  const float* query = attention_.Project(op, frame_, 0, count);
  const int stride = Stride(ValueType::kPositions, op.heads);
  const auto keys = [&](LiveJob& job) { return op.keys < 0 ? MemoryRows() : job.sequence(op.keys); };
  for (int r = 0; r < count; ++r) {
    LiveJob& job = *rows[r].job;
    // Every row reads a source of its own, from beyond the near caches: the next one's comes meanwhile.
    if (r + 1 < count && rows[r + 1].job != &job) {
      LiveJob& next = *rows[r + 1].job;
      Prefetch(keys(next), next.positions());
      Prefetch(next.sequence(op.values), next.positions());
    }
    const AttendRow row{.query = query + Floats(r, op.query_size),
                        .keys = keys(job),
                        .values = job.sequence(op.values),
                        .coverage = op.coverage.value < 0 ? nullptr : frame_.at(op.coverage) + Floats(r, stride),
                        .positions = job.positions(),
                        .energies = frame_.values[op.out_energies] + Floats(r, stride),
                        .weights = frame_.values[op.out_weights] + Floats(r, stride),
                        .context = frame_.values[op.out] + Floats(r, op.value_size)};
    attention_.Run(op, row);
    job.Attended(op, rows[r].index, row);
  }
}

}  // namespace heed
