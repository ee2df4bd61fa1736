#include "server/text/bpe_merges.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <cstddef>
#include <queue>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "server/text/utf8.h"

namespace heed {
namespace {

constexpr std::string_view kEndOfWord = "</w>", kVersion = "#version:";
constexpr std::size_t kMaxFileBytes = std::size_t{64} << 20;
constexpr std::size_t kMaxSymbolBytes = 1024;  // merging takes a word's length times the longest symbol
constexpr char32_t kEscape = 0xFF05;           // "％", before four hex digits
constexpr int kEscapedDigits = 4;

std::string_view Strip(std::string_view line) {
  while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.remove_suffix(1);
  while (!line.empty() && (line.front() == ' ' || line.front() == '\r')) line.remove_prefix(1);
  return line;
}

bool IsMark(char32_t c) { return (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_M_MASK) != 0; }

struct Symbol {
  int previous = -1;
  int next = -1;
  int begin = 0;
  int size = 0;  // 0: merged into the one before
};

struct Pair {
  int rank = 0;
  int left = 0;
  int right = 0;
  int left_size = 0;  // of both when the pair was found
  int right_size = 0;

  // First merge of the list first, then leftmost.
  bool operator<(const Pair& other) const { return rank > other.rank || (rank == other.rank && left > other.left); }
};

}  // namespace

int BpeMerges::Rank(std::string_view symbol, int left_size) const {
  if (symbol.size() > longest_) return -1;
  const auto found = merges_.find(symbol);
  if (found == merges_.end()) return -1;
  // OpenNMT's Tokenizer looks at the merged symbol alone.
  const Merge* merge = &found->second;
  while (flavor_ == Flavor::kSubwordNmt && merge->left_size != left_size) {
    if (merge->next < 0) return -1;
    merge = &others_[static_cast<std::size_t>(merge->next)];
  }
  return merge->rank;
}

absl::Status BpeMerges::AddLine(std::string_view line, int number) {
  const auto fault = [number](const auto&... what) {
    return absl::InvalidArgumentError(absl::StrCat("line ", number, " has ", what...));
  };
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
    const auto symbols = line.empty() ? 0 : 1 + std::count(line.begin(), line.end(), ' ');
    return fault(symbols, " symbols, expected two with a space between");
  }
  std::string symbol(line);
  symbol.erase(space, 1);
  if (symbol.size() > kMaxSymbolBytes) return fault("a merge of ", symbol.size(), " bytes, at most ", kMaxSymbolBytes);
  Merge merge = {.rank = number, .left_size = static_cast<int>(space)};
  longest_ = std::max(longest_, symbol.size());
  if (Rank(symbol, merge.left_size) >= 0) return absl::OkStatus();  // of two that are alike the first counts
  if (const auto first = merges_.find(symbol); first != merges_.end()) {
    merge.next = std::exchange(first->second.next, static_cast<int>(others_.size()));
    others_.push_back(merge);
  } else {
    merges_.emplace(symbols_.emplace_back(std::move(symbol)), merge);
  }
  return absl::OkStatus();
}

absl::Status BpeMerges::SetVersion(std::string_view version) {
  if (version != "0.1" && version != "0.2") {
    return absl::InvalidArgumentError(absl::StrCat("version ", Quote(std::string(version)), ", 0.1 and 0.2 are known"));
  }
  end_is_unit_ = version == "0.1";
  return absl::OkStatus();
}

absl::StatusOr<BpeMerges> BpeMerges::Parse(std::string_view file, Flavor flavor) {
  if (file.size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(absl::StrCat(file.size(), " bytes, at most ", kMaxFileBytes));
  }
  if (!IsValidUtf8(file)) return absl::InvalidArgumentError("not UTF-8");
  BpeMerges merges;
  merges.flavor_ = flavor;
  while (file.ends_with('\n')) file.remove_suffix(1);
  bool header = true;  // OpenNMT's Tokenizer skips every line that starts with "#" before the first merge
  int number = 1;
  for (std::size_t begin = 0, end = 0; begin < file.size(); begin = end + 1, ++number) {
    end = std::min(file.find('\n', begin), file.size());
    const std::string_view line = Strip(file.substr(begin, end - begin));
    if (number == 1 && line.starts_with(kVersion)) {
      HEED_RETURN_IF_ERROR(merges.SetVersion(Strip(line.substr(kVersion.size()))));
      continue;
    }
    if (number == 1 && line.starts_with("v3;")) {
      return absl::InvalidArgumentError("merges of OpenNMT's learn_bpe.lua (\"v3;\") are not supported");
    }
    if (flavor == Flavor::kOpenNmt && header && line.starts_with('#')) continue;
    header = false;
    HEED_RETURN_IF_ERROR(merges.AddLine(line, number));
  }
  return merges;
}

