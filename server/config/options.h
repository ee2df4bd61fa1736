// Every option of heed-server, with its default and unit; flags.h reads them from the command line and the environment.
// docs/flags.md is the same list for people.
//
// Plain values, set once at start-up.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "engine/run/plan.h"
#include "server/admission/admission.h"
#include "server/scheduler/scheduler.h"

namespace heed {

enum class LogFormat { kText, kJson };
enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Transport security. Certificate and key go together; without them connections are plain text.
struct TlsOptions {
  std::string cert;       // PEM file: the server's certificate chain
  std::string key;        // PEM file: its private key
  std::string client_ca;  // PEM file: clients must show a certificate that it signed; empty: they need none
};

struct ServerOptions {
  std::string address = "127.0.0.1:8500";          // HOST:PORT of gRPC; port 0 takes a free one
  std::string metrics_address = "127.0.0.1:9500";  // HOST:PORT of /metrics; empty: none
  std::string models = "models";                   // folder of bundles
  TlsOptions tls;

  SchedulerOptions scheduler;  // --workers, --max_queue
  EngineOptions engine;        // --max_rows, --encode_positions_per_step, --max_table_bytes, --max_source_tokens, ...
  AdmissionLimits admission;   // the bounds of a request

  std::int64_t max_message_bytes = 4 << 20;             // of a request as received
  std::int64_t max_transport_bytes = 256 << 20;         // of gRPC's own, all connections together
  int max_connections = 1000;                           // open at a time; more are closed as they come
  int max_concurrent_requests = 256;                    // of text in flight; more are refused with RESOURCE_EXHAUSTED
  int text_threads = 0;                                 // of the pool for long text work; 0: one per two granted cores
  int polling_threads = 0;                              // that take requests in; 0: one per 8 granted cores, at least 1
  absl::Duration default_deadline = absl::Seconds(30);  // of a call that has none
  absl::Duration retry_pushback = absl::Milliseconds(200);  // grpc-retry-pushback-ms of a refused call
  absl::Duration drain_time = absl::Seconds(30);            // after SIGTERM, for what was accepted
  absl::Duration keepalive_time = absl::Seconds(60);        // of silence before a connection is pinged
  absl::Duration keepalive_timeout = absl::Seconds(20);     // for its answer, or a new connection's first words

  LogFormat log_format = LogFormat::kText;
  LogLevel log_level = LogLevel::kInfo;

  // Not options of the server itself: what the command line asked for instead of serving.
  bool help = false;
  bool version = false;
};

}  // namespace heed
