// A model's programs after the checker: names resolved to value numbers, tensors to pointers, every size known.
//
// Only CheckProgram (checker.h) builds one, so whoever holds it need not check a model again: every reference is in
// range, every op reads only earlier values of its program (or the previous step's), and every size agrees with the
// tensors. The engine's plan is made from this; nothing here is used while decoding.
//
// Immutable; pointers stay valid as long as the Bundle that it was made from.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "engine/base/activation.h"
#include "engine/base/tensor.h"
#include "engine/base/types.h"

namespace heed {

enum class ValueType {
  kVector,        // [size] per row
  kSequence,      // [S, size]
  kPositions,     // [size, S]: one float per head (size) and source position
  kDistribution,  // [size] log-probabilities
};

// One named value of a program. The encoder's outputs that init or step reads appear again among that program's
// values, first and in the order of `outputs`, marked by `encoder_value`; outputs that it does not read do not.
struct Value {
  std::string name;  // "h", "h.c", "c.weights", "c.energies"; the h part of a state is NAME alone
  ValueType type = ValueType::kVector;
  int size = 0;
  int encoder_value = -1;  // init and step: the encoder's value that this is, or -1
};

// A value of this program, or (step program only) of the previous step.
struct Ref {
  int value = -1;
  bool previous = false;
};

enum class CellType { kLstm, kGru, kRnn, kSsru };

constexpr int GateBlocks(CellType type) {  // of `hidden` rows in a cell's matrices
  return type == CellType::kLstm ? 4 : type == CellType::kGru ? 3 : type == CellType::kSsru ? 2 : 1;
}

// As model.proto's CellNorm.
struct CellNormWeights {
  enum class Groups { kAll, kBlocks, kGates };
  bool on = false;
  const Tensor* input_scale = nullptr;
  const Tensor* input_bias = nullptr;
  const Tensor* state_scale = nullptr;  // null: the sum is normalised
  const Tensor* state_bias = nullptr;
  const Tensor* cell_scale = nullptr;
  const Tensor* cell_bias = nullptr;
  bool cell_carried = false;
  float epsilon = 0;
  Groups groups = Groups::kAll;
};

// A recurrence's tensors; absent ones are null. Block order as model.proto's CellKind says.
struct CellWeights {
  CellType type = CellType::kLstm;
  bool reset_before = false;  // GRU
  Activation gate = Activation::kSigmoid;
  Activation function = Activation::kTanh;
  int input_size = 0;  // 0: no input
  int hidden = 0;
  const Tensor* weight_input = nullptr;
  const Tensor* weight_state = nullptr;
  const Tensor* bias_input = nullptr;
  const Tensor* bias_state = nullptr;
  CellNormWeights norm;
};

struct EmbedNode {
  const Tensor* table = nullptr;
  float scale = 1;
  int out = -1;
};

struct RnnNode {
  int input = -1;
  bool backward = false;
  CellWeights cell;
  std::vector<CellWeights> transitions;  // without input, run in order behind `cell` at each position
  int out = -1;                          // sequence
  int out_h = -1;                        // vector: state after the last position read
  int out_c = -1;                        // LSTM and SSRU; else -1
};

struct CellNode {
  std::vector<Ref> inputs;  // may be empty
  Ref state_h;              // the state it starts from
  Ref state_c;              // LSTM and SSRU; else value -1
  CellWeights cell;
  int out_h = -1;
  int out_c = -1;
};

struct AttendNode {
  enum class Score { kDot, kAdditive, kLocation };  // general is dot with exactly one of key_ and query_weight
  Score score = Score::kDot;
  std::vector<Ref> query;
  int memory = -1;     // a value with encoder_value >= 0
  int keys = -1;       // likewise, where keys are made of another sequence than memory; else -1
  int key_size = 0;    // of a projected key and query; all heads together
  int value_size = 0;  // of the context; all heads together
  const Tensor* key_weight = nullptr;
  const Tensor* key_bias = nullptr;
  const Tensor* query_weight = nullptr;
  const Tensor* query_bias = nullptr;
  const Tensor* value_weight = nullptr;
  const Tensor* value_bias = nullptr;
  const Tensor* v = nullptr;
  const Tensor* v_bias = nullptr;
  float scale = 1;
  int heads = 1;
  bool sparsemax = false;
  Ref coverage;  // value -1: none
  const Tensor* coverage_weight = nullptr;
  int slots = 0;
  int out = -1;
  int out_weights = -1;
  int out_energies = -1;
};

struct LinearNode {
  std::vector<Ref> inputs;
  const Tensor* weight = nullptr;
  const Tensor* bias = nullptr;
  Activation function = Activation::kIdentity;
  int out = -1;
};

struct ActivationNode {
  Ref input;
  Activation function = Activation::kIdentity;
  int out = -1;
};

struct ConcatNode {
  std::vector<Ref> inputs;
  int out = -1;
};

struct AddNode {
  std::vector<Ref> inputs;
  int out = -1;
};

struct MulNode {
  std::vector<Ref> inputs;
  int out = -1;
};

struct LerpNode {
  Ref gate, a, b;
  int out = -1;
};

struct LayerNormNode {
  Ref input;
  const Tensor* scale = nullptr;
  const Tensor* bias = nullptr;
  float epsilon = 0;
  int out = -1;
};

struct PoolNode {
  enum class Kind { kFirst, kLast, kMean };
  int input = -1;
  Kind kind = Kind::kLast;
  int out = -1;
};

struct SliceNode {
  Ref input;
  int begin = 0;
  int end = 0;
  int out = -1;
};

struct MaxoutNode {
  Ref input;
  int group = 1;
  int out = -1;
};

struct PositionNode {
  Ref input;
  int out = -1;
};

// Encoder only; heads split n evenly; no residual.
struct SelfAttendNode {
  int input = -1;
  int heads = 1;
  const Tensor* query_weight = nullptr;
  const Tensor* query_bias = nullptr;
  const Tensor* key_weight = nullptr;
  const Tensor* key_bias = nullptr;
  const Tensor* value_weight = nullptr;
  const Tensor* value_bias = nullptr;
  const Tensor* output_weight = nullptr;
  const Tensor* output_bias = nullptr;
  int out = -1;
};

struct CopyNode {
  int generate = -1;  // the output's distribution
  Ref gate;           // vector of size 1
  Ref attention;      // weights of a one-headed attend
  bool gate_generates = false;
  std::vector<TokenId> masked;
  int out = -1;  // distribution over the vocabulary and the job's own ids beyond it
};

struct OutputNode {
  std::vector<Ref> inputs;
  const Tensor* weight = nullptr;
  const Tensor* bias = nullptr;
  int out = -1;
};

using Node = std::variant<EmbedNode, RnnNode, CellNode, AttendNode, LinearNode, ActivationNode, ConcatNode, AddNode,
                          MulNode, LerpNode, LayerNormNode, PoolNode, SliceNode, MaxoutNode, PositionNode,
                          SelfAttendNode, CopyNode, OutputNode>;

// What stands where. Encoder: embed, rnn, pool, and the element-wise ops (linear to maxout) on vectors or, position by
// position, on sequences; never both in one op. Init: pool, attend, and the element-wise ops on vectors. Step: all but
// rnn and pool; only an attend's memory and keys read a sequence, there is exactly one output and at most one copy,
// which is the last to read it. In init and step, activation, add, mul and lerp may be of kPositions instead of
// vectors.
struct Program {
  std::vector<Value> values;
  std::vector<Node> nodes;  // in the order they run
};

// First value of a step value that is read primed.
struct Primed {
  int step_value = -1;
  int init_value = -1;  // a vector or positions of the init program, or -1: zeros
};

struct CheckedProgram {
  Program encoder;
  Program init;
  Program step;
  // Every value of step that some op reads with previous = true, once. Vectors, or an attend's weights (kPositions);
  // initials and step agree in type and size.
  std::vector<Primed> primed;
  int output = -1;          // step value: the distribution
  bool start_zero = false;  // the first step embeds the zero vector ...
  TokenId start_id = 0;     // ... or this id
};

}  // namespace heed
