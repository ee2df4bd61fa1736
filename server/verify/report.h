// A VerifyReport for people and for programs.
//
// Plain functions, thread-safe.
#pragma once

#include <string>

#include "server/verify/verify.h"

namespace heed {

// A heading with the precision, the table of values (largest error, tolerance, where), the faults, and a last line that
// begins with "passed:" or "failed:". In bfloat16 and int8 a line says whose the tolerances are.
std::string ReportText(const VerifyReport& report);

// One JSON object of one line: "ok", "model", "version", "reference", "toolkit", "by" ("heed-server 0.2.0"),
// "precision", "instruction_set", "values" (largest error by name; null where the engine gave no number), "tolerances"
// and "where" (by name), "margin" (its tolerance), "cases", "same", "ties", "faults". by, precision, instruction_set
// and values are what parity.json calls "measured".
std::string ReportJson(const VerifyReport& report);

}  // namespace heed
