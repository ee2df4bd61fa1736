// Runs the source program (encoder, first states, attention keys) over a group of sources at once, a bounded piece of
// work at a time: recurrences over several sources share their products, and live rows are never held up for long.
//
// Positions of all sources lie one after the other; nothing is padded. Sources are sorted by length, longest first, so
// that those a recurrence still runs over are always the first ones.
//
// Not thread-safe: one step thread owns it.
#pragma once

#include <vector>

#include "engine/run/attention.h"
#include "engine/run/cell_runner.h"
#include "engine/run/live_job.h"
#include "engine/run/row_ops.h"
#include "engine/run/self_attention.h"

namespace heed {

class Encoder {
 public:
  // Groups of at most ops->block() sources with at most max_positions positions together.
  Encoder(const CompiledModel& model, RowOps* ops, int max_positions, BufferMaker* buffers);

  int max_positions() const { return max_positions_; }
  bool busy() const { return !jobs_.empty() && op_ < model_.source_ops.size(); }

  // Starts a group. Requires !busy(); the jobs' sources are copied, so a job may be released meanwhile.
  void Start(const std::vector<LiveJob*>& jobs);

  // Does one piece of work of a group that is not done: ops->block() positions of one op at most. Returns what it cost,
  // in positions advanced through one product or recurrence among many. Few at once cost as much as 4 or, of a large
  // product, 12; a position in an op without a product a quarter; self-attention and an attend in init as well the keys
  // of the longest source that it works on. Allocates nothing.
  int Advance();

  // After the group is done: its jobs with what they keep filled in, in the order of Start.
  void Finish();

 private:
  struct Cursor {
    bool second = false;  // of a recurrence: input products are done, states are running; likewise of self-attention
    int at = 0;           // next row, or next time step
  };

  // Each runs one bounded piece of an op from the cursor on and returns its cost; sets done_ at the op's end.
  int Piece(const EmbedOp& op);
  int Piece(const RnnOp& op);
  int Piece(const PoolOp& op);
  int Piece(const PositionOp& op);
  int Piece(const SelfAttendOp& op);
  int Piece(const AttendOp& op);
  int Piece(const CellOp&) { return 0; }  // step programs alone have these
  template <typename RowOp>
  int Piece(const RowOp& op);

  // The cost of a product with so many rows.
  int Multiplied(MatrixIndex matrix, int rows) const;
  void StartStates(const RnnOp& op);
  int RunStates(const RnnOp& op);

  const CompiledModel& model_;
  RowOps* const ops_;
  const int max_positions_;
  Frame frame_;
  std::vector<Buffer> buffers_;

  std::vector<LiveJob*> jobs_;  // in the order of Start
  std::vector<int> order_;      // sorted source -> index in jobs_
  std::vector<int> length_;     // by sorted source
  std::vector<int> offset_;     // first position, by sorted source
  std::vector<TokenId> ids_;    // by position
  std::vector<int> place_;      // by position: its place in its source
  int positions_ = 0;

  std::size_t op_ = 0;
  Cursor cursor_;
  bool done_ = false;

  // A recurrence under way.
  CellRunner cells_;
  Buffer input_, h_, c_;
  std::vector<const float*> rows_;  // each running source's row of the input's part

  Attention attention_;
  SelfAttention self_attention_;
};

}  // namespace heed
