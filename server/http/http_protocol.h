// HTTP/1.1 and 1.0 as a server of short pages speaks it: one request after another, each whole and within its bounds
// before anything looks at it. What is at fault is answered with a line of text and ends its connection.
//
// A header is held back until all of it is there, then Boost.Beast's parser reads it in one piece; a body is as long as
// Content-Length says (a chunked one is refused with 411). Of several requests that came together each is answered in a
// turn of its own, so that a client that sends many does not keep the others waiting. Nothing is read while an answer
// waits to be taken, so a connection holds one request and one answer at most.
//
// Not thread-safe: on the thread of its event loop, like every Protocol.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "server/http/http.h"
#include "server/net/protocol.h"

namespace heed {

class HttpProtocol : public Protocol {
 public:
  // All of them outlive it.
  HttpProtocol(const HttpRoutes* routes, const HttpLimits* limits, Clock* clock, Wire* wire);

  void Receive(absl::string_view bytes) override;
  void Produce(std::size_t room, std::string* out) override;
  bool Reads() const override;
  bool Done() const override { return state_ == State::kDone; }
  // "malformed", "header_bytes", "body_bytes", "request_time", "answer_time"; a request that is whole but asks for what
  // there is not is no fault.
  absl::string_view fault() const override { return fault_; }
  void OnTime(absl::Time now) override;
  void OnEnd() override;

 private:
  enum class State {
    kIdle,    // nothing of a request is there, or it has not had its turn yet
    kHeader,  // some of its header
    kBody,    // its header, and some of its body
    kAnswer,  // all of it; the answer waits to be taken
    kDone,
  };

  // As far as what is there goes.
  void Advance();
  void TakeHeader();
  // The header, all of it there, up to `size`.
  void ReadHeader(std::size_t size);
  void CheckRequest();
  void Respond(HttpResponse response);
  // Answers a fault, or what cannot be answered otherwise, and closes.
  void Refuse(int status, absl::string_view text, absl::string_view fault = "");
  void Write(const HttpResponse& response, absl::string_view body, absl::string_view more_fields);
  void FinishAnswer();
  // Waits for the next request.
  void Idle();

  const HttpRoutes* const routes_;
  const HttpLimits* const limits_;
  Clock* const clock_;
  Wire* const wire_;

  State state_ = State::kIdle;
  std::string input_;         // not taken yet
  std::size_t searched_ = 0;  // of it: holds no end of a header
  std::string output_;        // not given yet from `given_` on
  std::size_t given_ = 0;
  bool turn_ = false;   // input_ waits for its turn
  bool ended_ = false;  // the peer sends no more
  bool asked_ = false;  // it has had an answer
  bool close_ = false;  // after this answer
  absl::string_view fault_;

  // The request at hand.
  HttpRequest request_;
  bool head_ = false;
  bool known_method_ = false;
  std::size_t body_bytes_ = 0;
};

}  // namespace heed
