// How far from its certificate a model may be in each precision.
//
// float32 computes what the certificate has, so it is held to what that states. In bfloat16 and int8 weights, and what
// they are multiplied with, are rounded: that is another model, close by, and what can be held is how close. The bounds
// are above what sound models were measured at (docs/bundle.md has the numbers), and far below what a fault makes: a
// wrong scale or a lost bias is off by 1 and more.
//
// A reference that rounds to int8 itself, as the toolkit does, has a certificate of that: int8 is then held to what
// that states, and float32 is the other model.
//
// Plain function, thread-safe.
#pragma once

#include "engine/base/precision.h"
#include "server/verify/certificate.h"

namespace heed {

// Those that the certificate states for its own precision; else those, or the wider ones of the more rounded of the
// two. `fine`: int8 has all its 8 bits here, as a reference has them.
Tolerances TolerancesOf(Precision precision, const Certificate& certificate, bool fine);

}  // namespace heed
