// The flags that `heed translate` and `heed summarize` share, and the request that they make.
//
// Plain values and functions; not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/cli/attention_map.h"
#include "client/cli/connection.h"
#include "client/cli/flags.h"
#include "google/protobuf/duration.pb.h"
#include "heed/v1/text.pb.h"

namespace heed::cli {

struct TextOptions {
  ConnectionOptions connection;

  // Input.
  std::string file;    // "-": standard input; empty: the operands, or standard input when there are none
  bool whole = false;  // the input is one text
  std::int64_t batch_size = 32;
  std::int64_t in_flight = 4;

  // Request.
  v1::ModelSelector model;
  v1::SearchOptions search;
  v1::TooLongPolicy too_long = v1::TOO_LONG_POLICY_UNSPECIFIED;  // unspecified: the model's
  bool shortlist = true;
  bool attention = false;
  bool energies = false;
  bool contexts = false;
  std::string unit;     // "words" or "pieces"; empty: words to look at, pieces where energies or contexts are asked for
  std::string attends;  // comma-separated names; empty: all
  std::optional<std::int64_t> max_reply_bytes;
  v1::Priority priority = v1::PRIORITY_UNSPECIFIED;
  absl::Duration time_budget = absl::InfiniteDuration();  // infinite: none

  // Output.
  bool json = false;
  bool stream = false;        // print words as they come
  std::optional<bool> plain;  // no marks of doubtful outputs; absent: marks on a terminal
  std::string color = "auto";
  std::optional<int> width;       // of the maps; none: the terminal's
  std::vector<HeadChoice> heads;  // to draw; empty: all
  bool progress = true;
};

// Setters point into `options`.
std::vector<FlagGroup> TextFlags(TextOptions* options);

// INVALID_ARGUMENT where flags contradict one another.
absl::Status CheckTextOptions(const TextOptions& options, bool has_operands);

// What attention the flags ask for; none when there is nothing to return.
std::optional<v1::AttentionOptions> AttentionOf(const TextOptions& options);

google::protobuf::Duration ToProto(absl::Duration duration);

// A TranslateRequest or a SummarizeRequest.
template <typename Request>
Request MakeRequest(const TextOptions& options, const std::vector<std::string>& texts) {
  Request request;
  *request.mutable_model() = options.model;
  *request.mutable_search() = options.search;
  for (const std::string& text : texts) request.add_texts(text);
  request.set_too_long(options.too_long);
  if (!options.shortlist) request.set_shortlist(false);
  if (const auto attention = AttentionOf(options)) *request.mutable_attention() = *attention;
  if (options.max_reply_bytes.has_value()) request.set_max_reply_bytes(*options.max_reply_bytes);
  request.set_priority(options.priority);
  if (options.time_budget < absl::InfiniteDuration()) {
    *request.mutable_time_budget() = ToProto(options.time_budget);
  }
  return request;
}

}  // namespace heed::cli
