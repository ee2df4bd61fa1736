// Checks the ops of one program, one by one, and turns each into the node that the engine runs.
//
// Split over three sources by kind of op: check_cells.cc (rnn, cell), check_attend.cc (attend, copy), check_ops.cc (the
// rest).
//
// Not thread-safe: one check owns it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/model/place.h"
#include "engine/model/program.h"
#include "engine/model/scope.h"
#include "engine/model/tensor_table.h"
#include "heed/model/v1/model.pb.h"

namespace heed {

class OpChecker {
 public:
  // `vocabulary` is the size of the side that the program's `embed` reads and its `output` writes. `tensors` and
  // `scope` must outlive the checker; `scope` has all names declared. max_source_tokens: the model's limit, 0: none
  // set.
  OpChecker(ProgramKind kind, std::int64_t vocabulary, int max_source_tokens, TensorTable* tensors, Scope* scope)
      : kind_(kind),
        vocabulary_(vocabulary),
        max_source_tokens_(max_source_tokens),
        tensors_(*tensors),
        scope_(*scope) {}

  // Checks op number `index`; those before it have been checked. INVALID_ARGUMENT as checker.h says.
  absl::Status Check(const model::v1::Op& op, int index);

  std::vector<Node> TakeNodes() { return std::move(nodes_); }

 private:
  using Inputs = google::protobuf::RepeatedPtrField<std::string>;

  // What a list of references is: vectors, or sequences (encoder only), or positions; never two of these.
  struct Operands {
    std::vector<Ref> refs;
    ValueType type = ValueType::kVector;
    std::int64_t total = 0;  // summed sizes
  };

  absl::Status CheckEmbed(const model::v1::Embed& op);
  absl::Status CheckRnn(const model::v1::Rnn& op);
  absl::Status CheckCell(const model::v1::Cell& op);
  absl::Status CheckAttend(const model::v1::Attend& op);
  absl::Status CheckLinear(const model::v1::Linear& op);
  absl::Status CheckActivation(const model::v1::Activation& op);
  absl::Status CheckConcat(const model::v1::Concat& op);
  absl::Status CheckAdd(const model::v1::Add& op);
  absl::Status CheckMul(const model::v1::Mul& op);
  absl::Status CheckLerp(const model::v1::Lerp& op);
  absl::Status CheckLayerNorm(const model::v1::LayerNorm& op);
  absl::Status CheckPool(const model::v1::Pool& op);
  absl::Status CheckSlice(const model::v1::Slice& op);
  absl::Status CheckMaxout(const model::v1::Maxout& op);
  absl::Status CheckPosition(const model::v1::Position& op);
  absl::Status CheckSelfAttend(const model::v1::SelfAttend& op);
  absl::Status CheckOutput(const model::v1::Output& op);
  absl::Status CheckCopy(const model::v1::Copy& op);

  // The op's program is the one it may stand in.
  absl::Status OnlyIn(ProgramKind kind) const;
  // References to vectors, or in the encoder sequences, or where `positions` to one float per source position; at least
  // `least`, all of one type.
  absl::StatusOr<Operands> Resolve(const Inputs& inputs, int least, bool positions = false);
  absl::StatusOr<Operands> ResolveOne(const char* field, const std::string& input, bool positions = false);
  // The same, positions too, and all of one size.
  absl::StatusOr<Operands> ResolveAlike(const Inputs& inputs, int least);
  absl::Status CheckOperand(const char* field, const std::string& input, const Ref& ref, bool positions = false) const;
  // One float per source position and each of `heads` heads.
  absl::StatusOr<Ref> ResolvePositions(const char* field, const std::string& input, int heads);
  // A sequence: an encoder value's number.
  absl::StatusOr<int> ResolveSequence(const char* field, const std::string& input);

  // Checks a recurrence over `input_size` inputs; 0: a cell without any.
  absl::StatusOr<CellWeights> CheckCellSpec(const model::v1::CellSpec& spec, std::int64_t input_size);
  absl::Status CheckCellOptions(const model::v1::CellSpec& spec, CellWeights* cell) const;
  absl::Status CheckCellState(const model::v1::CellSpec& spec, CellWeights* cell);
  absl::Status CheckCellNorm(const model::v1::CellNorm& norm, std::int64_t rows, CellWeights* cell);
  absl::Status CheckTransitions(const model::v1::Rnn& op, RnnNode* node);
  absl::StatusOr<Activation> CheckFunction(model::v1::Function function, bool required) const;

  absl::Status CheckAttendOptions(const model::v1::Attend& op) const;
  absl::Status CheckLocation(const model::v1::Attend& op) const;
  absl::Status CheckProjections(const model::v1::Attend& op, std::int64_t query, AttendNode* node);
  absl::Status CheckScore(const model::v1::Attend& op, AttendNode* node);

  const Value& value(const Ref& ref) const { return scope_.value(ref.value); }
  // Defines the op's own value (or its part ".h", ".c" ...) and gives its number.
  absl::StatusOr<int> Make(ValueType type, std::int64_t size, const char* part = "");

  const ProgramKind kind_;
  const std::int64_t vocabulary_;
  const int max_source_tokens_;
  TensorTable& tensors_;
  Scope& scope_;
  std::vector<Node> nodes_;

  // The op being checked.
  Place place_{""};
  std::string name_;
  int index_ = 0;
};

}  // namespace heed
