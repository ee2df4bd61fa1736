// Runs the row-wise ops of a compiled program: every op that turns rows of some values into rows of another without
// looking across rows. The step program uses it on live rows, the source program on source positions.
//
// Owns one worker's primitives and scratch. Not thread-safe: one step thread owns it.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/core_team.h"
#include "engine/run/compiled.h"

namespace heed {

// Elements of `rows` dense rows, and so the first element of row number `rows`.
inline std::size_t Floats(int rows, int size) { return static_cast<std::size_t>(rows) * size; }

// Where a program's values live: dense rows of the slot's size. `previous` is empty but for primed step values.
struct Frame {
  std::vector<float*> values;
  std::vector<float*> previous;

  float* at(Ref ref) const { return ref.previous ? previous[ref.value] : values[ref.value]; }
};

class RowOps {
 public:
  // `block` rows at most per call, a multiple of 16. Every buffer of a Frame needs room for Slack() rows more than it
  // holds, since products work on padded rows. Where `buffers` only adds up, there are no primitives either.
  // `parts` and `team` may be null; a team outlives it.
  static absl::StatusOr<std::unique_ptr<RowOps>> Make(const CompiledModel& model, int block, PartTimes* parts,
                                                      CoreTeam* team, BufferMaker* buffers);
  static constexpr int Slack() { return 64; }

  // Rows [begin, begin + count) of the op's output; begin is a multiple of 16, count at most block().
  void Run(const LinearOp& op, const Frame& frame, int begin, int count);
  void Run(const ConcatOp& op, const Frame& frame, int begin, int count);
  void Run(const LayerNormOp& op, const Frame& frame, int begin, int count);
  void Run(const SliceOp& op, const Frame& frame, int begin, int count);
  void Run(const MaxoutOp& op, const Frame& frame, int begin, int count);
  template <typename RowOp>
  void Run(const RowOp& op, const Frame& frame, int begin, int count) {
    RunElements(op, frame, Floats(begin, op.size), count * op.size);
  }
  // The same of ops that work element by element: `count` elements from number `first` of each value on.
  template <typename RowOp>
  static constexpr bool kKeepsType =
      std::is_same_v<RowOp, ActivationOp> || std::is_same_v<RowOp, CombineOp> || std::is_same_v<RowOp, LerpOp>;
  static void RunElements(const ActivationOp& op, const Frame& frame, std::size_t first, int count);
  static void RunElements(const CombineOp& op, const Frame& frame, std::size_t first, int count);
  static void RunElements(const LerpOp& op, const Frame& frame, std::size_t first, int count);
  // One row, which stands at `position`.
  void RunPosition(const PositionOp& op, const Frame& frame, int row, int position);

  // The concatenated inputs as dense rows: the value itself where there is but one, else packed into scratch, followed
  // by `last` where it is given. Valid until the next call.
  const float* Join(const Inputs& inputs, const Frame& frame, int begin, int count, Ref last = {}, int last_size = 0);

  Gemm& gemm(MatrixIndex index) { return *gemms_[index]; }
  const RowTable& table(TableIndex index) const { return *model_.tables[index]; }
  const float* constant(ConstantIndex index) const { return index < 0 ? nullptr : model_.constants[index].data(); }
  int block() const { return block_; }
  PartTimes* parts() const { return scratch_.parts; }
  // Whether cores are lent that the output product of so many rows is shared with, and how it is: by block, by who does
  // it (CoreTeam::Run).
  bool SharesOutput(int rows) const;
  Gemm& shared_output(int who) { return *shared_output_[who]; }
  CoreTeam* team() const { return team_; }

 private:
  RowOps(const CompiledModel& model, int block, CoreTeam* team) : model_(model), block_(block), team_(team) {}
  const CompiledModel& model_;
  const int block_;
  CoreTeam* const team_;
  GemmScratch scratch_;
  std::vector<std::unique_ptr<Gemm>> gemms_;
  std::vector<std::unique_ptr<Gemm>> shared_output_;  // of each thread; none where it is not worth it
  Buffer joined_;
};

}  // namespace heed
