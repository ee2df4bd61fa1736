#include "engine/run/compile.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/run/compile_cell.h"
#include "engine/run/op_values.h"
#include "engine/run/row_ops.h"
#include "engine/run/weight_store.h"

namespace heed {
namespace {

class Compiler {
 public:
  Compiler(const CheckedProgram& program, const CompileOptions& options)
      : program_(program), options_(options), weights_(model_, options.max_table_bytes) {}

  absl::StatusOr<CompiledModel> Run(bool fill) {
    model_.precision = options_.precision;
    model_.start_zero = program_.start_zero;
    model_.start_id = program_.start_id;
    model_.eos_id = options_.eos_id;
    model_.unk_id = options_.unk_id;
    HEED_RETURN_IF_ERROR(Source(program_.encoder));
    NumberInit();
    HEED_RETURN_IF_ERROR(Source(program_.init));
    HEED_RETURN_IF_ERROR(Step());
    for (const Primed& primed : program_.primed) {
      const Value& value = program_.step.values[primed.step_value];
      auto& list = value.type == ValueType::kPositions ? model_.sequences : model_.vectors;
      const int kept = primed.init_value < 0 ? -1 : Keep(list, init_to_source_[primed.init_value]);
      model_.primed.push_back({primed.step_value, value.type, value.size, kept});
    }
    for (std::size_t v = 0; v < program_.step.values.size(); ++v) {
      const Value& value = program_.step.values[v];
      if (value.encoder_value >= 0 && value.type == ValueType::kVector) {
        model_.step_vectors.emplace_back(static_cast<int>(v), KeepVector(value.encoder_value));
      }
    }
    MarkUnread();
    for (auto* ops : {&model_.source_ops, &model_.step_ops}) {
      for (Op& op : *ops) {
        if (auto* embed = std::get_if<EmbedOp>(&op)) embed->table = weights_.Rows(embedded_[embed->table]);
      }
    }
    model_.bytes = weights_.bytes();
    model_.making_bytes = weights_.making_bytes();
    if (fill) HEED_RETURN_IF_ERROR(weights_.Fill());
    return std::move(model_);
  }

 private:
  // --- numbering -----------------------------------------------------------------------------------------------------

  // Init's values follow the encoder's in one list of source slots; those that are the encoder's keep its number.
  void NumberInit() {
    for (const Value& value : program_.init.values) {
      if (value.encoder_value >= 0) {
        init_to_source_.push_back(value.encoder_value);
      } else {
        init_to_source_.push_back(AddSourceSlot(value.type, value.size));
      }
    }
  }

  int AddSourceSlot(ValueType type, int size) {
    model_.source_slots.push_back({type, size});
    return static_cast<int>(model_.source_slots.size()) - 1;
  }

  int Keep(std::vector<Kept>& list, int value) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (list[i].value == value) return static_cast<int>(i);
    }
    const Slot& slot = model_.source_slots[value];
    const bool rounded = model_.precision != Precision::kFloat32 && !fixed_.contains(value);
    list.push_back({value, slot.size, slot.type == ValueType::kSequence && rounded});
    return static_cast<int>(list.size()) - 1;
  }
  int KeepVector(int value) { return Keep(model_.vectors, value); }

  // A reference of the program being compiled as a slot number.
  Ref Slotted(Ref ref) const {
    if (in_init_) ref.value = init_to_source_[ref.value];
    return ref;
  }
  int Slotted(int value) const { return value < 0 || !in_init_ ? value : init_to_source_[value]; }

  const Program& current() const { return in_step_ ? program_.step : in_init_ ? program_.init : program_.encoder; }

  Inputs MakeInputs(const std::vector<Ref>& refs) const {
    Inputs inputs;
    for (const Ref& ref : refs) {
      inputs.refs.push_back(Slotted(ref));
      inputs.sizes.push_back(current().values[ref.value].size);
      inputs.total += inputs.sizes.back();
    }
    return inputs;
  }

  // The embed op that makes a value of the current program, or null.
  const EmbedNode* EmbedOf(Ref ref) const {
    if (ref.previous) return nullptr;
    for (const Node& node : current().nodes) {
      const auto* embed = std::get_if<EmbedNode>(&node);
      if (embed != nullptr && embed->out == ref.value) return embed;
    }
    return nullptr;
  }

