// A bundle's parity.json: what the toolkit that a model came from says to a set of inputs, and how far this engine may
// be from it. docs/bundle.md has the format.
//
// Plain values and a plain function, thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/base/precision.h"
#include "engine/base/types.h"
#include "engine/run/job.h"
#include "heed/v1/search.pb.h"

namespace heed {

// row t belongs to target token t.
using CertifiedMatrix = std::vector<std::vector<double>>;

struct CertifiedAttention {
  std::string attend;
  int head = 0;
  CertifiedMatrix weights;   // [T, S]; empty where not given
  CertifiedMatrix energies;  // [T, S]; likewise
  CertifiedMatrix contexts;  // [T, C]; likewise, and only with head 0
};

struct CertifiedCase {
  std::optional<std::string> text;
  std::vector<TokenId> source_ids;  // S, specials included
  std::vector<TokenId> target_ids;  // T, with </s> where it was emitted
  std::optional<std::string> output;
  std::vector<double> log_probabilities;  // T
  std::vector<double> margins;            // T, or none
  FinishReason finish = FinishReason::kEos;
  std::vector<TokenId> copy_ids;   // S, or none: made from the pieces
  std::vector<double> copy_gates;  // T, or none
  bool shortlist = false;
  std::vector<CertifiedAttention> attentions;
};

// |a - b| <= tolerance * max(1, |b|), b the certificate's; the defaults are float32's.
struct Tolerances {
  double log_probability = 1e-4;
  double weight = 1e-5;  // and of copy gates
  double energy = 1e-4;
  double context = 1e-5;
  double margin = 1e-3;  // below it two tokens may change places
};

struct Certificate {
  std::string reference;     // who computed it, at what precision
  std::string toolkit;       // "OpenNMT-py 3.5.1", or empty
  v1::SearchOptions search;  // what the cases were decoded with
  Tolerances tolerance;
  Precision precision =
      Precision::kFloat32;           // whose tolerances these are: what the reference rounds, it rounds as well
  std::vector<CertifiedCase> cases;  // at least one
};

// Reads parity.json, a heed.model.v1.Parity, strictly: unknown fields, wrong types, what its fields' rules do not allow
// and sizes that disagree are INVALID_ARGUMENT, one line that names the field: "parity.json: cases[2].margins has 4
// numbers, expected 5, one for each of target_ids". What only a model can tell (ids in its vocabularies, names of its
// attends) is not checked here.
absl::StatusOr<Certificate> ParseCertificate(absl::string_view json);

}  // namespace heed
