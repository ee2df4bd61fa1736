// The requests of a run: which RPC, which texts, which priority, made once and sent as they are.
//
// Plain functions, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "client/bench/load.h"
#include "heed/v1/translation.pb.h"

namespace heed::bench {

struct PrepareOptions {
  std::vector<std::pair<Rpc, double>> mix = {{Rpc::kTranslate, 1}};  // shares; their sum is 1 after ParseMix
  v1::TranslateRequest request;    // all but texts and priority; Summarize's has the same fields
  std::string summarize_model;     // for the summarising RPCs; empty: the server's only one
  std::vector<std::string> texts;  // at least one
  int texts_per_request = 1;
  double batch_fraction = 0;  // of requests with batch priority
  bool shuffle = false;       // texts in random order; else in order
  std::uint64_t seed = 1;
};

// "translate=0.8,stream_translate=0.2": shares above 0, made to sum to 1.
absl::StatusOr<std::vector<std::pair<Rpc, double>>> ParseMix(const std::string& text);

// As many requests as go once through the texts, at least `least`.
std::vector<Prepared> Prepare(const PrepareOptions& options, std::size_t least);

}  // namespace heed::bench
