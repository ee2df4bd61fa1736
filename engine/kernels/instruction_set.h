// Which instructions the products run on: what a report of measured numbers must say.
//
// Plain function, thread-safe.
#pragma once

#include <string>

namespace heed {

// oneDNN's choice on this machine, spelled as ONEDNN_MAX_CPU_ISA is: "AVX2", "AVX512_CORE_VNNI".
std::string InstructionSet();

}  // namespace heed
