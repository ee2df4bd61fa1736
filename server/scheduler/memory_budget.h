// The memory that started requests of all models may take together, until they are answered.
//
// It is leased with a request's first start. A request that is next but lacks it claims it: from then only what is left
// beside older claims is leased, whatever the class and model, so a large request cannot starve. Those that have their
// lease go on meanwhile, or none might ever be given back.
//
// Not thread-safe: the scheduler's lock guards it.
#pragma once

#include <cstdint>
#include <vector>

namespace heed {

using RequestId = std::int64_t;

class MemoryBudget {
 public:
  explicit MemoryBudget(std::int64_t bytes) : bytes_(bytes) {}

  // Whether the request, which is next, may have so much now; where not, it has a claim from now on.
  bool MayLease(RequestId request, std::int64_t bytes);
  // It starts: it has them until they are given back, and no claim any more.
  void Lease(RequestId request, std::int64_t bytes);
  void GiveBack(std::int64_t bytes) { leased_ -= bytes; }
  // It will not start.
  void DropClaim(RequestId request);

  std::int64_t leased() const { return leased_; }

 private:
  struct Claim {
    RequestId request = 0;
    std::int64_t bytes = 0;
  };
  const std::int64_t bytes_;
  std::int64_t leased_ = 0;
  std::vector<Claim> claims_;  // oldest first; at most one of each class of a model
};

}  // namespace heed
