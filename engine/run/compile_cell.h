// Packs, folds and tabulates one recurrence of a checked program.
//
// Plain function, thread-safe as long as the store is not shared.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "engine/run/compiled.h"
#include "engine/run/weight_store.h"

namespace heed {

// One of the values that a cell's input is made of, in the numbers of its program's slots.
struct CellInput {
  Ref ref;
  int size = 0;
  const EmbedNode* embed = nullptr;  // that makes it, where it is an embedding
};

// All of a CellOp but its state and output values. `joint`: one product for inputs and state, where the kind of cell
// and its norm allow it. INTERNAL when oneDNN refuses.
absl::StatusOr<CellOp> CompileCell(const CellWeights& weights, std::vector<CellInput> inputs, bool joint,
                                   WeightStore* store);

}  // namespace heed
