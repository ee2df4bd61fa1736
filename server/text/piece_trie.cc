#include "server/text/piece_trie.h"

#include <algorithm>
#include <cstring>

namespace heed {

PieceTrie::PieceTrie(std::vector<std::pair<std::string_view, TokenId>> entries) : nodes_(1), labels_(1, '\0') {
  std::sort(entries.begin(), entries.end());
  struct Span {  // entries that share the first `depth` bytes: those below the node of the same index
    std::size_t begin, end, depth;
  };
  // A node for each prefix that is not one of the entry before, and the root. Without the count the lists would take
  // three times as much while they grow.
  std::size_t count = 1;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::string_view own = entries[i].first, before = i == 0 ? std::string_view() : entries[i - 1].first;
    const auto common = std::mismatch(own.begin(), own.end(), before.begin(), before.end()).first - own.begin();
    count += own.size() - static_cast<std::size_t>(common);
  }
  nodes_.reserve(count);
  labels_.reserve(count);
  std::vector<Span> spans;
  spans.reserve(count);
  spans.push_back({0, entries.size(), 0});
  for (std::size_t node = 0; node < spans.size(); ++node) {
    auto [begin, end, depth] = spans[node];
    if (begin < end && entries[begin].first.size() == depth) nodes_[node].id = entries[begin++].second;
    nodes_[node].first_child = static_cast<int>(nodes_.size());
    while (begin < end) {
      const char label = entries[begin].first[depth];
      std::size_t next = begin + 1;
      while (next < end && entries[next].first[depth] == label) ++next;
      spans.push_back({begin, next, depth + 1});
      nodes_.emplace_back();
      labels_.push_back(label);
      ++nodes_[node].children;
      begin = next;
    }
  }
}

int PieceTrie::Next(int node, char byte) const {
  const Node& from = nodes_[node];
  const char* labels = labels_.data() + from.first_child;
  const void* found = std::memchr(labels, byte, from.children);
  return found == nullptr ? -1 : from.first_child + static_cast<int>(static_cast<const char*>(found) - labels);
}

TokenId PieceTrie::Find(std::string_view text) const {
  int node = kRoot;
  for (char byte : text) {
    node = Next(node, byte);
    if (node < 0) return -1;
  }
  return Id(node);
}

std::size_t PieceTrie::LongestPrefix(std::string_view text) const {
  std::size_t longest = 0;
  int node = kRoot;
  for (std::size_t i = 0; i < text.size(); ++i) {
    node = Next(node, text[i]);
    if (node < 0) break;
    if (Id(node) >= 0) longest = i + 1;
  }
  return longest;
}

}  // namespace heed
