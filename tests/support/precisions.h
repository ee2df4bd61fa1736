// The precisions that the machine has (or ONEDNN_MAX_CPU_ISA leaves), for tests of each.
#pragma once

#include <vector>

#include "engine/kernels/instruction_set.h"

namespace heed {

inline std::vector<Precision> Precisions() {
  std::vector<Precision> all = {Precision::kFloat32, Precision::kBfloat16, Precision::kInt8};
  std::erase_if(all, [](Precision precision) { return !CheckPrecision(precision).ok(); });
  return all;
}

}  // namespace heed