  // --- ops -----------------------------------------------------------------------------------------------------------

  absl::Status Source(const Program& program) {
    in_init_ = &program == &program_.init;
    if (!in_init_) {
      for (const Value& value : program.values) AddSourceSlot(value.type, value.size);
    }
    for (const Node& node : program.nodes) {
      HEED_ASSIGN_OR_RETURN(std::optional<Op> op, Make(node));
      if (op.has_value()) model_.source_ops.push_back(*std::move(op));
    }
    in_init_ = false;
    return absl::OkStatus();
  }

  absl::Status Step() {
    in_step_ = true;
    for (const Value& value : program_.step.values) model_.step_slots.push_back({value.type, value.size});
    for (const Node& node : program_.step.nodes) {
      HEED_ASSIGN_OR_RETURN(std::optional<Op> op, Make(node));
      if (op.has_value()) model_.step_ops.push_back(*std::move(op));
    }
    in_step_ = false;
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<Op>> Make(const Node& node) {
    return std::visit([this](const auto& n) -> absl::StatusOr<std::optional<Op>> { return From(n); }, node);
  }
  using Made = absl::StatusOr<std::optional<Op>>;

  int SizeOf(Ref ref) const { return current().values[ref.value].size; }

  Made From(const EmbedNode& node) {
    EmbedOp op;
    // Not scaled here: an output layer that is tied to it may need its rows too.
    op.table = static_cast<TableIndex>(embedded_.size());
    embedded_.push_back(node.table);
    op.scale = node.scale;
    op.size = static_cast<int>(node.table->columns());
    op.out = Slotted(node.out);
    return op;
  }

  absl::StatusOr<CellOp> MakeCell(const CellWeights& weights, const std::vector<Ref>& refs, bool joint) {
    std::vector<CellInput> inputs;
    for (const Ref& ref : refs) inputs.push_back({Slotted(ref), SizeOf(ref), EmbedOf(ref)});
    return CompileCell(weights, std::move(inputs), joint, &weights_);
  }

  Made From(const RnnNode& node) {
    RnnOp op;
    HEED_ASSIGN_OR_RETURN(op.cell, MakeCell(node.cell, {Ref{node.input, false}}, /*joint=*/false));
    for (const CellWeights& transition : node.transitions) {
      HEED_ASSIGN_OR_RETURN(CellOp cell, MakeCell(transition, {}, /*joint=*/false));
      op.transitions.push_back(std::move(cell));
    }
    op.input = op.cell.table < 0 ? Slotted(node.input) : -1;
    op.backward = node.backward;
    op.out = Slotted(node.out);
    op.cell.out_h = Slotted(node.out_h);
    op.cell.out_c = Slotted(node.out_c);
    return op;
  }

  Made From(const CellNode& node) {
    HEED_ASSIGN_OR_RETURN(CellOp op, MakeCell(node.cell, node.inputs, /*joint=*/true));
    op.state_h = node.state_h;
    op.state_c = node.state_c;
    op.out_h = node.out_h;
    op.out_c = node.out_c;
    return op;
  }

  Made From(const PositionNode& node) {
    const int size = SizeOf(node.input);
    return PositionOp{Slotted(node.input), weights_.Positions(size, options_.max_positions), size, Slotted(node.out)};
  }

  Made From(const SelfAttendNode& node) {
    SelfAttendOp op;
    op.input = Slotted(node.input);
    op.heads = node.heads;
    op.size = current().values[node.input].size;
    // One product for queries, keys and values.
    const auto bias = [node, size = op.size] {
      std::vector<float> all(Floats(3, size));
      auto to = all.begin();
      for (const Tensor* b : {node.query_bias, node.key_bias, node.value_bias}) {
        if (b != nullptr) std::copy(b->data.begin(), b->data.end(), to);
        to += size;
      }
      return all;
    };
    HEED_ASSIGN_OR_RETURN(op.projections,
                          weights_.PackStacked({node.query_weight, node.key_weight, node.value_weight}));
    op.bias = weights_.Constant(Floats(3, op.size), bias);
    HEED_ASSIGN_OR_RETURN(op.output, weights_.Pack(node.output_weight));
    op.output_bias = weights_.Constant(node.output_bias);
    op.out = Slotted(node.out);
    return op;
  }

  Made From(const LinearNode& node) {
    LinearOp op;
    op.inputs = MakeInputs(node.inputs);
    HEED_ASSIGN_OR_RETURN(op.matrix, weights_.Pack(node.weight));
    op.bias = weights_.Constant(node.bias);
    op.function = node.function;
    op.out = Slotted(node.out);
    return op;
  }

  // A projection of an encoder sequence, made once per source however many attends read it.
  absl::StatusOr<int> Projected(int memory, const Tensor* weight, const Tensor* bias) {
    if (weight == nullptr && bias == nullptr) return memory;
    const auto key = std::make_tuple(memory, weight, bias);
    if (const auto found = projected_.find(key); found != projected_.end()) return found->second;
    LinearOp op;
    const int size = model_.source_slots[memory].size;
    op.inputs = {{Ref{memory, false}}, {size}, size};
    if (weight != nullptr) {
      HEED_ASSIGN_OR_RETURN(op.matrix, weights_.Pack(weight));
    }
    op.bias = weights_.Constant(bias);
    op.out = AddSourceSlot(ValueType::kSequence, weight == nullptr ? size : static_cast<int>(weight->rows()));
    if (weight != nullptr && weights_.IsFixed(*weight)) fixed_.insert(op.out);
    model_.source_ops.push_back(op);
    return projected_[key] = op.out;
  }

  // What an attend reads of the source, as AttendOp::keys and ::values name it.
  int OfSource(int slot) { return in_step_ ? Keep(model_.sequences, slot) : slot; }

  Made From(const AttendNode& node) {
    AttendOp op;
    op.score = node.score;
    op.query = MakeInputs(node.query);
    op.query_size = node.key_size;
    if (node.query_weight != nullptr) {
      HEED_ASSIGN_OR_RETURN(op.query_matrix, weights_.Pack(node.query_weight));
    }
    op.query_bias = weights_.Constant(node.query_bias);
    op.v = weights_.Constant(node.v);
    op.v_bias = node.v_bias == nullptr ? 0 : node.v_bias->data[0];
    op.scale = node.scale;
    op.heads = node.heads;
    op.sparsemax = node.sparsemax;
    op.key_size = node.key_size;
    op.value_size = node.value_size;
    op.slots = node.slots;
    if (node.coverage.value >= 0) op.coverage = Slotted(node.coverage);
    op.coverage_weight = weights_.Constant(node.coverage_weight);
    const auto encoded = [this](int value) { return current().values[value].encoder_value; };
    if (node.score != AttendNode::Score::kLocation) {
      const int from = encoded(node.keys >= 0 ? node.keys : node.memory);
      HEED_ASSIGN_OR_RETURN(const int keys, Projected(from, node.key_weight, node.key_bias));
      op.keys = OfSource(keys);
    }
    HEED_ASSIGN_OR_RETURN(const int values, Projected(encoded(node.memory), node.value_weight, node.value_bias));
    op.values = OfSource(values);
    op.out = Slotted(node.out);
    op.out_weights = Slotted(node.out_weights);
    op.out_energies = Slotted(node.out_energies);
    if (!in_step_) return op;
    op.index = static_cast<int>(model_.attend_names.size());
    model_.attend_names.push_back(program_.step.values[node.out].name);
    model_.attend_heads.push_back(node.heads);
    model_.attend_contexts.push_back(node.value_size);
    return op;
  }

  Made From(const ActivationNode& node) {
    return ActivationOp{Slotted(node.input), node.function, SizeOf(node.input), Slotted(node.out)};
  }
  Made From(const ConcatNode& node) { return ConcatOp{MakeInputs(node.inputs), Slotted(node.out)}; }
  Made From(const AddNode& node) { return Combine(node.inputs, false, node.out); }
  Made From(const MulNode& node) { return Combine(node.inputs, true, node.out); }
  Made Combine(const std::vector<Ref>& inputs, bool product, int out) {
    CombineOp op{{}, product, SizeOf(inputs[0]), Slotted(out)};
    for (const Ref& ref : inputs) op.inputs.push_back(Slotted(ref));
    return op;
  }
  Made From(const LerpNode& node) {
    return LerpOp{Slotted(node.gate), Slotted(node.a), Slotted(node.b), SizeOf(node.a), Slotted(node.out)};
  }
  Made From(const LayerNormNode& node) {
    return LayerNormOp{Slotted(node.input),          weights_.Constant(node.scale),
                       weights_.Constant(node.bias), node.epsilon,
                       SizeOf(node.input),           Slotted(node.out)};
  }
  Made From(const SliceNode& node) {
    return SliceOp{Slotted(node.input), SizeOf(node.input), node.begin, node.end - node.begin, Slotted(node.out)};
  }
  Made From(const MaxoutNode& node) {
    return MaxoutOp{Slotted(node.input), node.group, SizeOf(node.input) / node.group, Slotted(node.out)};
  }
  Made From(const PoolNode& node) {
    return PoolOp{Slotted(node.input), node.kind, current().values[node.input].size, Slotted(node.out)};
  }

  // The output layer is no op of the list: search reads its logits.
  Made From(const OutputNode& node) {
    model_.output_inputs = MakeInputs(node.inputs);
    HEED_ASSIGN_OR_RETURN(model_.output_matrix, weights_.Pack(node.weight, /*streamed=*/true));
    model_.output_bias = weights_.Constant(node.bias);
    if (options_.shortlists) model_.output_rows = weights_.Rows(node.weight);
    model_.vocabulary = static_cast<int>(node.weight->rows());
    return std::nullopt;
  }

  // Nor is what mixes it.
  Made From(const CopyNode& node) {
    model_.copy = CopyOp{node.gate, node.attention, node.gate_generates, node.masked};
    return std::nullopt;
  }

  // --- what nobody reads ---------------------------------------------------------------------------------------------

  // An embedding that only tables stood for is not looked up at all.
  void MarkUnread() {
    std::vector<bool> source(model_.source_slots.size()), step(model_.step_slots.size());
    for (const Op& op : model_.source_ops) ForEachSourceRead(op, [&](Ref ref) { source[ref.value] = true; });
    for (const Op& op : model_.step_ops) ForEachRead(op, [&](Ref ref) { step[ref.value] = true; });
    for (const Ref& ref : model_.output_inputs.refs) step[ref.value] = true;
    if (model_.copy.has_value()) step[model_.copy->gate.value] = true;
    for (const Kept& kept : model_.sequences) source[kept.value] = true;
    for (const Kept& kept : model_.vectors) source[kept.value] = true;
    for (const PrimedSlot& primed : model_.primed) step[primed.step_value] = true;
    const auto drop = [](std::vector<Op>& ops, const std::vector<bool>& read, std::vector<Slot>& slots) {
      std::erase_if(ops, [&](const Op& op) {
        const auto* embed = std::get_if<EmbedOp>(&op);
        if (embed == nullptr || read[embed->out]) return false;
        slots[embed->out].buffered = false;
        return true;
      });
    };
    drop(model_.source_ops, source, model_.source_slots);
    drop(model_.step_ops, step, model_.step_slots);
  }

  const CheckedProgram& program_;
  const CompileOptions& options_;
  CompiledModel model_;
  WeightStore weights_;
  std::vector<int> init_to_source_;
  std::vector<const Tensor*> embedded_;  // by EmbedOp::table, until it is known whose rows are read
  std::map<std::tuple<int, const Tensor*, const Tensor*>, int> projected_;  // source slots
  // Source slots that the bundle's own integer arithmetic makes; rounding them would make it another's.
  std::set<int> fixed_;
  bool in_init_ = false, in_step_ = false;
};

}  // namespace

absl::StatusOr<CompiledModel> Outline(const CheckedProgram& program, const CompileOptions& options) {
  return Compiler(program, options).Run(/*fill=*/false);
}

absl::StatusOr<CompiledModel> Compile(const CheckedProgram& program, const CompileOptions& options) {
  return Compiler(program, options).Run(/*fill=*/true);
}

}  // namespace heed
