// What the headers of a call say: HTTP's own, gRPC's, and the caller's metadata, checked and bounded (gRPC over HTTP2,
// "Requests"; RFC 9110, section 5). And the forms that gRPC gives to what goes back.
//
// Thread-safe: plain functions; a reader is one thread's.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace heed {

// In order; values of names that end in "-bin" are bytes, all others printable ASCII.
using Metadata = std::vector<std::pair<std::string, std::string>>;

enum class Encoding { kIdentity, kGzip, kUnknown };  // kGzip: gzip or deflate, which tell themselves apart

struct RequestHead {
  std::string method;        // "POST"
  std::string path;          // "/heed.v1.TranslationService/Translate"
  std::string content_type;  // "application/grpc"
  Encoding encoding = Encoding::kIdentity;
  std::string encoding_name;
  bool takes_gzip = false;  // of grpc-accept-encoding
  std::optional<absl::Duration> timeout;
  Metadata metadata;  // without HTTP's and gRPC's own
};

class HeadReader {
 public:
  // `max_bytes`: of names and values, 32 more for each (RFC 9113, section 6.5.2).
  explicit HeadReader(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  void Add(absl::string_view name, absl::string_view value);
  // RESOURCE_EXHAUSTED: too much; INVALID_ARGUMENT: a name, a value or a time-out that is not valid.
  absl::Status Finish();
  RequestHead& head() { return head_; }

 private:
  void Take(absl::string_view name, absl::string_view value);

  const std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  absl::Status fault_;
  RequestHead head_;
};

// "5S": a number of at most 8 digits and a unit. Nothing where it is none.
std::optional<absl::Duration> ParseTimeout(absl::string_view value);

// As grpc-message has it: percent-encoded UTF-8.
std::string EncodeMessage(absl::string_view message);
// As a header has it: base64 without padding where the name ends in "-bin".
std::string EncodeValue(absl::string_view name, absl::string_view value);

}  // namespace heed
