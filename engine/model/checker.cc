#include "engine/model/checker.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "engine/model/op_checker.h"
#include "engine/model/place.h"
#include "engine/model/scope.h"
#include "engine/model/size_inference.h"
#include "engine/model/spec.h"
#include "engine/model/tensor_table.h"

namespace heed {
namespace {

using model::v1::Initial;
using model::v1::ModelSpec;
using model::v1::Op;
using Ops = google::protobuf::RepeatedPtrField<Op>;

constexpr int kMaxOutputs = 64;  // of the encoder

// What the encoder exports: its own values' numbers, in the order of `outputs`, and which of them were read.
struct Exports {
  std::vector<int> values;
  std::set<std::string> taken;  // base names, which no op of init or step may bear
  std::set<std::string> read;
};

absl::Status CheckOps(ProgramKind kind, const ModelSpec& spec, const Ops& ops, TensorTable* tensors, Scope* scope,
                      Program* program) {
  const int vocabulary = kind == ProgramKind::kStep ? spec.target().size() : spec.source().size();
  OpChecker checker(kind, vocabulary, spec.limits().max_source_tokens(), tensors, scope);
  for (int i = 0; i < ops.size(); ++i) HEED_RETURN_IF_ERROR(checker.Check(ops[i], i));
  program->nodes = checker.TakeNodes();
  program->values = scope->values();
  return absl::OkStatus();
}

absl::StatusOr<Exports> CheckEncoder(const ModelSpec& spec, TensorTable* tensors, Program* program) {
  Scope scope(ProgramKind::kEncoder);
  HEED_RETURN_IF_ERROR(scope.Declare(spec.encoder().ops(), {}));
  HEED_RETURN_IF_ERROR(CheckOps(ProgramKind::kEncoder, spec, spec.encoder().ops(), tensors, &scope, program));

  const Place place("encoder.outputs");
  const auto& outputs = spec.encoder().outputs();
  if (outputs.empty()) return place.Invalid("is missing");
  if (outputs.size() > kMaxOutputs)
    return place.Invalid(outputs.size(), " names, more than the bound of ", kMaxOutputs);
  Exports exports;
  std::set<std::string> names;
  for (const std::string& name : outputs) {
    const int value = scope.Find(name);
    if (value < 0) return place.Invalid(Quote(name), " names no value of the encoder program");
    if (!names.insert(name).second) return place.Invalid(name, " stands twice");
    exports.values.push_back(value);
    exports.taken.emplace(BaseName(name));
  }
  return exports;
}

// Makes those of the encoder's outputs that `references` name known to `scope`.
void ImportExports(const Program& encoder, const std::set<std::string>& references, Exports* exports, Scope* scope) {
  for (const int index : exports->values) {
    const Value& value = encoder.values[index];
    if (!references.contains(value.name)) continue;
    scope->Import(value, index);
    exports->read.insert(value.name);
  }
}

std::set<std::string> AllReferences(const Ops& ops) {
  std::set<std::string> all;
  for (const Op& op : ops) {
    for (const std::string& reference : ReferencesOf(op)) all.emplace(absl::StripSuffix(reference, "'"));
  }
  return all;
}

absl::Status CheckInit(const ModelSpec& spec, TensorTable* tensors, Exports* exports, Scope* scope,
                       CheckedProgram* checked) {
  std::set<std::string> references = AllReferences(spec.init().ops());
  for (const Initial& initial : spec.init().initials()) references.insert(initial.from());
  ImportExports(checked->encoder, references, exports, scope);
  HEED_RETURN_IF_ERROR(scope->Declare(spec.init().ops(), exports->taken));
  return CheckOps(ProgramKind::kInit, spec, spec.init().ops(), tensors, scope, &checked->init);
}

// step.output is the output, or the copy that reads it; there is no second one of either.
absl::Status CheckDistributions(const ModelSpec& spec, const Scope& scope, CheckedProgram* checked) {
  const auto& step = spec.step();
  const Place place("step.output");
  if (step.output().empty()) return place.Invalid("is missing");
  checked->output = scope.Find(step.output());
  if (checked->output < 0) return place.Invalid(Quote(step.output()), " names no value of the step program");
  if (scope.value(checked->output).type != ValueType::kDistribution) {
    return place.Invalid(step.output(), " is not made by an output op");
  }
  std::string output = step.output();
  for (const Op& op : step.ops()) {
    if (op.op_case() != Op::kCopy) continue;
    if (op.name() != step.output()) {
      return PlaceOf(ProgramKind::kStep, op).Invalid("is not step.output, which is ", step.output());
    }
    if (spec.has_shortlist()) return PlaceOf(ProgramKind::kStep, op).Invalid("does not go together with a shortlist");
    output = op.copy().generate();
  }
  for (const Op& op : step.ops()) {
    if (op.op_case() == Op::kOutput && op.name() != output) {
      return PlaceOf(ProgramKind::kStep, op).Invalid("a second output; the step program has exactly one");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckStart(const ModelSpec& spec, CheckedProgram* checked) {
  const auto& step = spec.step();
  switch (step.start_case()) {
    case model::v1::StepProgram::kStartId:
      if (step.start_id() < 0 || step.start_id() >= spec.target().size()) {
        return Place("step.start_id").Invalid("is ", step.start_id(), ", expected 0 to ", spec.target().size() - 1);
      }
      checked->start_id = step.start_id();
      return absl::OkStatus();
    case model::v1::StepProgram::kStartZero:
      if (!step.start_zero()) return Place("step.start_zero").Invalid("is false, expected true or start_id instead");
      checked->start_zero = true;
      return absl::OkStatus();
    case model::v1::StepProgram::START_NOT_SET:
      break;
  }
  return Place("step").Invalid("has neither start_id nor start_zero");
}

absl::Status CheckStep(const ModelSpec& spec, TensorTable* tensors, Exports* exports, Scope* scope,
                       CheckedProgram* checked) {
  const auto& step = spec.step();
  ImportExports(checked->encoder, AllReferences(step.ops()), exports, scope);
  HEED_RETURN_IF_ERROR(scope->Declare(step.ops(), exports->taken));
  HEED_RETURN_IF_ERROR(InferSizes(step.ops(), *tensors, scope));
  HEED_RETURN_IF_ERROR(CheckOps(ProgramKind::kStep, spec, step.ops(), tensors, scope, &checked->step));
  HEED_RETURN_IF_ERROR(CheckDistributions(spec, *scope, checked));
  return CheckStart(spec, checked);
}

// One initial: the step value that it starts and where from.
absl::StatusOr<Primed> CheckInitial(const Initial& initial, const Scope& init, const Scope& step) {
  const Place place(absl::StrCat("init.initials ", Quote(initial.name())));
  Primed primed;
  primed.step_value = step.Find(initial.name());
  if (primed.step_value < 0) return place.Invalid("names no value of the step program");
  if (!step.primed().contains(primed.step_value)) {
    return place.Invalid("the step program never reads ", initial.name(), "'");
  }
  switch (initial.value_case()) {
    case Initial::kZero:
      if (!initial.zero()) return place.Invalid("zero is false, expected true or from instead");
      return primed;
    case Initial::kFrom:
      break;
    case Initial::VALUE_NOT_SET:
      return place.Invalid("has neither from nor zero");
  }
  primed.init_value = init.Find(initial.from());
  if (primed.init_value < 0) {
    return place.Invalid("from ", Quote(initial.from()),
                         " names no value of the init program or the encoder's outputs");
  }
  const Value& from = init.value(primed.init_value);
  const ValueType type = step.value(primed.step_value).type;
  if (from.type != type) {
    return place.Invalid("from ", initial.from(), " is ", TypeName(from.type), ", expected ", TypeName(type));
  }
  const int size = step.value(primed.step_value).size;
  if (from.size != size) {
    return place.Invalid("from ", initial.from(), " has size ", from.size, ", expected ", size);
  }
  return primed;
}

absl::Status CheckInitials(const ModelSpec& spec, const Scope& init, const Scope& step, CheckedProgram* checked) {
  std::set<int> initialised;
  for (const Initial& initial : spec.init().initials()) {
    HEED_ASSIGN_OR_RETURN(const Primed primed, CheckInitial(initial, init, step));
    if (!initialised.insert(primed.step_value).second) {
      return Place("init.initials").Invalid(initial.name(), " is given twice");
    }
    checked->primed.push_back(primed);
  }
  for (const int value : step.primed()) {
    if (!initialised.contains(value)) {
      return Place("init.initials")
          .Invalid("has none for ", step.value(value).name, ", which the step program reads as ",
                   step.value(value).name, "'");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CheckedProgram> CheckProgram(const Bundle& bundle) {
  const ModelSpec& spec = bundle.spec;
  HEED_RETURN_IF_ERROR(CheckSpec(spec));
  TensorTable tensors(bundle.tensors);
  HEED_RETURN_IF_ERROR(tensors.CheckData());

  CheckedProgram checked;
  HEED_ASSIGN_OR_RETURN(Exports exports, CheckEncoder(spec, &tensors, &checked.encoder));
  Scope init(ProgramKind::kInit);
  HEED_RETURN_IF_ERROR(CheckInit(spec, &tensors, &exports, &init, &checked));
  Scope step(ProgramKind::kStep);
  HEED_RETURN_IF_ERROR(CheckStep(spec, &tensors, &exports, &step, &checked));
  HEED_RETURN_IF_ERROR(CheckInitials(spec, init, step, &checked));
  for (const std::string& name : spec.encoder().outputs()) {
    if (!exports.read.contains(name)) {
      return Place("encoder.outputs").Invalid(name, " is read by neither the init nor the step program");
    }
  }
  HEED_RETURN_IF_ERROR(tensors.CheckAllUsed());
  return checked;
}

}  // namespace heed
