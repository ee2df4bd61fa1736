// Runs `heed translate` and `heed summarize`: reads texts, sends batches with several under way at once, prints the
// results in the order of the texts.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/console.h"
#include "client/cli/text_options.h"
#include "heed/v1/stream.pb.h"
#include "heed/v1/text.pb.h"

namespace heed::cli {

// What Translate and Summarize answer alike.
struct TextReply {
  std::vector<v1::TextResult> results;
  v1::ModelIdentity model;
};

// Sends one request; called from several threads at once.
using SendTexts = std::function<absl::StatusOr<TextReply>(Client& client, const TextOptions& options,
                                                          const std::vector<std::string>& texts)>;

// The same, streamed.
using StreamTexts =
    std::function<absl::Status(Client& client, const TextOptions& options, const std::vector<std::string>& texts,
                               const std::function<void(const v1::StreamEvent&)>& on_event)>;

// `usage` heads --help. Returns the exit code.
int RunTextCommand(const std::string& usage, const SendTexts& send, const StreamTexts& stream,
                   const std::vector<std::string>& arguments, const Console& console);

}  // namespace heed::cli
