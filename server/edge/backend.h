// What lies behind the edge: whole, clean, bounded calls go in, messages and a status come back. The edge knows nothing
// of who answers, so it is tested and fuzzed without.
//
// All of it happens on the thread of the connection's loop.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/edge/message_reader.h"
#include "server/edge/metadata.h"
#include "server/net/protocol.h"

namespace heed {

enum class Shape { kUnary, kServerStream, kBidi };

struct Method {
  Shape shape = Shape::kUnary;
  std::size_t max_message_bytes = 0;  // of each of its request messages
};

// By path.
using MethodTable = absl::flat_hash_map<std::string, Method>;

struct CallStart {
  const std::string* path = nullptr;
  Shape shape = Shape::kUnary;
  absl::Time deadline;  // InfiniteFuture: none
  Metadata metadata;
  const Peer* peer = nullptr;
  bool wants_gzip = false;             // the request was compressed, and answers may be
  std::unique_ptr<HeldBytes> message;  // all there is, but for kBidi: null
};

// Bytes with who keeps them.
struct AnswerBytes {
  absl::string_view bytes;
  std::shared_ptr<const void> keeper;
};

// What a call tells of its answer.
class CallAnswer {
 public:
  virtual ~CallAnswer() = default;
  virtual void OnMessage(AnswerBytes message, bool gzip) = 0;
  // A message that was given has been read: the next may come. kBidi alone.
  virtual void OnTaken() = 0;
  // The last thing told. `trailers` without gRPC's own.
  virtual void OnEnd(const absl::Status& status, const std::string& details, const Metadata& trailers) = 0;
};

// A call under way: there until OnEnd was told, or Drop.
class BackendCall {
 public:
  virtual ~BackendCall() = default;
  // kBidi: one at a time, OnTaken between them; then the end.
  virtual void Give(std::unique_ptr<HeldBytes> message) = 0;
  virtual void GiveEnd() = 0;
  // Nobody waits for the answer any more: nothing is told from here on, and the call is nobody's but its own.
  virtual void Drop() = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  // `answer` is told until OnEnd or Drop, never from within Start.
  virtual BackendCall* Start(CallStart start, CallAnswer* answer) = 0;
};

}  // namespace heed
