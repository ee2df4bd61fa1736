#include "engine/kernels/position.h"

#include <cmath>

namespace heed {

void Sinusoids(int position, int n, float* out) {
  const int timescales = n / 2;
  for (int c = 0; c < timescales; ++c) {
    const double angle = position * std::pow(1e-4, static_cast<double>(c) / (timescales - 1));
    out[c] = static_cast<float>(std::sin(angle));
    out[timescales + c] = static_cast<float>(std::cos(angle));
  }
}

}  // namespace heed
