// What stands around a session in tests: a wire without a socket, and a backend that answers when the test says so.
//
// Not thread-safe.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/edge/backend.h"
#include "server/net/protocol.h"

namespace heed {

class FakeWire : public Wire {
 public:
  void Flush() override { flushed = true; }
  void WakeAt(absl::Time time) override { wake = time; }
  const Peer& peer() const override { return peer_at; }

  bool flushed = false;
  absl::Time wake = absl::InfiniteFuture();
  Peer peer_at = {.address = "192.0.2.1", .port = 1234};
};

// A call as the backend got it; the test answers through `answer`, which is null once nobody waits.
class PuppetCall : public BackendCall {
 public:
  PuppetCall(CallStart start, CallAnswer* whose)
      : path(*start.path),
        deadline(start.deadline),
        metadata(std::move(start.metadata)),
        wants_gzip(start.wants_gzip),
        answer(whose) {
    if (start.message != nullptr) Give(std::move(start.message));
  }
  void Give(std::unique_ptr<HeldBytes> message) override {
    messages.emplace_back(message->data(), message->size());
    if (keeps) held.push_back(std::move(message));
  }
  void GiveEnd() override { ended = true; }
  void Drop() override {
    dropped = true;
    answer = nullptr;
  }

  void Say(std::string message, bool gzip = false) {
    auto keeper = std::make_shared<std::string>(std::move(message));
    answer->OnMessage({*keeper, keeper}, gzip);
  }
  void End(const absl::Status& status = absl::OkStatus(), const std::string& details = "",
           const Metadata& trailers = {}) {
    std::exchange(answer, nullptr)->OnEnd(status, details, trailers);
  }

  const std::string path;
  const absl::Time deadline;
  const Metadata metadata;
  const bool wants_gzip;
  CallAnswer* answer;
  std::vector<std::string> messages;
  bool keeps = false;  // the bytes of messages that still come
  std::vector<std::unique_ptr<HeldBytes>> held;
  bool ended = false;
  bool dropped = false;
};

class PuppetBackend : public Backend {
 public:
  BackendCall* Start(CallStart start, CallAnswer* answer) override {
    calls.push_back(std::make_unique<PuppetCall>(std::move(start), answer));
    return calls.back().get();
  }
  PuppetCall& last() { return *calls.back(); }

  std::vector<std::unique_ptr<PuppetCall>> calls;
};

}  // namespace heed
