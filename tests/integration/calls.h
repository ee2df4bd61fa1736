// RPCs as a test makes them: with everything that a client can see of the answer, and without the library in client/,
// which retries and rewords. gRPC's headers stay in calls.cc.
//
// Caller is thread-safe; each has a connection of its own.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "heed/v1/model.pb.h"
#include "heed/v1/stream.pb.h"
#include "heed/v1/summarization.pb.h"
#include "heed/v1/translation.pb.h"
#include "tests/integration/process.h"

namespace heed {

struct Answer {
  absl::StatusCode code = absl::StatusCode::kUnknown;
  std::string message;
  std::string details;  // a serialised google.rpc.Status
  std::map<std::string, std::string> trailers;

  bool ok() const { return code == absl::StatusCode::kOk; }
  // "INVALID_ARGUMENT: search.beam_size is 0; ...", for comparisons and failures.
  std::string ToString() const;
};

template <typename Response>
struct AnswerOf : Answer {
  Response response;
};
using TranslateAnswer = AnswerOf<v1::TranslateResponse>;

// A Translate under way. Cancel is thread-safe; Wait is for one thread.
class PendingTranslate {
 public:
  virtual ~PendingTranslate() = default;  // cancels it and waits
  virtual void Cancel() = 0;
  // Waits for the answer, which stays valid.
  virtual const TranslateAnswer& Wait() = 0;
};

// A StreamTranslate under way; gRPC reads ahead no more than its flow control lets it. Cancel is thread-safe; the rest
// is for one thread.
class PendingStream {
 public:
  virtual ~PendingStream() = default;  // cancels it and waits
  // The next event; false: there are no more.
  virtual bool Read(v1::StreamEvent* event) = 0;
  virtual void Cancel() = 0;
  // Reads and drops what is left, then says how the stream ended.
  virtual const Answer& Wait() = 0;
};

// A health watch under way.
class HealthWatch {
 public:
  virtual ~HealthWatch() = default;
  // The next status, "SERVING"; empty when the stream ended.
  virtual std::string Next() = 0;
};

class Caller {
 public:
  // `max_receive_bytes` 0: gRPC's own default, 4 MiB.
  explicit Caller(int port, int max_receive_bytes = 0);
  ~Caller();
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  // False: no connection within the longest time a call takes. A call makes its connection by itself; where many
  // threads begin with one, gRPC 1.51 may take a connect under way for a failed one, for it looks at an errno of what
  // came after.
  bool Connect();

  TranslateAnswer Translate(const v1::TranslateRequest& request, absl::Duration timeout = kLongest);
  std::unique_ptr<PendingTranslate> StartTranslate(const v1::TranslateRequest& request,
                                                   absl::Duration timeout = kLongest);
  std::unique_ptr<PendingStream> StreamTranslate(const v1::TranslateRequest& request,
                                                 absl::Duration timeout = kLongest);
  AnswerOf<v1::SummarizeResponse> Summarize(const v1::SummarizeRequest& request);
  AnswerOf<v1::ListModelsResponse> ListModels();
  AnswerOf<v1::GetModelResponse> GetModel(const v1::GetModelRequest& request);
  // Any bytes to any method, "/heed.v1.TranslationService/Translate".
  Answer SendBytes(const std::string& method, const std::string& bytes);

  // "SERVING", or the error's ToString().
  std::string Health(const std::string& service = "");
  std::unique_ptr<HealthWatch> WatchHealth();
  // Names of services that server reflection lists, of version "v1" or "v1alpha".
  std::vector<std::string> ReflectedServices(const std::string& version);

 private:
  struct Connection;

  const std::unique_ptr<Connection> connection_;
};

v1::TranslateRequest TranslateTexts(const std::vector<std::string>& texts, const std::string& model = "");

}  // namespace heed
