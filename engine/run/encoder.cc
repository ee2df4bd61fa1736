#include "engine/run/encoder.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <type_traits>

#include "engine/kernels/elementwise.h"
#include "engine/run/share_buffers.h"

namespace heed {
namespace {

// The cost of positions where nothing is multiplied by a matrix, in positions of a recurrence.
int Light(int count) { return (count + 3) / 4; }

// The rows as which fewer count in a product: one row alone takes as long as 3 while the weights come from L2, as long
// as 12 where they do not (bench/README.md).
constexpr int kFewestRows = 4, kFewestRowsBeyondCache = 12;
constexpr std::size_t kCacheBytes = std::size_t{1} << 20;

// Pairs of a query and a key that one piece of self-attention is to have at most.
constexpr int kAttendedPairs = 1 << 15;

std::vector<const CellOp*> CellsOf(const CompiledModel& model) {
  std::vector<const CellOp*> cells;
  for (const Op& op : model.source_ops) {
    const auto* rnn = std::get_if<RnnOp>(&op);
    if (rnn == nullptr) continue;
    cells.push_back(&rnn->cell);
    for (const CellOp& transition : rnn->transitions) cells.push_back(&transition);
  }
  return cells;
}

}  // namespace

Encoder::Encoder(const CompiledModel& model, RowOps* ops, int max_positions, BufferMaker* buffers)
    : model_(model),
      ops_(ops),
      max_positions_(max_positions),
      cells_(ops, ops->block() + RowOps::Slack(), CellsOf(model), buffers),
      attention_(ops, model.source_ops, buffers),
      self_attention_(model, ops, max_positions, buffers) {
  const int block = ops->block(), slack = RowOps::Slack();
  const BufferPlan plan = ShareBuffers(model);
  for (const BufferPlan::Place& place : plan.buffers) {
    const int rows = place.type == ValueType::kVector ? block : max_positions;
    buffers_.push_back(buffers->Make(Floats(rows + slack, place.size)));
  }
  for (const int at : plan.of_slot) frame_.values.push_back(at < 0 ? nullptr : buffers_[at].data());
  int input = 0, hidden = 0;
  for (const Op& op : model.source_ops) {
    const auto* rnn = std::get_if<RnnOp>(&op);
    if (rnn == nullptr) continue;
    if (rnn->cell.table < 0) input = std::max(input, rnn->cell.blocks * rnn->cell.hidden);
    hidden = std::max(hidden, rnn->cell.hidden);
  }
  input_ = buffers->Make(Floats(max_positions + slack, input));
  for (Buffer* buffer : {&h_, &c_}) *buffer = buffers->Make(Floats(block + slack, hidden));
  for (auto* list : {&order_, &length_, &offset_}) list->reserve(block);
  jobs_.reserve(block);
  ids_.reserve(max_positions);
  place_.reserve(max_positions);
  rows_.resize(block);
}

void Encoder::Start(const std::vector<LiveJob*>& jobs) {
  jobs_.assign(jobs.begin(), jobs.end());
  order_.resize(jobs.size());
  std::iota(order_.begin(), order_.end(), 0);
  // std::stable_sort would allocate.
  std::sort(order_.begin(), order_.end(), [&](int a, int b) {
    const int m = jobs[a]->positions(), n = jobs[b]->positions();
    return m != n ? m > n : a < b;
  });
  length_.clear();
  offset_.clear();
  ids_.clear();
  place_.clear();
  for (const int index : order_) {
    const std::vector<TokenId>& source = jobs[index]->job().source;
    offset_.push_back(static_cast<int>(ids_.size()));
    length_.push_back(static_cast<int>(source.size()));
    ids_.insert(ids_.end(), source.begin(), source.end());
    for (int i = 0; i < length_.back(); ++i) place_.push_back(i);
  }
  positions_ = static_cast<int>(ids_.size());
  op_ = 0;
  cursor_ = {};
}

int Encoder::Advance() {
  done_ = false;
  const int cost = std::visit([this](const auto& op) { return Piece(op); }, model_.source_ops[op_]);
  if (done_) {
    ++op_;
    cursor_ = {};
  }
  return cost;
}

void Encoder::Finish() {
  for (std::size_t s = 0; s < order_.size(); ++s) {
    LiveJob& job = *jobs_[order_[s]];
    for (std::size_t i = 0; i < model_.sequences.size(); ++i) {
      const Kept& kept = model_.sequences[i];
      job.KeepSequence(static_cast<int>(i), frame_.values[kept.value] + Floats(offset_[s], kept.size));
    }
    for (std::size_t i = 0; i < model_.vectors.size(); ++i) {
      const Kept& kept = model_.vectors[i];
      std::memcpy(job.vector(static_cast<int>(i)), frame_.values[kept.value] + Floats(static_cast<int>(s), kept.size),
                  sizeof(float) * kept.size);
    }
  }
  jobs_.clear();
}

int Encoder::Multiplied(MatrixIndex matrix, int rows) const {
  if (matrix < 0) return rows;
  const bool cached = model_.matrices[matrix]->bytes() <= kCacheBytes;
  return std::max(rows, cached ? kFewestRows : kFewestRowsBeyondCache);
}

template <typename RowOp>
int Encoder::Piece(const RowOp& op) {
  const bool vectors = model_.source_slots[op.out].type == ValueType::kVector;
  const int total = vectors ? static_cast<int>(order_.size()) : positions_;
  const int count = std::min(ops_->block(), total - cursor_.at);
  ops_->Run(op, frame_, cursor_.at, count);
  cursor_.at += count;
  done_ = cursor_.at == total;
  if constexpr (std::is_same_v<RowOp, LinearOp>) {
    if (op.matrix >= 0) return Multiplied(op.matrix, count);
  }
  return Light(count);
}

int Encoder::Piece(const EmbedOp& op) {
  const RowTable& table = ops_->table(op.table);
  const int count = std::min(ops_->block(), positions_ - cursor_.at);
  for (int i = 0; i < count; ++i, ++cursor_.at) {
    table.Read(ids_[cursor_.at], op.scale, frame_.values[op.out] + Floats(cursor_.at, op.size));
  }
  done_ = cursor_.at == positions_;
  return Light(count);
}

// One source at a time.
int Encoder::Piece(const PoolOp& op) {
  const int s = cursor_.at++, length = length_[s];
  done_ = cursor_.at == static_cast<int>(order_.size());
  float* out = frame_.values[op.out] + Floats(s, op.size);
  const float* first = frame_.values[op.input] + Floats(offset_[s], op.size);
  if (op.kind == PoolNode::Kind::kMean) {
    MeanOfRows(length, op.size, first, out);
    return Light(length);
  }
  const int row = op.kind == PoolNode::Kind::kFirst ? 0 : length - 1;
  std::memcpy(out, first + Floats(row, op.size), sizeof(float) * op.size);
  return 1;
}

int Encoder::Piece(const RnnOp& op) {
  if (cursor_.second) return RunStates(op);
  if (op.cell.table >= 0) {
    StartStates(op);
    return 0;
  }
  // The input's part of every position, some rows at a time.
  const int n = op.cell.blocks * op.cell.hidden;
  const int count = std::min(ops_->block(), positions_ - cursor_.at);
  float* y = input_.data() + Floats(cursor_.at, n);
  ops_->gemm(op.cell.input).Run(count, frame_.values[op.input] + Floats(cursor_.at, op.cell.inputs.total), y);
  cells_.FinishInput(op.cell, count, y);
  cursor_.at += count;
  if (cursor_.at == positions_) StartStates(op);
  return Multiplied(op.cell.input, count);
}

void Encoder::StartStates(const RnnOp& op) {
  cursor_ = {true, 0};
  const std::size_t bytes = sizeof(float) * Floats(static_cast<int>(order_.size()), op.cell.hidden);
  std::memset(h_.data(), 0, bytes);
  std::memset(c_.data(), 0, bytes);
}

// One time step of every source that is still running.
int Encoder::RunStates(const RnnOp& op) {
  const int n = op.cell.blocks * op.cell.hidden, hidden = op.cell.hidden;
  const int time = cursor_.at;
  const float* table = op.cell.table >= 0 ? ops_->constant(op.cell.table) : input_.data();
  int running = 0;
  while (running < static_cast<int>(length_.size()) && length_[running] > time) ++running;
  const auto position = [&](int s) { return offset_[s] + (op.backward ? length_[s] - 1 - time : time); };
  for (int s = 0; s < running; ++s) {
    rows_[s] = table + Floats(op.cell.table >= 0 ? ids_[position(s)] : position(s), n);
  }
  const CellState state{.h_in = h_.data(), .c_in = c_.data(), .h = h_.data(), .c = c_.data()};
  cells_.Run(op.cell, running, nullptr, {rows_.data(), nullptr}, state);
  for (const CellOp& transition : op.transitions) {
    cells_.Run(transition, running, nullptr, {nullptr, ops_->constant(transition.bias)}, state);
  }
  float* out = frame_.values[op.out];
  for (int s = 0; s < running; ++s) {
    std::memcpy(out + Floats(position(s), hidden), h_.data() + Floats(s, hidden), sizeof(float) * hidden);
  }
  cursor_.at = time + 1;
  if (cursor_.at == length_[0]) {
    const std::size_t bytes = sizeof(float) * Floats(static_cast<int>(order_.size()), hidden);
    if (op.cell.out_h >= 0) std::memcpy(frame_.values[op.cell.out_h], h_.data(), bytes);
    if (op.cell.out_c >= 0) std::memcpy(frame_.values[op.cell.out_c], c_.data(), bytes);
    done_ = true;
  }
  int cost = Multiplied(op.cell.state, running);
  for (const CellOp& transition : op.transitions) cost += Multiplied(transition.state, running);
  return cost;
}

int Encoder::Piece(const PositionOp& op) {
  const int count = std::min(ops_->block(), positions_ - cursor_.at);
  for (int i = 0; i < count; ++i, ++cursor_.at) ops_->RunPosition(op, frame_, cursor_.at, place_[cursor_.at]);
  done_ = cursor_.at == positions_;
  return Light(count);
}

// A few sources at a time. Weights and energies of all heads of one source lie together, where its positions begin.
int Encoder::Piece(const AttendOp& op) {
  const int count = std::min(16, static_cast<int>(order_.size()) - cursor_.at);
  const float* query = attention_.Project(op, frame_, cursor_.at, count);
  int positions = 0;
  for (int i = 0; i < count; ++i) {
    const int s = cursor_.at + i, at = offset_[s];
    const auto of = [&](int slot, int size) { return frame_.values[slot] + Floats(at, size); };
    attention_.Run(op, {.query = query + Floats(i, op.query_size),
                        .keys = {op.keys < 0 ? nullptr : of(op.keys, op.key_size), nullptr, op.key_size},
                        .values = {of(op.values, op.value_size), nullptr, op.value_size},
                        .coverage = op.coverage.value < 0 ? nullptr : of(op.coverage.value, op.heads),
                        .positions = length_[s],
                        .energies = of(op.out_energies, op.heads),
                        .weights = of(op.out_weights, op.heads),
                        .context = frame_.values[op.out] + Floats(s, op.value_size)});
    positions += length_[s];
  }
  cursor_.at += count;
  done_ = cursor_.at == static_cast<int>(order_.size());
  return Light(positions);
}

int Encoder::Piece(const SelfAttendOp& op) {
  if (!cursor_.second) {
    const int count = std::min(ops_->block(), positions_ - cursor_.at);
    self_attention_.Project(op, frame_.values[op.input], cursor_.at, count);
    cursor_.at += count;
    if (cursor_.at == positions_) cursor_ = {true, 0};
    return Multiplied(op.projections, count);
  }
  // Sources come longest first, so none that these rows belong to is longer than the first's.
  const auto source = std::upper_bound(offset_.begin(), offset_.end(), cursor_.at) - offset_.begin() - 1;
  const int length = length_[source];
  const int few = std::max(16, kAttendedPairs / length / 16 * 16);
  const int count = std::min({ops_->block(), few, positions_ - cursor_.at});
  self_attention_.Attend(op, offset_, length_, cursor_.at, count, frame_.values[op.out]);
  cursor_.at += count;
  done_ = cursor_.at == positions_;
  return Multiplied(op.output, count) + static_cast<int>(std::int64_t{count} * length / op.size);
}

}  // namespace heed
