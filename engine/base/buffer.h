// A zero-initialised array of floats, 64-byte aligned, of a size fixed at construction: what kernels read and write.
// Large ones ask for huge pages: weights are streamed at every step, and with 4 KiB pages their address look-ups cost
// as much as their bytes.
//
// Not thread-safe; move-only.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

namespace heed {

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t size) : size_(size) {
    if (size == 0) return;
    const std::size_t bytes = size * sizeof(float);
    const bool huge = bytes >= kHugePage;
    // The aligned operator delete needs the alignment that new had.
    data_ = {static_cast<float*>(::operator new(bytes, Align(huge))), Free{huge}};
    // A hint: where it is refused the pages are small.
    if (huge) madvise(data_.get(), bytes, MADV_HUGEPAGE);
    std::memset(data_.get(), 0, bytes);
  }

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  static constexpr std::size_t kHugePage = std::size_t{2} << 20;
  static constexpr std::align_val_t Align(bool huge) { return std::align_val_t{huge ? kHugePage : 64}; }
  struct Free {
    bool huge;
    void operator()(float* p) const { ::operator delete(p, Align(huge)); }
  };
  std::unique_ptr<float, Free> data_{nullptr, Free{false}};
  std::size_t size_ = 0;
};

}  // namespace heed
