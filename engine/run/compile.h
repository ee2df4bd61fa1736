// Packs, folds and tabulates a checked program.
//
// Plain function, thread-safe. It takes CPU time in proportion to the weights.
#pragma once

#include "absl/status/statusor.h"
#include "engine/run/compiled.h"

namespace heed {

// eos: the target id that ends a sentence. max_table_bytes bounds each tabulated embedding product; a larger one stays
// a product. max_positions: the longest source or target to expect. INTERNAL when oneDNN refuses.
absl::StatusOr<CompiledModel> Compile(const CheckedProgram& program, TokenId eos, std::int64_t max_table_bytes,
                                      int max_positions);

}  // namespace heed
