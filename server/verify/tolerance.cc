#include "server/verify/tolerance.h"

#include <algorithm>

namespace heed {
namespace {

constexpr Tolerances kBfloat16 = {.log_probability = 0.1, .weight = 0.05, .energy = 0.2, .context = 0.1, .margin = 0.1};
constexpr Tolerances kInt8 = {.log_probability = 0.5, .weight = 0.2, .energy = 0.5, .context = 0.3, .margin = 0.5};

Tolerances Wider(const Tolerances& a, const Tolerances& b) {
  return {.log_probability = std::max(a.log_probability, b.log_probability),
          .weight = std::max(a.weight, b.weight),
          .energy = std::max(a.energy, b.energy),
          .context = std::max(a.context, b.context),
          .margin = std::max(a.margin, b.margin)};
}

}  // namespace

Tolerances TolerancesOf(Precision precision, const Tolerances& stated) {
  switch (precision) {
    case Precision::kFloat32:
      return stated;
    case Precision::kBfloat16:
      return Wider(stated, kBfloat16);
    case Precision::kInt8:
      return Wider(stated, kInt8);
  }
  return stated;
}

}  // namespace heed
