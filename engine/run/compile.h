// Packs, folds and tabulates a checked program.
//
// Plain functions, thread-safe. Compile takes CPU time in proportion to the weights.
#pragma once

#include "absl/status/statusor.h"
#include "engine/run/compiled.h"

namespace heed {

struct CompileOptions {
  TokenId eos_id = 0;                // the target id that ends a sentence
  TokenId unk_id = 0;                // read in the place of a copied id beyond the vocabulary
  bool shortlists = false;           // jobs may have a shortlist: the output layer's rows are kept unpacked too
  std::int64_t max_table_bytes = 0;  // of each tabulated embedding product; a larger one stays a product
  int max_positions = 0;             // the longest source or target to expect
  Precision precision = Precision::kFloat32;
};

// All but the weights: `matrices` and `constants` are empty, everything else is there, `bytes` too. What it takes does
// not grow with the weights. INTERNAL when oneDNN refuses.
absl::StatusOr<CompiledModel> Outline(const CheckedProgram& program, const CompileOptions& options);

// The whole. It takes `bytes` and, until it has returned, `making_bytes` more. The same errors.
absl::StatusOr<CompiledModel> Compile(const CheckedProgram& program, const CompileOptions& options);

}  // namespace heed
