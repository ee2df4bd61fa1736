#include "engine/model/check_precision_advice.h"

#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/precision.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "engine/model/spec_fault.h"

namespace heed {
namespace {

using model::v1::MeasuredPrecision;
using model::v1::PrecisionAdvice;

constexpr char kNames[] = "float32, bfloat16 or int8";
constexpr std::size_t kMaxTextBytes = 200;
constexpr std::size_t kMaxNameBytes = 64;
constexpr int kMaxMetrics = 16;

template <typename... Args>
absl::Status Fault(const Args&... what) {
  return SpecFault("precision.", what...);
}

absl::Status CheckName(absl::string_view field, const std::string& name) {
  if (PrecisionNamed(name).has_value()) return absl::OkStatus();
  return Fault(field, " is ", Quote(name), ", expected ", kNames);
}

absl::Status CheckRecommended(const PrecisionAdvice& advice) {
  if (advice.recommended().empty()) {
    return Fault("recommended is empty, expected ", kNames, ", or no precision at all");
  }
  std::set<std::string> seen;
  for (int i = 0; i < advice.recommended_size(); ++i) {
    const std::string field = absl::StrCat("recommended[", i, "]");
    HEED_RETURN_IF_ERROR(CheckName(field, advice.recommended(i)));
    if (!seen.insert(advice.recommended(i)).second) {
      return Fault(field, " is ", Quote(advice.recommended(i)), " a second time");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckMeasured(const std::string& field, const MeasuredPrecision& one, bool has_shortlist) {
  HEED_RETURN_IF_ERROR(CheckName(field + ".precision", one.precision()));
  if (one.shortlist() && !has_shortlist) return Fault(field, ".shortlist is true, and the model has none");
  const auto metrics = static_cast<int>(one.metrics().size());
  if (metrics < 1 || metrics > kMaxMetrics) {
    return Fault(field, ".metrics has ", metrics, " entries, expected 1 to ", kMaxMetrics);
  }
  for (const auto& [name, value] : one.metrics()) {
    HEED_RETURN_IF_ERROR(CheckLine(absl::StrCat("precision.", field, ".metrics: a name"), name, kMaxNameBytes));
    if (!std::isfinite(value)) {
      return Fault(field, ".metrics ", Quote(name), " is ", value, ", expected a finite number");
    }
  }
  if (!one.has_same_lines()) return Fault(field, ".same_lines is missing");
  return CheckRange(absl::StrCat("precision.", field, ".same_lines"), one.same_lines(), 0, 1);
}

absl::Status CheckAllMeasured(const PrecisionAdvice& advice, bool has_shortlist) {
  std::set<std::pair<std::string, bool>> seen;
  for (int i = 0; i < advice.measured_size(); ++i) {
    const MeasuredPrecision& one = advice.measured(i);
    const std::string field = absl::StrCat("measured[", i, "]");
    HEED_RETURN_IF_ERROR(CheckMeasured(field, one, has_shortlist));
    if (!seen.emplace(one.precision(), one.shortlist()).second) {
      return Fault(field, " is ", Quote(one.precision()), one.shortlist() ? " with" : " without",
                   " a shortlist a second time");
    }
  }
  const std::string base(PrecisionName(Precision::kFloat32));
  if (!seen.contains({base, false})) {
    return Fault("measured lacks ", base, " without a shortlist, which the others are compared with");
  }
  for (int i = 0; i < advice.recommended_size(); ++i) {
    if (seen.contains({advice.recommended(i), false})) continue;
    return Fault("recommended[", i, "] is ", Quote(advice.recommended(i)), ", which is not among measured");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPrecisionAdvice(const model::v1::ModelSpec& spec) {
  if (!spec.has_precision()) return absl::OkStatus();
  const PrecisionAdvice& advice = spec.precision();
  HEED_RETURN_IF_ERROR(CheckRecommended(advice));
  if (advice.measured().empty()) {
    if (advice.test_set().empty() && advice.lines() == 0 && advice.by().empty()) return absl::OkStatus();
    return Fault("measured is empty, and test_set, lines or by is given");
  }
  HEED_RETURN_IF_ERROR(CheckLine("precision.test_set", advice.test_set(), kMaxTextBytes));
  HEED_RETURN_IF_ERROR(CheckRange("precision.lines", advice.lines(), 1, std::numeric_limits<std::int32_t>::max()));
  HEED_RETURN_IF_ERROR(CheckLine("precision.by", advice.by(), kMaxTextBytes));
  return CheckAllMeasured(advice, spec.has_shortlist());
}

}  // namespace heed
