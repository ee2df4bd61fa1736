// What the fuzzers share: how an input is taken apart, and what ends a run that broke a promise.
//
// A fuzzer is a file with LLVMFuzzerTestOneInput, which tries one input of any bytes and returns 0. libFuzzer calls it
// with what it makes up, replay.cc with the files of the corpus. It keeps no state between inputs, or a finding could
// not be tried again.
//
// Not thread-safe: a fuzzer has one thread.
#pragma once

#include <google/protobuf/stubs/logging.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace heed::fuzz {

// Ends the process where `promise` is broken: to a fuzzer, a crash.
inline void Require(bool kept, std::string_view promise, std::string_view seen = "") {
  if (kept) return;
  std::fprintf(stderr, "broken promise: %.*s: %.*s\n", static_cast<int>(promise.size()), promise.data(),
               static_cast<int>(seen.size()), seen.data());
  std::abort();
}

// Protobuf tells standard error of every string that is not UTF-8, millions of times in a run; the server has a
// handler.
inline void SilenceProtobuf() {
  static const bool once = (google::protobuf::SetLogHandler(nullptr), true);
  static_cast<void>(once);
}

// What every refusal of outside input must be: one line of bounded size. `most`: bytes of the message.
inline void RequireOneLine(const absl::Status& status, std::size_t most = 2000) {
  if (status.ok()) return;
  const std::string_view message(status.message().data(), status.message().size());
  Require(!message.empty() && message.size() <= most, "an error has a message of bounded size", message);
  Require(message.find_first_of("\n\r") == std::string_view::npos, "an error is one line", message);
}

// An input, taken apart from its beginning. What is beyond its end reads as zeros and as empty.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : left_(reinterpret_cast<const char*>(data), size) {}

  std::uint8_t Byte() {
    if (left_.empty()) return 0;
    const auto byte = static_cast<std::uint8_t>(left_[0]);
    left_.remove_prefix(1);
    return byte;
  }

  // The bytes of which the next two give the number, low byte first; fewer where there are fewer.
  std::string Part() {
    const std::size_t low = Byte();
    const std::size_t wanted = low + 256 * std::size_t{Byte()};
    std::string part(left_.substr(0, wanted));
    left_.remove_prefix(part.size());
    return part;
  }

  bool empty() const { return left_.empty(); }
  std::string Rest() { return std::string(std::exchange(left_, {})); }

 private:
  std::string_view left_;
};

}  // namespace heed::fuzz
