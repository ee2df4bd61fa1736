// Sinusoidal positions (Vaswani et al. 2017) in the order that Marian has them: all sines, then all cosines.
//
// Plain function, thread-safe.
#pragma once

namespace heed {

// out[c] = sin(position * 1e-4^((c mod t) / (t - 1)) + (c div t) * pi / 2) with t = n / 2, computed in double. n is
// even and at least 4; out [n]. Slow: callers tabulate.
void Sinusoids(int position, int n, float* out);

}  // namespace heed
