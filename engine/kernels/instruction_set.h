// Which instructions the products run on: what a report of measured numbers must say.
//
// Plain functions, thread-safe.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "engine/base/precision.h"

namespace heed {

// oneDNN's choice on this machine, spelled as ONEDNN_MAX_CPU_ISA is: "AVX2", "AVX512_CORE_VNNI".
std::string InstructionSet();

// FAILED_PRECONDITION naming the instruction that products of this precision need and the machine (or
// ONEDNN_MAX_CPU_ISA) lacks: bfloat16 needs AVX512_BF16 or AMX_BF16, int8 nothing (see Int8IsFine).
absl::Status CheckPrecision(Precision precision);

// Whether products of int8 have all 8 bits: with VNNI. Without it what weights are multiplied with has 7 bits, so that
// the 16-bit sums of two products do not saturate: as exact, but half as fine.
bool Int8IsFine();

}  // namespace heed
