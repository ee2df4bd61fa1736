// Sends requests to a server as a plan says and records what becomes of them. Requests are asynchronous: neither an
// open loop nor its connections wait for an answer before the next one is sent.
//
// RunLoad is for one thread; what it calls back runs on gRPC's.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/bench/arrivals.h"
#include "client/bench/recorder.h"
#include "client/client.h"

namespace heed::bench {

// A request as it goes over the wire.
struct Prepared {
  Rpc rpc = Rpc::kTranslate;
  bool batch = false;  // its priority
  std::string bytes;   // of the RPC's request message
};

struct LoadOptions {
  ClientOptions client;
  int connections = 4;        // each one of its own; requests take turns
  int concurrency = 0;        // above 0: closed loop, so many requests at a time; `arrivals` is not read
  int max_in_flight = 20000;  // open loop: a request that is due while so many are under way is not sent
  absl::Duration duration = absl::Seconds(10);      // in which requests are due, warm-up included
  std::int64_t requests = 0;                        // at most so many; 0: as many as the duration takes
  absl::Duration timeout = absl::Seconds(60);       // deadline of each, from when it is sent
  double cancel_fraction = 0;                       // of requests that are cancelled...
  absl::Duration cancel_within = absl::Seconds(1);  // ...at a random time until then
  std::uint64_t seed = 1;
};

// Sends prepared[0], prepared[1], ... and from the first again, until the plan is over and every request has ended, or
// until `stop` is true: then what is under way is cancelled. A caller of a closed loop who was told UNAVAILABLE waits
// 50 ms. UNAVAILABLE when no connection can be made at the start.
absl::Status RunLoad(const LoadOptions& options, Arrivals arrivals, const std::vector<Prepared>& prepared,
                     const std::atomic<bool>& stop, Recorder* recorder);

}  // namespace heed::bench
