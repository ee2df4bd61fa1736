#include "engine/search/coverage.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace heed {
namespace {

float Uncovered(CoveragePenalty kind, absl::Span<const float> sums) {
  float c = 0;
  for (const float sum : sums) {
    if (kind == CoveragePenalty::kWu) {
      c -= std::log(std::clamp(sum, std::numeric_limits<float>::min(), 1.0f));
    } else {
      c += std::max(sum, 1.0f) - 1;
    }
  }
  return c;
}

}  // namespace

Coverage::Coverage(const SearchOptions& options, int rows, int source_tokens)
    : kind_(Wanted(options) ? options.coverage_penalty : CoveragePenalty::kNone),
      beta_(options.coverage_beta),
      size_(source_tokens) {
  if (!wanted()) return;
  before_.resize(static_cast<std::size_t>(rows) * size_);
  now_.resize(before_.size());
  penalties_.resize(rows);
}

bool Coverage::Wanted(const SearchOptions& options) {
  return options.coverage_beta != 0 && options.coverage_penalty != CoveragePenalty::kNone;
}

std::int64_t Coverage::Bytes(const SearchOptions& options, int rows, int source_tokens) {
  if (!Wanted(options)) return 0;
  return static_cast<std::int64_t>(sizeof(float)) * rows * (2 * std::int64_t{source_tokens} + 1);
}

void Coverage::Add(int row, absl::Span<const float> weights) {
  const float* before = &before_[static_cast<std::size_t>(row) * size_];
  float* now = &now_[static_cast<std::size_t>(row) * size_];
  for (int i = 0; i < size_; ++i) now[i] = before[i] + weights[i];
  penalties_[row] = beta_ * Uncovered(kind_, {now, static_cast<std::size_t>(size_)});
}

float Coverage::Penalty(int row) const { return wanted() ? penalties_[row] : 0; }

void Coverage::Follow(absl::Span<const int> parents) {
  if (!wanted()) return;
  for (std::size_t row = 0; row < parents.size(); ++row) {
    const auto from = now_.begin() + static_cast<std::ptrdiff_t>(parents[row]) * size_;
    std::copy(from, from + size_, before_.begin() + static_cast<std::ptrdiff_t>(row) * size_);
  }
}

}  // namespace heed
