#include "engine/run/job.h"

namespace heed {

bool ValidCopyIds(const std::vector<TokenId>& copy_ids, std::size_t source_tokens, int vocabulary) {
  TokenId next = vocabulary;  // the id that the next own piece gets
  for (const TokenId id : copy_ids) {
    if (id < 0 || id > next) return false;
    if (id == next) ++next;
  }
  return copy_ids.size() == source_tokens;
}

}  // namespace heed
