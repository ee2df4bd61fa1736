#include "client/cli/variables.h"

#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/connection.h"
#include "engine/base/variables.h"

namespace heed::cli {
namespace {

// A variable for each flag of heed-server; tests/repo/docs_test.py compares them with docs/flags.md.
constexpr const char* kOfTheServer[] = {
    "HEED_ADDRESS",
    "HEED_METRICS_ADDRESS",
    "HEED_MODELS",
    "HEED_MODEL_SETTINGS",
    "HEED_TLS_CERT",
    "HEED_TLS_KEY",
    "HEED_TLS_CLIENT_CA",
    "HEED_MAX_CONNECTIONS",
    "HEED_MAX_CONNECTIONS_PER_ADDRESS",
    "HEED_PROXY_PROTOCOL_FROM",
    "HEED_KEEPALIVE_TIME",
    "HEED_KEEPALIVE_TIMEOUT",
    "HEED_MAX_CONNECTION_IDLE",
    "HEED_MAX_CONNECTION_AGE",
    "HEED_MAX_CONNECTION_AGE_GRACE",
    "HEED_MAX_HEADER_BYTES",
    "HEED_MAX_HEADER_BLOCK_BYTES",
    "HEED_MAX_STREAMS",
    "HEED_MAX_CONTROL_FRAMES",
    "HEED_MAX_CONNECTION_BYTES",
    "HEED_MAX_CONNECTION_UNREAD_BYTES",
    "HEED_MAX_UNREAD_BYTES",
    "HEED_FIRST_REQUEST_TIME",
    "HEED_HEADER_TIME",
    "HEED_MESSAGE_TIME",
    "HEED_STALLED_TIME",
    "HEED_MAX_DEADLINE",
    "HEED_HTTP_TLS",
    "HEED_MAX_HTTP_CONNECTIONS",
    "HEED_HTTP_REQUEST_TIME",
    "HEED_HTTP_IDLE_TIME",
    "HEED_MAX_HTTP_HEADER_BYTES",
    "HEED_MAX_HTTP_BODY_BYTES",
    "HEED_PRECISION",
    "HEED_WORKERS",
    "HEED_HELPER_THREADS",
    "HEED_MAX_ROWS",
    "HEED_MAX_QUEUE",
    "HEED_MAX_QUEUE_BYTES",
    "HEED_MAX_REQUEST_BYTES",
    "HEED_BATCH_SHARE",
    "HEED_BATCH_AGEING",
    "HEED_ENCODE_TIME_PER_STEP",
    "HEED_MAX_TABLE_BYTES",
    "HEED_MAX_SOURCE_TOKENS",
    "HEED_MAX_TARGET_TOKENS",
    "HEED_TEXT_THREADS",
    "HEED_TEXT_SLICE",
    "HEED_POLLING_THREADS",
    "HEED_MAX_TEXTS",
    "HEED_MAX_TEXT_BYTES",
    "HEED_MAX_SEGMENTS",
    "HEED_MAX_BEAM_SIZE",
    "HEED_DEFAULT_REPLY_BYTES",
    "HEED_MAX_REPLY_BYTES",
    "HEED_MAX_MESSAGE_BYTES",
    "HEED_MAX_QUERY_BYTES",
    "HEED_MAX_MEMORY",
    "HEED_MAX_TRANSPORT_BYTES",
    "HEED_MAX_CONCURRENT_REQUESTS",
    "HEED_DEFAULT_DEADLINE",
    "HEED_RETRY_PUSHBACK",
    "HEED_SHUTDOWN_DELAY",
    "HEED_DRAIN_TIME",
    "HEED_LOG_FORMAT",
    "HEED_LOG_LEVEL",
    "HEED_MAX_LOG_BYTES",
};

}  // namespace

void NoteUnknownVariables(const Console& console) {
  std::vector<std::string> known;
  ConnectionOptions options;
  for (const Flag& flag : ConnectionFlags(&options).flags) known.push_back(flag.variable);
  known.insert(known.end(), std::begin(kOfTheServer), std::end(kOfTheServer));
  for (const UnknownVariable& unknown : UnknownVariables(console.variables, known)) {
    PrintNote(absl::StrCat("warning: nothing reads the variable ", unknown.name,
                           unknown.nearest.empty() ? "" : absl::StrCat("; did you mean ", unknown.nearest, "?")),
              console);
  }
}

}  // namespace heed::cli
