// Follows the frames of an HTTP/2 connection by their headers alone (RFC 9113, section 4.1), before anybody acts on
// them: how large a header block grows over its CONTINUATION frames, and how many frames come that cost their sender
// nothing: PING, SETTINGS, PRIORITY, RST_STREAM, empty DATA, frames of unknown types, and, at a tenth, WINDOW_UPDATE.
//
// Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace heed {

class FrameMeter {
 public:
  // Bytes that one header block may take on its way, and control frames a second; twice as many may come at once.
  FrameMeter(std::size_t max_block_bytes, int max_control_frames);

  // Follows what came at `now`. The fault: "not_http2" or, once a bound is passed, "header_block_bytes" or
  // "control_frames"; those bytes are for nobody then. Empty: all is well.
  absl::string_view Follow(absl::string_view bytes, absl::Time now);

  // Frames of an answer went out: each makes its client say something (WINDOW_UPDATE, a PING to measure the way), so
  // two for each cost nothing.
  void Earn();

  // A header block has begun and not ended: since when. InfiniteFuture: none has.
  absl::Time block_since() const { return block_since_; }

 private:
  absl::string_view OnFrame(absl::Time now);
  bool Spend(double frames, absl::Time now);
  // Whether it was earned.
  bool SpendEarned();

  const std::size_t max_block_bytes_;
  const double per_second_;
  std::size_t preface_ = 0;                   // bytes of it that have come
  std::size_t skip_ = 0;                      // bytes of a frame that are still to come
  std::array<unsigned char, 9> header_ = {};  // of the next frame
  std::size_t have_ = 0;                      // of it
  std::size_t block_bytes_ = 0;
  absl::Time block_since_ = absl::InfiniteFuture();
  double tokens_;
  double earned_ = 0;  // frames
  absl::Time filled_ = absl::InfinitePast();
};

}  // namespace heed
