#include "engine/model/scope.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "engine/model/tensor_table.h"

namespace heed {
namespace {

using model::v1::CellKind;
using model::v1::Op;

constexpr int kMaxOps = 1024;
constexpr std::size_t kMaxReferences = 64;  // of one op
constexpr std::size_t kMaxNameBytes = 64;

bool IsOpName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxNameBytes && absl::ascii_islower(name[0]) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_'; });
}

bool HasC(CellKind kind) { return kind == model::v1::CELL_KIND_LSTM || kind == model::v1::CELL_KIND_SSRU; }

}  // namespace

const char* ProgramName(ProgramKind kind) {
  switch (kind) {
    case ProgramKind::kEncoder:
      return "encoder";
    case ProgramKind::kInit:
      return "init";
    case ProgramKind::kStep:
      return "step";
  }
  return "";
}

const char* TypeName(ValueType type) {
  switch (type) {
    case ValueType::kVector:
      return "a vector";
    case ValueType::kSequence:
      return "a sequence";
    case ValueType::kPositions:
      return "one float per source position";
    case ValueType::kDistribution:
      return "a distribution";
  }
  return "";
}

const char* OpKindName(const Op& op) {
  // The oneof's fields are the only message fields of Op, numbered as their cases.
  const auto* field = Op::descriptor()->FindFieldByNumber(op.op_case());
  return field == nullptr ? "" : field->name().c_str();
}

Place PlaceOf(ProgramKind kind, const Op& op) {
  const std::string name = IsOpName(op.name()) ? op.name() : Quote(op.name());
  return Place(absl::StrCat(ProgramName(kind), ".", name, " (", OpKindName(op), ")"));
}

std::vector<std::string> ReferencesOf(const Op& op) {
  const auto list = [](const auto& inputs) { return std::vector<std::string>(inputs.begin(), inputs.end()); };
  switch (op.op_case()) {
    case Op::kRnn:
      return {op.rnn().input()};
    case Op::kCell: {
      std::vector<std::string> all = list(op.cell().inputs());
      if (!op.cell().state().empty()) all.push_back(op.cell().state());
      return all;
    }
    case Op::kAttend: {
      std::vector<std::string> all = list(op.attend().query());
      for (const std::string* one : {&op.attend().keys(), &op.attend().coverage()}) {
        if (!one->empty()) all.push_back(*one);
      }
      all.push_back(op.attend().memory());
      return all;
    }
    case Op::kLinear:
      return list(op.linear().inputs());
    case Op::kActivation:
      return {op.activation().input()};
    case Op::kConcat:
      return list(op.concat().inputs());
    case Op::kAdd:
      return list(op.add().inputs());
    case Op::kMul:
      return list(op.mul().inputs());
    case Op::kLerp:
      return {op.lerp().gate(), op.lerp().a(), op.lerp().b()};
    case Op::kLayerNorm:
      return {op.layer_norm().input()};
    case Op::kPool:
      return {op.pool().input()};
    case Op::kSlice:
      return {op.slice().input()};
    case Op::kMaxout:
      return {op.maxout().input()};
    case Op::kPosition:
      return {op.position().input()};
    case Op::kSelfAttend:
      return {op.self_attend().input()};
    case Op::kOutput:
      return list(op.output().inputs());
    case Op::kCopy:
      return {op.copy().generate(), op.copy().gate(), op.copy().attention()};
    default:
      return {};  // embed reads ids
  }
}

absl::string_view BaseName(absl::string_view reference) {
  reference = absl::StripSuffix(reference, "'");
  return reference.substr(0, reference.find('.'));
}

void Scope::Add(const std::string& name, ValueType type, int op) {
  by_name_.emplace(name, static_cast<int>(values_.size()));
  values_.push_back({.name = name, .type = type});
  made_by_.push_back(op);
}

void Scope::Import(const Value& encoder_value, int encoder_index) {
  Add(encoder_value.name, encoder_value.type, -1);
  values_.back().size = encoder_value.size;
  values_.back().encoder_value = encoder_index;
}

