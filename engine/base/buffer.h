// A zero-initialised array of floats, 64-byte aligned, of a size fixed at construction: what kernels read and write.
// Large ones ask for huge pages: weights are streamed at every step, and with 4 KiB pages their address look-ups cost
// as much as their bytes.
//
// Where there is no memory it throws std::bad_alloc, as a vector does; loading ends there with a status.
//
// Not thread-safe; move-only.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>

#include "engine/base/saturating.h"

namespace heed {

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t size) : size_(size) {
    if (size == 0) return;
    if (size > std::numeric_limits<std::size_t>::max() / sizeof(float)) throw std::bad_alloc();
    const std::size_t bytes = size * sizeof(float);
    const bool huge = bytes >= kHugePage;
    // The aligned operator delete needs the alignment that new had.
    data_ = {static_cast<float*>(::operator new(bytes, Align(huge))), Free{huge}};
    // A hint: where it is refused the pages are small.
    if (huge) madvise(data_.get(), bytes, MADV_HUGEPAGE);
    std::memset(data_.get(), 0, bytes);
  }

  // Memory that one of so many floats takes: large ones whole huge pages.
  static constexpr std::int64_t Bytes(std::size_t floats) {
    const std::int64_t bytes = SaturatingMultiply(Saturated(floats), sizeof(float));
    if (bytes < static_cast<std::int64_t>(kHugePage)) return bytes;
    return SaturatingAdd(bytes, kHugePage - 1) / static_cast<std::int64_t>(kHugePage) * kHugePage;
  }

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  friend class BufferMaker;
  static constexpr std::size_t kHugePage = std::size_t{2} << 20;
  static constexpr std::align_val_t Align(bool huge) { return std::align_val_t{huge ? kHugePage : 64}; }
  struct Free {
    bool huge;
    void operator()(float* p) const { ::operator delete(p, Align(huge)); }
  };
  std::unique_ptr<float, Free> data_{nullptr, Free{false}};
  std::size_t size_ = 0;
};

// Makes the buffers of something large, or only adds them up, so that the one list of them says how much memory there
// will be before any is taken.
class BufferMaker {
 public:
  enum class Mode { kMake, kAdd };
  explicit BufferMaker(Mode mode) : mode_(mode) {}

  // A zeroed buffer; where they are only added up, one without memory: data() is null.
  Buffer Make(std::size_t floats) {
    Count(Buffer::Bytes(floats));
    if (mode_ == Mode::kMake) return Buffer(floats);
    Buffer nothing;
    nothing.size_ = floats;
    return nothing;
  }
  // Memory that is taken elsewhere.
  void Count(std::int64_t bytes) { bytes_ = SaturatingAdd(bytes_, bytes); }

  bool makes() const { return mode_ == Mode::kMake; }
  std::int64_t bytes() const { return bytes_; }

 private:
  const Mode mode_;
  std::int64_t bytes_ = 0;
};

}  // namespace heed
