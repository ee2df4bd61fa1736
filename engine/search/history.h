// The rows that a search ran at each step, and so each hypothesis as a path back through them.
//
// Rows of one step are distinct continuations of distinct rows, so two paths hold the same tokens only as far as they
// are the same path. Nothing is allocated after construction but by Trace. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/base/types.h"

namespace heed {

class History {
 public:
  // A hypothesis to run at a step.
  struct Row {
    int parent = -1;            // its index among the rows of the previous step; -1 at the first step
    TokenId input = 0;          // the token that the step reads
    float log_probability = 0;  // of `input`
    float total = 0;            // log-probability so far
    float score = 0;            // running score, but for coverage
    bool ended = false;         // it goes on past its </s> (BeamPolicy::kGoOn)
  };
  // The first `step` tokens of a hypothesis, by the row of that step which has read them.
  struct Node {
    int step = 0, row = 0;
  };
  // Consecutive tokens of a hypothesis. lineage[t] is the row, among those of its step, that emitted tokens[t].
  struct Path {
    std::vector<TokenId> tokens;
    std::vector<float> log_probabilities;
    std::vector<int> lineage;
  };

  History(int steps, int width) : width_(width), rows_(static_cast<std::size_t>(steps) * width) {}
  static std::int64_t Bytes(std::int64_t steps, std::int64_t width) {
    return steps * width * static_cast<std::int64_t>(sizeof(Row));
  }

  Row* Step(int step) { return &rows_[static_cast<std::size_t>(step) * width_]; }
  const Row* Step(int step) const { return &rows_[static_cast<std::size_t>(step) * width_]; }
  const Row& At(Node node) const { return Step(node.step)[node.row]; }
  Node Before(Node node) const { return {node.step - 1, At(node).parent}; }

  // The longest beginning that both have.
  Node Meet(Node a, Node b) const;

  // Puts tokens begin, begin + 1, ... of the path to this node before those of `path`, which are given last first, and
  // turns all of it round.
  void Trace(Node node, int begin, Path* path) const;

 private:
  const int width_;
  std::vector<Row> rows_;  // [step][width_]
};

}  // namespace heed
