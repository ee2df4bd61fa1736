#include "server/scheduler/memory_budget.h"

namespace heed {

bool MemoryBudget::MayLease(RequestId request, std::int64_t bytes) {
  std::int64_t taken = leased_ + bytes;
  bool claimed = false;
  for (const Claim& claim : claims_) {
    claimed = claim.request == request;
    if (claimed) break;
    taken += claim.bytes;
  }
  if (taken <= bytes_) return true;
  if (!claimed) claims_.push_back({request, bytes});
  return false;
}

void MemoryBudget::Lease(RequestId request, std::int64_t bytes) {
  DropClaim(request);
  leased_ += bytes;
}

void MemoryBudget::DropClaim(RequestId request) {
  std::erase_if(claims_, [request](const Claim& claim) { return claim.request == request; });
}

}  // namespace heed
