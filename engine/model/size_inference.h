// Sizes and types of the step program's values before its ops are checked.
//
// h = cell([e, a']) reads a, which a later op makes, so its size must be known first. Most ops' sizes follow from their
// tensors alone and the rest from their inputs'; this finds every size that follows from either, in any order. What is
// made of attention weights element by element (cov = add(cov', c.weights)) is one float per source position too. It
// checks nothing else: the checker does, with these sizes at hand.
//
// Thread-safe: no state.
#pragma once

#include "absl/status/status.h"
#include "engine/model/scope.h"
#include "engine/model/tensor_table.h"
#include "heed/model/v1/model.pb.h"

namespace heed {

// Sets the type of every value of `scope`, and the size of each whose size can be told; the others stay 0.
// INVALID_ARGUMENT if a tensor that fixes an op's size is not there.
absl::Status InferSizes(const google::protobuf::RepeatedPtrField<model::v1::Op>& ops, const TensorTable& tensors,
                        Scope* scope);

}  // namespace heed
