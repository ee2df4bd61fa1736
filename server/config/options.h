// Every option of heed-server, with its default and unit; flags.h reads them from the command line and the environment.
// docs/flags.md is the same list for people.
//
// Plain values, set once at start-up.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "absl/time/time.h"
#include "engine/run/plan.h"
#include "server/admission/admission.h"
#include "server/edge/edge.h"
#include "server/models/precision.h"
#include "server/net/tls.h"
#include "server/scheduler/scheduler.h"

namespace heed {

enum class LogFormat { kText, kJson };
enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Of --metrics_address.
struct HttpOptions {
  bool tls = false;                                 // with the server's own certificate
  int max_connections = 128;                        // open at a time; over it the longest silent one is closed
  int max_header_bytes = 16 << 10;                  // of a request
  int max_body_bytes = 64 << 10;                    // of a request
  absl::Duration request_time = absl::Seconds(10);  // for a request to come whole, and for its answer to be taken
  absl::Duration idle_time = absl::Seconds(150);    // between requests of a connection
};

struct ServerOptions {
  std::string address = "127.0.0.1:8500";          // HOST:PORT of gRPC; port 0 takes a free one
  std::string metrics_address = "127.0.0.1:9500";  // HOST:PORT of /metrics and probes; empty: none
  std::string models = "models";                   // folder of bundles
  PrecisionSettings precision;                     // .all of --precision, .file of --model_settings, which start reads
  TlsFiles tls;                                    // certificate and key go together; none: plain text
  HttpOptions http;

  SchedulerOptions scheduler;  // --workers, --max_queue
  EngineOptions engine;        // --max_rows, --encode_time_per_step, --max_table_bytes, --max_source_tokens, ...
  AdmissionLimits admission;   // the bounds of a request

  std::int64_t max_message_bytes = 4 << 20;             // of a request, inflated
  std::int64_t max_query_bytes = 16 << 10;              // of a question about the server: models, health, reflection
  std::int64_t max_memory = 0;                          // of the whole process; 0: what the system's limits leave
  std::int64_t max_transport_bytes = 256 << 20;         // requests as received and calls at the edge, all connections
  std::int64_t max_unread_bytes = 256 << 20;            // answers that clients have not taken, all connections
  int max_connections = 1000;                           // open at a time; more are closed as they come
  int max_connections_per_address = 256;                // of those, but for loopback; 0: no bound of its own
  EdgeLimits edge;                                      // the bounds of a connection
  std::string proxy_protocol_from;                      // addresses whose connections begin with a PROXY header
  int max_concurrent_requests = 256;                    // of text in flight; more are refused with RESOURCE_EXHAUSTED
  int helper_threads = 3;                               // CoreTeam's, fewer than workers
  int text_threads = 0;                                 // of the pool for long text work; 0: one per two granted cores
  absl::Duration text_slice = absl::Milliseconds(5);    // of one request's text work, before another's turn
  int polling_threads = 0;                              // that take requests in; 0: one per 8 granted cores, at least 1
  absl::Duration default_deadline = absl::Seconds(30);  // of a call that has none
  absl::Duration retry_pushback = absl::Milliseconds(200);  // grpc-retry-pushback-ms of a refused call
  absl::Duration shutdown_delay = absl::ZeroDuration();     // after SIGTERM: still serving, health NOT_SERVING
  absl::Duration drain_time = absl::Seconds(30);            // after that, for what was accepted

  LogFormat log_format = LogFormat::kText;
  LogLevel log_level = LogLevel::kInfo;
  std::int64_t max_log_bytes = 1 << 20;  // of lines that wait for who reads standard error; more are dropped

  // Names of the flags that were given; what was not given may be made to fit (memory_plan.h).
  std::set<std::string> given;

  // Not options of the server itself: what the command line asked for instead of serving.
  bool help = false;
  bool version = false;
  bool health = false;         // ask a running server for its health
  bool address_given = false;  // --address is on the command line
};

}  // namespace heed
