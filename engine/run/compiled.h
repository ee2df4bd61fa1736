// A model as the engine runs it: the checked programs with every weight packed, biases folded and embedding products
// tabulated. The encoder and init programs and the projections of attention keys and values become one list of ops
// over a source; the step program becomes another over rows.
//
// Immutable after Compile, so safe to share between workers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/base/activation.h"
#include "engine/base/buffer.h"
#include "engine/kernels/cell.h"
#include "engine/kernels/gemm.h"
#include "engine/kernels/row_table.h"
#include "engine/model/program.h"

namespace heed {

// Index into CompiledModel::matrices, ::tables or ::constants; -1 is none.
using MatrixIndex = int;
using TableIndex = int;
using ConstantIndex = int;

// A concatenation that feeds one product.
struct Inputs {
  std::vector<Ref> refs;
  std::vector<int> sizes;
  int total = 0;
};

struct EmbedOp {
  TableIndex table = -1;  // [V, size]
  float scale = 1;
  int size = 0;
  int out = -1;
};

// Layer normalisation inside a cell.
struct CellNormOp {
  bool on = false;
  bool apart = false;  // the inputs' product and the state's each by itself; else their sum, by input_scale
  ConstantIndex input_scale = -1, input_bias = -1, state_scale = -1, state_bias = -1, cell_scale = -1, cell_bias = -1;
  bool cell_carried = false;
  float epsilon = 0;
  std::vector<int> groups;       // stretches of blocks * hidden, each normalised by itself
  std::vector<int> gate_groups;  // GRU, reset before: the same of the state's r and z
};

// A recurrence's products. Pre-activations of the input are a tabulated row per token, a product, or both.
struct CellOp {
  CellType type = CellType::kLstm;
  bool reset_before = false;
  CellFunctions functions;
  int hidden = 0;
  int blocks = 0;                 // gate blocks: 4 LSTM, 3 GRU, 1 RNN, 2 SSRU
  ConstantIndex table = -1;       // [V + 1, blocks * hidden]: the token's embedding times its part of W, bias included;
                                  // row V is the zero embedding's
  ConstantIndex bias = -1;        // [blocks * hidden], where there is no table
  Inputs inputs;                  // what is not tabulated; the state follows it in `joint`
  MatrixIndex joint = -1;         // LSTM and RNN steps that are not normalised apart: [inputs, state]
  MatrixIndex input = -1;         // all others: inputs alone
  MatrixIndex state = -1;         // likewise: the state's part (reset before: r and z alone; SSRU: none)
  MatrixIndex state_n = -1;       // GRU, reset before: the candidate's part
  ConstantIndex state_bias = -1;  // [blocks * hidden], of the state's product where that is not summed as it is
  CellNormOp norm;
  Ref state_h, state_c;  // steps
  int out_h = -1, out_c = -1;
};

// A CellOp over a whole source.
struct RnnOp {
  CellOp cell;
  std::vector<CellOp> transitions;  // at each position behind `cell`, on its state
  int input = -1;                   // sequence, where there is no table
  bool backward = false;
  int out = -1;  // sequence
};

// out = input + the table's row of its position.
struct PositionOp {
  Ref input;
  ConstantIndex table = -1;  // [positions, size]; those beyond it are computed
  int size = 0;
  int out = -1;
};

struct SelfAttendOp {
  int input = -1;
  int heads = 1;
  int size = 0;
  MatrixIndex projections = -1;  // [3 size, size]: query, key, value
  ConstantIndex bias = -1;       // [3 size]
  MatrixIndex output = -1;
  ConstantIndex output_bias = -1;
  int out = -1;
};

struct LinearOp {
  Inputs inputs;
  MatrixIndex matrix = -1;
  ConstantIndex bias = -1;
  Activation function = Activation::kIdentity;
  int out = -1;
};

struct AttendOp {
  AttendNode::Score score = AttendNode::Score::kDot;
  Inputs query;
  MatrixIndex query_matrix = -1;  // none: the query as it stands
  ConstantIndex query_bias = -1;
  ConstantIndex v = -1;  // additive: [A]
  float v_bias = 0;
  float scale = 1;
  int heads = 1;
  bool sparsemax = false;
  int query_size = 0;  // of a projected query: key_size, or heads * slots
  int key_size = 0, value_size = 0;
  int slots = 0;  // location; else 0
  // Step: indices into CompiledModel::sequences; init: source slots. A location score has no keys.
  int keys = -1, values = -1;
  Ref coverage;  // value -1: none
  ConstantIndex coverage_weight = -1;
  int index = -1;  // among the step program's attends; init: -1
  int out = -1, out_weights = -1, out_energies = -1;
};

struct ActivationOp {
  Ref input;
  Activation function = Activation::kIdentity;
  int size = 0;
  int out = -1;
};

struct ConcatOp {
  Inputs inputs;
  int out = -1;
};

// out = inputs[0] + inputs[1] + ..., or their product.
struct CombineOp {
  std::vector<Ref> inputs;
  bool product = false;
  int size = 0;
  int out = -1;
};

struct LerpOp {
  Ref gate, a, b;
  int size = 0;
  int out = -1;
};

struct LayerNormOp {
  Ref input;
  ConstantIndex scale = -1, bias = -1;
  float epsilon = 0;
  int size = 0;
  int out = -1;
};

struct SliceOp {
  Ref input;
  int input_size = 0, begin = 0, size = 0;
  int out = -1;
};

struct MaxoutOp {
  Ref input;
  int group = 1, size = 0;
  int out = -1;
};

struct PoolOp {
  int input = -1;
  PoolNode::Kind kind = PoolNode::Kind::kLast;
  int size = 0;
  int out = -1;
};

using Op = std::variant<EmbedOp, CellOp, RnnOp, LinearOp, AttendOp, ActivationOp, ConcatOp, CombineOp, LerpOp,
                        LayerNormOp, SliceOp, MaxoutOp, PoolOp, PositionOp, SelfAttendOp>;

// The last op of a step program that copies; what it mixes is the output layer's.
struct CopyOp {
  Ref gate, attention;
  bool gate_generates = false;
  std::vector<TokenId> masked;
};

// Type and size of a value, and whether anything reads it from a buffer (a tabulated embedding may need none).
struct Slot {
  ValueType type = ValueType::kVector;
  int size = 0;
  bool buffered = true;
};

// A value of the source program that a live job keeps. Positions are kept as a sequence of `size` floats.
struct Kept {
  int value = -1;  // source slot
  int size = 0;
  bool half = false;  // kept in bfloat16: what attends read, where the model is not float32
};

// First value of a primed step value.
struct PrimedSlot {
  int step_value = -1;
  ValueType type = ValueType::kVector;  // or positions
  int size = 0;
  int kept = -1;  // index into CompiledModel::vectors, of positions ::sequences; -1: zeros
};

struct CompiledModel {
  // The weights; of an outline (compile.h) the shapes alone.
  std::vector<std::shared_ptr<const PackedMatrix>> matrices;
  std::vector<std::shared_ptr<const RowTable>> tables;
  std::vector<Buffer> constants;
  Precision precision = Precision::kFloat32;
  std::vector<Packing> packings;             // by MatrixIndex
  std::vector<std::size_t> constant_floats;  // by ConstantIndex
  std::int64_t table_code_bytes = 0;         // of the products that tables are made with

  std::vector<Slot> source_slots;
  std::vector<Op> source_ops;
  std::vector<Slot> step_slots;
  std::vector<Op> step_ops;

  std::vector<Kept> sequences;  // memories, keys and values that attends read; first values of primed positions
  std::vector<Kept> vectors;    // first values of primed ones, and encoder vectors that the step program reads
  std::vector<PrimedSlot> primed;
  std::vector<std::pair<int, int>> step_vectors;  // (step value, index into vectors): constant over the steps

  // The output layer.
  Inputs output_inputs;
  MatrixIndex output_matrix = -1;
  ConstantIndex output_bias = -1;
  TableIndex output_rows = -1;  // the matrix unpacked, where jobs may have a shortlist
  int vocabulary = 0;
  std::optional<CopyOp> copy;

  std::vector<std::string> attend_names;
  std::vector<int> attend_heads;
  std::vector<int> attend_contexts;  // their sizes
  bool start_zero = false;
  TokenId start_id = 0;
  TokenId eos_id = 0;
  TokenId unk_id = 0;             // read in the place of a copied id beyond the vocabulary
  std::int64_t bytes = 0;         // of matrices, tables and constants
  std::int64_t making_bytes = 0;  // beside those, while they are made
};

}  // namespace heed
