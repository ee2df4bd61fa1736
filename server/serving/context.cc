#include "server/serving/context.h"

#include "absl/random/random.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace heed {
namespace {

constexpr std::size_t kMaxRequestId = 64;

bool IsSaneId(absl::string_view id) {
  if (id.empty() || id.size() > kMaxRequestId) return false;
  for (char c : id) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

}  // namespace

std::string RequestIdOf(absl::string_view given) {
  if (IsSaneId(given)) return std::string(given);
  thread_local absl::InsecureBitGen random;
  return absl::StrCat(absl::Hex(random(), absl::kZeroPad16));
}

}  // namespace heed
