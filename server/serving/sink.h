// Where an answer goes: what a transport implements, an object per request. The pipeline calls it from whichever thread
// has the request at that moment, one call at a time, and after End no more; a sink lives until then.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "heed/v1/stream.pb.h"
#include "heed/v1/text.pb.h"

namespace heed {

// What an answered request still holds: the memory that its decoding leased and its place in the gate. A transport
// destroys it when the answer has been sent (or cannot be), and what it holds of the answer itself before that.
class Answered {
 public:
  virtual ~Answered() = default;
};
using Receipt = std::unique_ptr<Answered>;

class Sink {
 public:
  virtual ~Sink() = default;
  // Once: the answer is whole, or this is why there is none; absl::Status with the details of
  // server/errors/errors.h.
  virtual void End(absl::Status status, Receipt receipt) = 0;
};

// One answer, in parts.
class UnarySink : public Sink {
 public:
  // The result of each text, in order, then what answered. Not OK: the answer cannot be told, and the request ends so.
  virtual absl::Status Add(const v1::TextResult& result) = 0;
  virtual absl::Status Add(const v1::ModelIdentity& model) = 0;
  // Once all parts are there, over and over until it says that no more is left: does some milliseconds of what sending
  // them takes (compression).
  virtual bool PrepareSome() { return false; }
};

// Events, as they come. While some are written nothing is made of what is decoded meanwhile, and then fewer and larger
// events: a reader that is slow costs the memory of its own tokens, which its request has leased.
class StreamSink : public Sink {
 public:
  // The next event to write. Not OK: it cannot be told, and the request ends so.
  virtual absl::Status Add(const v1::StreamEvent& event) = 0;
  // Writes what was added and calls `written` once, on any thread, also before it returns; false: nobody reads any
  // more.
  virtual void Write(std::function<void(bool ok)> written) = 0;
};

}  // namespace heed
