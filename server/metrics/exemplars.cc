#include "server/metrics/exemplars.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace heed {
namespace {

// "VERSION-TRACE-PARENT-FLAGS"; later versions may go on after another "-".
constexpr std::size_t kTrace = 3, kTraceSize = 32, kParent = 36, kFlags = 53, kSize = 55;

bool IsHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'f');
  });
}

bool IsZero(absl::string_view text) { return text.find_first_not_of('0') == absl::string_view::npos; }

int HexValue(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

}  // namespace

void Exemplars::Keep(absl::string_view trace_id, double value, absl::Time time) {
  const auto bucket = std::lower_bound(bounds_->begin(), bounds_->end(), value) - bounds_->begin();
  absl::MutexLock lock(&mu_);
  Exemplar& kept = buckets_[static_cast<std::size_t>(bucket)];
  kept.trace_id.assign(trace_id.data(), trace_id.size());
  kept.value = value;
  kept.time = time;
}

std::vector<Exemplar> Exemplars::Get() const {
  absl::MutexLock lock(&mu_);
  return buckets_;
}

std::string TraceIdOf(absl::string_view traceparent) {
  const absl::string_view all = absl::StripAsciiWhitespace(traceparent);
  if (all.size() < kSize || all[kTrace - 1] != '-' || all[kParent - 1] != '-' || all[kFlags - 1] != '-') return "";
  const absl::string_view version = all.substr(0, kTrace - 1), trace = all.substr(kTrace, kTraceSize),
                          parent = all.substr(kParent, kFlags - 1 - kParent), flags = all.substr(kFlags, 2);
  if (!IsHex(version) || !IsHex(trace) || !IsHex(parent) || !IsHex(flags) || version == "ff") return "";
  if (version == "00" ? all.size() != kSize : all.size() > kSize && all[kSize] != '-') return "";
  const bool recorded = HexValue(flags[1]) % 2 == 1;
  if (IsZero(trace) || IsZero(parent) || !recorded) return "";
  return std::string(trace);
}

}  // namespace heed