void Scope::DeclareValues(const Op& op, int index) {
  const std::string& name = op.name();
  switch (op.op_case()) {
    case Op::kRnn:
      Add(name, ValueType::kSequence, index);
      Add(name + ".h", ValueType::kVector, index);
      if (HasC(op.rnn().cell().kind())) Add(name + ".c", ValueType::kVector, index);
      break;
    case Op::kCell:
      Add(name, ValueType::kVector, index);
      by_name_.emplace(name + ".h", by_name_.at(name));
      if (HasC(op.cell().cell().kind())) Add(name + ".c", ValueType::kVector, index);
      break;
    case Op::kAttend:
      Add(name, ValueType::kVector, index);
      Add(name + ".weights", ValueType::kPositions, index);
      Add(name + ".energies", ValueType::kPositions, index);
      break;
    case Op::kOutput:
    case Op::kCopy:
      Add(name, ValueType::kDistribution, index);
      break;
    default:
      Add(name, ValueType::kVector, index);  // Define says sequence where it is one
  }
}

absl::Status Scope::Declare(const google::protobuf::RepeatedPtrField<Op>& ops, const std::set<std::string>& taken) {
  if (ops.size() > kMaxOps) {
    return Place(ProgramName(kind_)).Invalid(ops.size(), " ops, more than the bound of ", kMaxOps);
  }
  std::set<std::string> names;
  for (int i = 0; i < ops.size(); ++i) {
    const Op& op = ops[i];
    if (!IsOpName(op.name())) {
      return Place(ProgramName(kind_))
          .Invalid("op ", i + 1, " is called ", Quote(op.name()), ", expected 1 to ", kMaxNameBytes,
                   " of [a-z][a-z0-9_]*");
    }
    if (op.op_case() == Op::OP_NOT_SET) return Place(ProgramName(kind_)).Invalid(op.name(), " holds no op");
    if (!names.insert(op.name()).second) return PlaceOf(kind_, op).Invalid("the name stands twice in its program");
    if (taken.contains(op.name())) return PlaceOf(kind_, op).Invalid("the name is taken by an output of the encoder");
    if (ReferencesOf(op).size() > kMaxReferences) {
      return PlaceOf(kind_, op).Invalid("reads more than ", kMaxReferences, " values");
    }
    DeclareValues(op, i);
  }
  return absl::OkStatus();
}

absl::StatusOr<Ref> Scope::Resolve(const Place& place, const char* field, const std::string& reference, int reader) {
  if (reference.empty()) return place.Invalid(field, " is missing");
  const bool previous = reference.back() == '\'';
  const std::string name(absl::StripSuffix(reference, "'"));
  const int value = Find(name);
  if (value < 0) {
    return place.Invalid(field, " ", Quote(reference), " names no value of the ", ProgramName(kind_), " program",
                         kind_ == ProgramKind::kEncoder ? "" : " or the encoder's outputs");
  }
  if (previous && kind_ != ProgramKind::kStep) {
    return place.Invalid(field, " ", reference, ": only the step program has a previous step");
  }
  if (previous && made_by_[value] < 0) {
    return place.Invalid(field, " ", reference, ": an output of the encoder never changes: leave out the prime");
  }
  if (!previous && made_by_[value] >= reader) {
    const char* who = made_by_[value] == reader ? "this op itself" : "a later op";
    return place.Invalid(field, " ", reference, " is made by ", who, "; it may read only earlier ones",
                         kind_ == ProgramKind::kStep ? ", or the previous step's value with a prime" : "");
  }
  if (previous && values_[value].size == 0) {
    return place.Invalid(field, " ", reference, ": nothing says what size it has");
  }
  if (previous) primed_.insert(value);
  return Ref{.value = value, .previous = previous};
}

int Scope::Find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? -1 : found->second;
}

absl::Status Scope::Define(const Place& place, int index, ValueType type, std::int64_t size) {
  Value& value = values_[index];
  if (type != ValueType::kDistribution && size > kMaxVectorSize) {
    return place.Invalid("makes a value of size ", size, ", more than the bound of ", kMaxVectorSize);
  }
  if (value.size != 0 && value.size != size) {
    return place.Invalid("makes a value of size ", size, ", but its readers need ", value.size);
  }
  if (type != ValueType::kDistribution) total_ += size;  // of at most 3072 values of at most 2^20
  if (total_ > kMaxProgramSize) {
    return place.Invalid("makes a value of size ", size, ", with which the sizes of the ", ProgramName(kind_),
                         " program's values sum to ", total_, ", more than the bound of ", kMaxProgramSize);
  }
  value.type = type;
  value.size = static_cast<int>(size);
  return absl::OkStatus();
}

}  // namespace heed