std::vector<int> BpeMerges::Units(std::string_view word) const {
  std::vector<int> units;
  int escaped = 0;
  for (std::size_t at = 0; at < word.size();) {
    const CodePoint c = CodePointAt(word, at);
    const bool joins = flavor_ == Flavor::kOpenNmt && !units.empty() && (escaped > 0 || IsMark(c.value));
    if (joins) {
      units.back() += c.size;
    } else {
      units.push_back(c.size);
    }
    if (escaped > 0) {
      --escaped;
    } else if (flavor_ == Flavor::kOpenNmt && c.value == kEscape) {
      escaped = kEscapedDigits;
    }
    at += static_cast<std::size_t>(c.size);
  }
  return units;
}

std::vector<int> BpeMerges::Cut(std::string_view word) const {
  std::vector<int> units = Units(word);
  if (units.size() <= 1) return units;
  const std::string text = absl::StrCat(std::string(word), std::string(kEndOfWord));
  if (end_is_unit_) {
    units.push_back(static_cast<int>(kEndOfWord.size()));
  } else {
    units.back() += static_cast<int>(kEndOfWord.size());
  }
  std::vector<Symbol> symbols(units.size());
  for (int i = 0, begin = 0; i < static_cast<int>(units.size()); ++i) {
    const int size = units[static_cast<std::size_t>(i)];
    const int next = i + 1 < static_cast<int>(units.size()) ? i + 1 : -1;
    symbols[static_cast<std::size_t>(i)] = {.previous = i - 1, .next = next, .begin = begin, .size = size};
    begin += size;
  }
  const auto at = [&](int i) -> Symbol& { return symbols[static_cast<std::size_t>(i)]; };

  std::priority_queue<Pair> agenda;
  const auto consider = [&](int left, int right) {
    if (left < 0 || right < 0) return;
    const Symbol &l = at(left), &r = at(right);
    const int rank = Rank(std::string_view(text).substr(l.begin, l.size + r.size), l.size);
    if (rank >= 0) agenda.push({rank, left, right, l.size, r.size});
  };
  for (int i = 1; i < static_cast<int>(symbols.size()); ++i) consider(i - 1, i);
  std::vector<int> merged;  // lefts of this round's merges
  while (!agenda.empty()) {
    const int rank = agenda.top().rank;
    merged.clear();
    do {
      const Pair pair = agenda.top();
      agenda.pop();
      Symbol& left = at(pair.left);
      Symbol& right = at(pair.right);
      // One of them may have been merged with another since; so may one of this very round ("x x x").
      if (left.size != pair.left_size || right.size != pair.right_size) continue;
      left.size += right.size;
      left.next = right.next;
      if (right.next >= 0) at(right.next).previous = pair.left;
      right.size = 0;
      merged.push_back(pair.left);
    } while (flavor_ == Flavor::kSubwordNmt && !agenda.empty() && agenda.top().rank == rank);
    for (const int left : merged) {
      consider(at(left).previous, left);
      consider(left, at(left).next);
    }
  }

  std::vector<int> sizes;
  for (int i = 0; i != -1; i = at(i).next) {
    const int end = std::min(at(i).begin + at(i).size, static_cast<int>(word.size()));
    if (at(i).begin < end) sizes.push_back(end - at(i).begin);
  }
  return sizes;
}

std::vector<int> BpeMerges::Cut(std::string_view word, absl::FunctionRef<bool(std::string_view, bool)> known) const {
  std::vector<int> sizes;
  std::vector<ByteRange> rest;  // to be looked at, last first
  int at = 0;
  for (const int size : Cut(word)) {
    rest.push_back({at, at + size});
    at += size;
  }
  std::reverse(rest.begin(), rest.end());
  while (!rest.empty()) {
    const ByteRange range = rest.back();
    rest.pop_back();
    const std::string_view piece = word.substr(range.begin, range.end - range.begin);
    const bool last = range.end == static_cast<int>(word.size());
    auto merge = merges_.end();
    if (!known(piece, last)) {
      if (last) merge = merges_.find(absl::StrCat(std::string(piece), std::string(kEndOfWord)));
      // Version 0.1 joined it with the end of the word, which is no piece: look at what was joined before.
      const bool joined_with_end = merge != merges_.end() && merge->second.left_size >= range.end - range.begin;
      if (!last || joined_with_end) merge = merges_.find(piece);
    }
    if (merge == merges_.end()) {
      sizes.push_back(range.end - range.begin);
    } else {
      rest.push_back({range.begin + merge->second.left_size, range.end});
      rest.push_back({range.begin, range.begin + merge->second.left_size});
    }
  }
  return sizes;
}

}  // namespace heed
