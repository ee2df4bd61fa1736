#include "engine/search/history.h"

#include <algorithm>

namespace heed {

History::Node History::Meet(Node a, Node b) const {
  while (a.step != b.step || a.row != b.row) {
    Node& later = a.step > b.step ? a : b;
    later = Before(later);
  }
  return a;
}

void History::Trace(Node node, int begin, Path* path) const {
  for (; node.step > begin; node = Before(node)) {
    const Row& at = At(node);
    path->tokens.push_back(at.input);
    path->log_probabilities.push_back(at.log_probability);
    path->lineage.push_back(at.parent);
  }
  std::reverse(path->tokens.begin(), path->tokens.end());
  std::reverse(path->log_probabilities.begin(), path->log_probabilities.end());
  std::reverse(path->lineage.begin(), path->lineage.end());
}

}  // namespace heed
