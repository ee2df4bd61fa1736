// Which values an op of a compiled program reads and makes, as numbers of its program's slots.
//
// Plain functions, thread-safe.
#pragma once

#include <type_traits>

#include "engine/run/compiled.h"

namespace heed {

// Calls f(Ref) for every value that the op reads row by row. An attend's keys and values are not among them.
template <typename F>
void ForEachRead(const Op& any, F f) {
  const auto all = [&f](const std::vector<Ref>& refs) {
    for (const Ref& ref : refs) f(ref);
  };
  const auto one = [&f](Ref ref) {
    if (ref.value >= 0) f(ref);
  };
  std::visit(
      [&](const auto& op) {
        using T = std::decay_t<decltype(op)>;
        if constexpr (std::is_same_v<T, CellOp>) {
          all(op.inputs.refs);
          one(op.state_h);
          one(op.state_c);
        } else if constexpr (std::is_same_v<T, LinearOp> || std::is_same_v<T, ConcatOp>) {
          all(op.inputs.refs);
        } else if constexpr (std::is_same_v<T, AttendOp>) {
          all(op.query.refs);
          one(op.coverage);
        } else if constexpr (std::is_same_v<T, RnnOp> || std::is_same_v<T, PoolOp> || std::is_same_v<T, SelfAttendOp>) {
          one(Ref{op.input, false});
        } else if constexpr (std::is_same_v<T, CombineOp>) {
          all(op.inputs);
        } else if constexpr (std::is_same_v<T, LerpOp>) {
          one(op.gate);
          one(op.a);
          one(op.b);
        } else if constexpr (!std::is_same_v<T, EmbedOp>) {
          one(op.input);
        }
      },
      any);
}

// The same of an op of the source program, whose attends read their keys and values as values of it too.
template <typename F>
void ForEachSourceRead(const Op& any, F f) {
  ForEachRead(any, f);
  const auto* attend = std::get_if<AttendOp>(&any);
  if (attend == nullptr) return;
  for (const int value : {attend->keys, attend->values}) {
    if (value >= 0) f(Ref{value, false});
  }
}

// Calls f(int) for every value that the op makes.
template <typename F>
void ForEachMade(const Op& any, F f) {
  const auto one = [&f](int value) {
    if (value >= 0) f(value);
  };
  std::visit(
      [&](const auto& op) {
        using T = std::decay_t<decltype(op)>;
        if constexpr (!std::is_same_v<T, CellOp>) one(op.out);
        if constexpr (std::is_same_v<T, CellOp>) {
          one(op.out_h);
          one(op.out_c);
        } else if constexpr (std::is_same_v<T, RnnOp>) {
          one(op.cell.out_h);
          one(op.cell.out_c);
        } else if constexpr (std::is_same_v<T, AttendOp>) {
          one(op.out_weights);
          one(op.out_energies);
        }
      },
      any);
}

}  // namespace heed
