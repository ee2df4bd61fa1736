// The ops of a compiled model: what one reads, makes and multiplies with, as numbers of slots, weights and constants.
//
// Plain values.
#pragma once

#include <variant>
#include <vector>

#include "engine/base/activation.h"
#include "engine/kernels/cell.h"
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

}  // namespace heed
