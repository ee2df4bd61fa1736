// A product as oneDNN alone does it, without what heed adds (rounding in, scaling out, bias): what the machine and its
// library would give, the bound that kernel_bench and peers.py hold heed to.
//
// y = x W^T with W packed as oneDNN likes it for that number of rows: float32, bfloat16 to float32, or u8 times s8 to
// int32. Values do not matter to speed; they are small and not denormal.
//
// Not thread-safe: one thread, on which oneDNN runs single-threaded from then on.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "engine/base/precision.h"

namespace heed {

struct ProductShape {
  int k = 0, n = 0;
};

class BareProduct {
 public:
  // Throws dnnl::error where oneDNN has no such product here.
  BareProduct(ProductShape shape, int rows, Precision precision);
  ~BareProduct();
  BareProduct(BareProduct&&) noexcept;

  void Run();
  std::size_t weight_bytes() const;
  // oneDNN's name of what it runs.
  std::string implementation() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace heed
