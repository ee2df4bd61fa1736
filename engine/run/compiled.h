// A model as the engine runs it: the checked programs with every weight packed, biases folded and embedding products
// tabulated. The encoder and init programs and the projections of attention keys and values become one list of ops
// over a source; the step program becomes another over rows.
//
// Immutable after Compile, so safe to share between workers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/buffer.h"
#include "engine/kernels/gemm.h"
#include "engine/kernels/row_table.h"
#include "engine/model/program.h"
#include "engine/run/ops.h"

namespace heed {

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
  bool half = false;  // kept in bfloat16: what attends read, but of float32 models and of a bundle's own arithmetic
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
