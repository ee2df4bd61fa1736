// A map from strings to ids that is walked byte by byte: which pieces start here, and which is the longest.
//
// Thread-safe: immutable after construction.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/types.h"

namespace heed {

class PieceTrie {
 public:
  static constexpr int kRoot = 0;

  // `entries` are not empty and all different.
  explicit PieceTrie(std::vector<std::pair<std::string_view, TokenId>> entries);

  // The node that `byte` leads to; -1 when no entry goes on so.
  int Next(int node, char byte) const;
  // The id of the entry that ends at `node`; -1 when none does.
  TokenId Id(int node) const { return nodes_[node].id; }

  // The id of `text`; -1 when it is no entry.
  TokenId Find(std::string_view text) const;
  // Bytes of the longest entry that starts `text`; 0 when none does.
  std::size_t LongestPrefix(std::string_view text) const;

 private:
  struct Node {
    TokenId id = -1;
    int first_child = 0;  // children stand side by side, by their byte
    int children = 0;
  };
  std::vector<Node> nodes_;
  std::string labels_;  // the byte that leads to each node
};

}  // namespace heed
