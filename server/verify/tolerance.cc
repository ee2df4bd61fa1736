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

Tolerances TolerancesOf(Precision precision, const Certificate& certificate, bool fine) {
  if (precision == certificate.precision && (precision != Precision::kInt8 || fine)) return certificate.tolerance;
  const auto either = [&](Precision p) { return precision == p || certificate.precision == p; };
  return Wider(certificate.tolerance, either(Precision::kInt8) ? kInt8 : kBfloat16);
}

}  // namespace heed
