// How far from its certificate a model may be in each precision.
//
// float32 computes what the certificate has, so it is held to what that states. In bfloat16 and int8 weights, and what
// they are multiplied with, are rounded: that is another model, close by, and what can be held is how close. The bounds
// are above what sound models were measured at (docs/bundle.md has the numbers), and far below what a fault makes: a
// wrong scale or a lost bias is off by 1 and more.
//
// Plain function, thread-safe.
#pragma once

#include "engine/base/precision.h"
#include "server/verify/certificate.h"

namespace heed {

// Those stated, or the precision's own where these are wider.
Tolerances TolerancesOf(Precision precision, const Tolerances& stated);

}  // namespace heed
