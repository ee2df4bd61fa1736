#include "tests/engine/run/reference_attention.h"

#include <algorithm>
#include <cmath>

namespace heed {
namespace {

using Vector = std::vector<double>;

// Martins and Astudillo 2016, algorithm 1.
Vector Sparsemax(const Vector& e) {
  Vector sorted = e;
  std::sort(sorted.rbegin(), sorted.rend());
  double sum = 0, tau = 0;
  for (std::size_t k = 1; k <= sorted.size(); ++k) {
    sum += sorted[k - 1];
    if (1 + static_cast<double>(k) * sorted[k - 1] > sum) tau = (sum - 1) / static_cast<double>(k);
  }
  Vector w;
  for (const double x : e) w.push_back(std::max(x - tau, 0.0));
  return w;
}

}  // namespace

std::vector<double> ReferenceSoftmax(const std::vector<double>& e) {
  const double most = *std::max_element(e.begin(), e.end());
  Vector w;
  double sum = 0;
  for (const double x : e) sum += w.emplace_back(std::exp(x - most));
  for (double& x : w) x /= sum;
  return w;
}

ReferenceAttention ReferenceAttend(const AttendNode& n, const Vector& query, const std::vector<Vector>& keys,
                                   const std::vector<Vector>& values, const Vector& coverage) {
  ReferenceAttention out;
  out.context.resize(n.value_size);
  const int key = n.key_size / n.heads, value = n.value_size / n.heads;
  for (int head = 0; head < n.heads; ++head) {
    Vector e;
    if (n.score == AttendNode::Score::kLocation) e.assign(&query[head * n.slots], &query[head * n.slots] + n.slots);
    for (std::size_t j = 0; j < keys.size(); ++j) {
      double sum = 0;
      for (int i = head * key; i < (head + 1) * key; ++i) {
        if (n.score == AttendNode::Score::kDot) {
          sum += n.scale * query[i] * keys[j][i];
        } else {
          const double covered = coverage.empty() ? 0 : n.coverage_weight->data[i] * coverage[head * keys.size() + j];
          sum += n.v->data[i] * std::tanh(query[i] + keys[j][i] + covered);
        }
      }
      e.push_back(n.v_bias == nullptr ? sum : sum + n.v_bias->data[0]);
    }
    const Vector w = n.sparsemax ? Sparsemax(e) : ReferenceSoftmax(e);
    for (std::size_t j = 0; j < values.size(); ++j) {
      for (int i = head * value; i < (head + 1) * value; ++i) out.context[i] += w[j] * values[j][i];
    }
    out.weights.insert(out.weights.end(), w.begin(), w.begin() + static_cast<std::ptrdiff_t>(values.size()));
    out.energies.insert(out.energies.end(), e.begin(), e.begin() + static_cast<std::ptrdiff_t>(values.size()));
  }
  return out;
}

std::vector<double> ReferenceCopy(const CopyNode& n, Vector logits, double gate, const Vector& weights,
                                  const std::vector<TokenId>& ids) {
  for (const TokenId id : n.masked) logits[id] = -INFINITY;
  Vector p = ReferenceSoftmax(logits);
  for (double& x : p) x *= n.gate_generates ? gate : 1 - gate;
  p.resize(std::max<std::size_t>(p.size(), *std::max_element(ids.begin(), ids.end()) + 1));
  for (std::size_t j = 0; j < ids.size(); ++j) p[ids[j]] += (n.gate_generates ? 1 - gate : gate) * weights[j];
  for (double& x : p) x = std::max(std::log(x), -1e4);
  return p;
}

}  // namespace heed
