// gzip and deflate as gRPC uses them, with a bound on what comes out.
//
// Not thread-safe; Gzip is a plain function.
#pragma once

#include <zlib.h>

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace heed {

// Inflates a message piece by piece.
class Inflater {
 public:
  // Bytes that one takes beside what it gives.
  static constexpr std::size_t kOwnBytes = 48 << 10;

  Inflater() = default;
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // Before each message, in either form: they tell themselves apart.
  absl::Status Begin();
  // Takes bytes off the front of *in and writes at most `room` to `out`, how many is `*made`: stops where either is
  // used up, or at the end of the message's stream. INVALID_ARGUMENT: the bytes are no such stream.
  absl::Status Run(absl::string_view* in, char* out, std::size_t room, std::size_t* made);
  bool at_end() const { return at_end_; }

 private:
  z_stream stream_ = {};
  bool begun_ = false;
  bool at_end_ = false;
};

// Compresses bytes that come piece by piece to a gzip stream, quickly rather than small.
class Gzipper {
 public:
  Gzipper() = default;
  ~Gzipper();
  Gzipper(const Gzipper&) = delete;
  Gzipper& operator=(const Gzipper&) = delete;

  // False where there is no memory for it: then it makes no stream.
  bool Add(absl::string_view bytes) { return Run(bytes, Z_NO_FLUSH); }
  // The stream, whole; empty where there was no memory for it. Once, after the last.
  std::string Finish();

 private:
  bool Run(absl::string_view bytes, int flush);

  z_stream stream_ = {};
  bool begun_ = false;
  bool failed_ = false;
  std::string out_;
};

// `bytes` as a gzip stream, quickly rather than small.
std::string Gzip(absl::string_view bytes);

}  // namespace heed
