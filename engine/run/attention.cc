#include "engine/run/attention.h"

#include <algorithm>
#include <cstring>

namespace heed {

Attention::Attention(RowOps* ops, const std::vector<Op>& ops_of_program, BufferMaker* buffers) : ops_(ops) {
  int query = 0, slots = 0;
  for (const Op& op : ops_of_program) {
    const auto* attend = std::get_if<AttendOp>(&op);
    if (attend == nullptr) continue;
    if (attend->query_matrix >= 0) query = std::max(query, attend->query_size);
    slots = std::max(slots, attend->slots);
  }
  query_ = buffers->Make(Floats(ops->block() + RowOps::Slack(), query));
  slots_ = buffers->Make(slots);
}

const float* Attention::Project(const AttendOp& op, const Frame& frame, int begin, int count) {
  const float* query = ops_->Join(op.query, frame, begin, count);
  if (op.query_matrix < 0) return query;
  ops_->gemm(op.query_matrix).Run(count, query, query_.data(), ops_->constant(op.query_bias));
  return query_.data();
}

void Attention::Run(const AttendOp& op, const AttendRow& row) {
  const int key = op.key_size / op.heads, value = op.value_size / op.heads, positions = row.positions;
  const float* v = ops_->constant(op.v);
  const float* coverage_weight = ops_->constant(op.coverage_weight);
  const auto normalise = op.sparsemax ? Sparsemax : Softmax;
  for (int head = 0; head < op.heads; ++head) {
    const float* q = row.query + head * key;
    float* e = row.energies + Floats(head, positions);
    float* w = row.weights + Floats(head, positions);
    switch (op.score) {
      case AttendNode::Score::kDot:
        DotEnergies(q, row.keys.From(head * key), positions, key, op.scale, e);
        break;
      case AttendNode::Score::kAdditive:
        if (row.coverage != nullptr) {
          CoverageEnergies(q, row.keys.From(head * key), v + head * key, op.v_bias,
                           row.coverage + Floats(head, positions), coverage_weight + head * key, positions, key, e);
        } else {
          AdditiveEnergies(q, row.keys.From(head * key), v + head * key, op.v_bias, positions, key, e);
        }
        break;
      case AttendNode::Score::kLocation:
        // Slots beyond the source take their part of the weights too.
        normalise(q, op.slots, slots_.data());
        std::memcpy(e, q, sizeof(float) * positions);
        std::memcpy(w, slots_.data(), sizeof(float) * positions);
        break;
    }
    if (op.score != AttendNode::Score::kLocation) normalise(e, positions, w);
    WeightedSum(w, row.values.From(head * value), positions, value, row.context + head * value);
  }
}

}  // namespace heed
