// Runs a bundle's parity.json on this machine and measures how far the engine is from it.
//
// Each case is decoded twice. Freely, with the certificate's search: that must give its target ids, except that from
// the first step on whose margin is below the tolerance it may part from them (a tie). And forced along the target ids:
// every value that the certificate gives is compared there.
//
// Tolerances are the precision's (tolerance.h). In bfloat16 and int8 it is a tie of greedy search where this machine
// gives the certificate's token almost the log-probability of its own: a difference below the tolerance of margins.
//
// Plain functions, thread-safe. They take CPU time in proportion to the cases and memory in proportion to the file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/precision.h"
#include "engine/model/bundle.h"
#include "server/verify/certificate.h"

namespace heed {

// One named value over all cases: "log_probability", "copy_gate", and of each attend "NAME.weights", "NAME.energies"
// and "NAME", the context.
struct VerifiedValue {
  std::string name;
  double tolerance = 0;
  double max_error = 0;       // of |a - b| / max(1, |b|), b the certificate's; infinite where a is no number
  std::string where;          // "cases[3] step 5 position 2": of max_error
  std::int64_t compared = 0;  // numbers

  bool ok() const { return max_error <= tolerance; }
};

struct VerifyReport {
  std::string model, version;      // of the bundle
  std::string reference, toolkit;  // as the certificate says
  Precision precision = Precision::kFloat32;
  double margin = 0;            // tolerance of margins
  std::string instruction_set;  // of this machine
  int cases = 0;
  int same = 0;  // cases whose free decoding gave the target ids
  int ties = 0;  // cases that parted from them at a tie
  std::vector<VerifiedValue> values;
  std::vector<std::string> faults;  // what is wrong beside values, one line each: "cases[3].target_ids[5] is 17, ..."

  bool ok() const;
};

// NOT_FOUND without a parity.json, of a bundle that loads; INVALID_ARGUMENT where it is faulty or does not fit the
// model, and what loading the model in this precision says. A report, ok or not, wherever there was something to
// compare.
absl::StatusOr<VerifyReport> Verify(Bundle bundle, Precision precision = Precision::kFloat32);

}  // namespace heed
