// What a transport says of a request beside the request itself: who asks, how long they wait, what the request is
// called and where its short work is done.
//
// Plain values; an Executor is thread-safe.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace heed {

// A thread of the transport's: it does the text work of short requests and replies, since to wake another takes as
// long.
class Executor {
 public:
  virtual ~Executor() = default;
  // Runs `task` on that thread, in order of submission. Never blocks. From a thread that defers its wakes, when it
  // wakes.
  virtual void Submit(std::function<void()> task) = 0;
};

struct RequestContext {
  std::string address;      // of the client: its connection's, or the one that a PROXY header gave
  std::string identity;     // the name that its certificate gives; empty: it showed none
  std::string request_id;   // for the log (RequestIdOf)
  std::string traceparent;  // W3C's header, as it came; empty: none
  // How long the client waits from now on; none: it does not say, and --default_deadline counts.
  std::optional<absl::Duration> time_left;
  // Of this request alone: set by Pipeline::Cancel, at any time.
  std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);
  Executor* executor = nullptr;  // required; outlives the request
};

// What the client calls its request, where that is 1 to 64 of [A-Za-z0-9._-]; else a fresh one.
std::string RequestIdOf(absl::string_view given);

}  // namespace heed
