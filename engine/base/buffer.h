// A zero-initialised array of floats, 64-byte aligned, of a size fixed at construction: what kernels read and write.
//
// Not thread-safe; move-only.
#pragma once

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
    data_.reset(static_cast<float*>(::operator new(size * sizeof(float), kAlign)));
    std::memset(data_.get(), 0, size * sizeof(float));
  }

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  static constexpr std::align_val_t kAlign{64};
  struct Free {
    void operator()(float* p) const { ::operator delete(p, kAlign); }
  };
  std::unique_ptr<float, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace heed
