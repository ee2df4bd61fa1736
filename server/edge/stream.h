// One call of a session: its headers, its messages, its answer, in that order and with whatever is wrong about them.
//
//   headers --HeadReader--> checked --data, MessageReader--> whole --Backend--> answer --> DATA, trailers
//
// Whatever is wrong ends the call with a status, never its connection. Not thread-safe: the session's loop.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/edge/backend.h"
#include "server/edge/message_reader.h"
#include "server/edge/metadata.h"

namespace heed {

class Session;

class Stream : public CallAnswer {
 public:
  Stream(Session* session, std::int32_t id, absl::Time now);
  // Drops the call where it is under way.
  ~Stream() override;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  std::int32_t id() const { return id_; }

  // As they come.
  void OnHeader(absl::string_view name, absl::string_view value);
  void OnHeadersEnd(absl::Time now);
  void OnData(absl::string_view bytes);
  void OnRemoteEnd();
  // Goes on with what was left for another turn.
  void ReadMore();
  // Starts its call, which is whole.
  void StartWhole();

  // What nghttp2 sends next of the answer: as nghttp2_data_source_read_callback.
  ssize_t Produce(std::uint8_t* buffer, std::size_t length, std::uint32_t* flags);
  // Ends it where its time is up.
  void OnTime(absl::Time now);
  // Its connection is at its end: there is nobody to answer, and nothing of it is kept.
  void Abandon();
  // The answer's end has been sent.
  void OnSent();

  void OnMessage(AnswerBytes message, bool gzip) override;
  void OnTaken() override;
  void OnEnd(const absl::Status& status, const std::string& details, const Metadata& trailers) override;

 private:
  struct Out {
    std::string prefix;
    AnswerBytes message;
  };

  absl::Status Check();
  void Read(absl::string_view bytes);
  absl::Status OnWhole();
  void Start();
  // Answers by itself; counted under `reason`.
  void Fail(const absl::Status& status, absl::string_view reason);
  // Bytes were read: the client may send as many more.
  void Consume(std::size_t bytes);
  void KeepAside(std::size_t bytes);
  void GiveAside();
  void SubmitHeaders(bool gzip);
  void DropCall();
  void DropAnswer();

  Session* const session_;
  const std::int32_t id_;
  HeadReader head_;
  const Method* method_ = nullptr;
  absl::Time deadline_ = absl::InfiniteFuture();
  absl::Time due_;  // for what is still to come of its request; InfiniteFuture: nothing is
  std::optional<MessageReader> reader_;
  std::string pending_;         // received, for a later turn
  std::int64_t aside_ = 0;      // of it in the accounts
  std::size_t aside_left_ = 0;  // of its front that the connection's window has back already
  std::unique_ptr<HeldBytes> message_;
  BackendCall* call_ = nullptr;
  bool bidi_waits_ = false;    // a message was given and not taken
  bool widened_ = false;       // its window is a large message's
  bool refused_ = false;       // what it takes was not to be had
  bool began_ = false;         // its headers are there
  bool remote_ended_ = false;  // the client sends no more
  bool head_sent_ = false;
  bool ended_ = false;  // the answer is all there
  bool sent_ = false;
  std::vector<std::pair<std::string, std::string>> trailers_;
  std::deque<Out> out_;
  std::size_t out_sent_ = 0;  // of its first
  std::int64_t out_bytes_ = 0;
  absl::Time taken_at_;  // when the client last took something, or there was nothing to take
};

}  // namespace heed
