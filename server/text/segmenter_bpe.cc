#include <algorithm>
#include <cstddef>
#include <queue>

#include "absl/container/flat_hash_map.h"
#include "server/text/segmenter.h"
#include "server/text/utf8.h"

namespace heed {
namespace {

struct Symbol {
  int previous = -1;
  int next = -1;
  bool frozen = false;  // a user-defined symbol: never merged
  std::string_view text;
};

struct Pair {
  int left = 0;
  int right = 0;
  float score = 0;
  std::size_t size = 0;  // of the merged text when the pair was found

  // Highest score first, then leftmost.
  bool operator<(const Pair& other) const { return score < other.score || (score == other.score && left > other.left); }
};

}  // namespace

using PieceType = SentencePieceModel::PieceType;

std::vector<Segment> Segmenter::Bpe(std::string_view text) const {
  std::vector<Symbol> symbols;
  for (std::size_t begin = 0, size = 0; begin < text.size(); begin += size) {
    size = symbols_.LongestPrefix(text.substr(begin));
    const bool frozen = size > 0;
    if (!frozen) size = CodePointAt(text, begin).size;
    const int index = static_cast<int>(symbols.size());
    const int next = begin + size < text.size() ? index + 1 : -1;
    symbols.push_back({.previous = index - 1, .next = next, .frozen = frozen, .text = text.substr(begin, size)});
  }

  std::priority_queue<Pair> agenda;
  absl::flat_hash_map<std::string_view, std::size_t> unused;  // merges that do not count: size of their left part
  const auto consider = [&](int left, int right) {
    if (left < 0 || right < 0 || symbols[left].frozen || symbols[right].frozen) return;
    const std::size_t left_size = symbols[left].text.size();
    const std::string_view merged(symbols[left].text.data(), left_size + symbols[right].text.size());
    const TokenId id = pieces_.Find(merged);
    if (id < 0) return;
    agenda.push({.left = left, .right = right, .score = model_.pieces[id].score, .size = merged.size()});
    if (Is(id, PieceType::kUnused)) unused[merged] = left_size;
  };
  for (int i = 1; i < static_cast<int>(symbols.size()); ++i) consider(i - 1, i);
  while (!agenda.empty()) {
    const Pair top = agenda.top();
    agenda.pop();
    Symbol& left = symbols[top.left];
    Symbol& right = symbols[top.right];
    // One of them may have been merged with another since.
    if (left.text.empty() || right.text.empty() || left.text.size() + right.text.size() != top.size) continue;
    left.text = std::string_view(left.text.data(), top.size);
    left.next = right.next;
    if (right.next >= 0) symbols[right.next].previous = top.left;
    right.text = {};
    consider(left.previous, top.left);
    consider(top.left, left.next);
  }

  std::vector<Segment> segments;
  std::vector<std::string_view> rest;  // last first
  for (int i = 0; i != -1; i = symbols[i].next) {
    rest.push_back(symbols[i].text);
    while (!rest.empty()) {
      const std::string_view piece = rest.back();
      rest.pop_back();
      const TokenId id = pieces_.Find(piece);
      const auto parts = id >= 0 && Is(id, PieceType::kUnused) ? unused.find(piece) : unused.end();
      if (parts == unused.end()) {
        segments.push_back({.size = static_cast<int>(piece.size()), .id = id});
      } else {
        rest.push_back(piece.substr(parts->second));
        rest.push_back(piece.substr(0, parts->second));
      }
    }
  }
  return segments;
}

}  // namespace heed
