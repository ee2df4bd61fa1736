#include "engine/model/check_confidence.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "engine/model/spec_fault.h"

namespace heed {
namespace {

using model::v1::Confidence;
using model::v1::CurvePoint;
using model::v1::SegmentFit;
using model::v1::SourceScripts;
using model::v1::TokenFit;

constexpr std::size_t kMaxTextBytes = 200;
constexpr double kMaxWeight = 1000;
constexpr int kMaxPoints = 64;
constexpr int kMaxScripts = 16;

template <typename... Args>
absl::Status Missing(const Args&... field) {
  return SpecFault(field..., " is missing");
}

absl::Status CheckWeight(absl::string_view field, double weight) {
  return CheckRange(field, weight, -kMaxWeight, kMaxWeight);
}

absl::Status CheckCurve(const std::string& field, const google::protobuf::RepeatedPtrField<CurvePoint>& curve) {
  if (curve.size() > kMaxPoints) {
    return SpecFault(field, " has ", curve.size(), " points, expected at most ", kMaxPoints);
  }
  for (int i = 0; i < curve.size(); ++i) {
    const std::string point = absl::StrCat(field, "[", i, "].");
    HEED_RETURN_IF_ERROR(CheckRange(point + "logistic", curve[i].logistic(), 0, 1));
    HEED_RETURN_IF_ERROR(CheckRange(point + "probability", curve[i].probability(), 0, 1));
    if (i == 0) continue;
    if (curve[i].logistic() <= curve[i - 1].logistic()) {
      return SpecFault(point, "logistic is ", curve[i].logistic(), ", expected more than ", curve[i - 1].logistic(),
                       ", which the point before has");
    }
    if (curve[i].probability() < curve[i - 1].probability()) {
      return SpecFault(point, "probability is ", curve[i].probability(), ", expected ", curve[i - 1].probability(),
                       " at least, which the point before has");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSegmentFit(const SegmentFit& fit) {
  if (!fit.has_bias()) return Missing("confidence.segment.bias");
  HEED_RETURN_IF_ERROR(CheckWeight("confidence.segment.bias", fit.bias()));
  HEED_RETURN_IF_ERROR(CheckWeight("confidence.segment.mean_log_probability", fit.mean_log_probability()));
  HEED_RETURN_IF_ERROR(CheckWeight("confidence.segment.least_log_probability", fit.least_log_probability()));
  HEED_RETURN_IF_ERROR(CheckWeight("confidence.segment.log_length", fit.log_length()));
  HEED_RETURN_IF_ERROR(CheckWeight("confidence.segment.log_length_ratio", fit.log_length_ratio()));
  return CheckCurve("confidence.segment.curve", fit.curve());
}

absl::Status CheckTokenFit(const TokenFit& fit) {
  if (!fit.has_bias()) return Missing("confidence.token.bias");
  HEED_RETURN_IF_ERROR(CheckWeight("confidence.token.bias", fit.bias()));
  HEED_RETURN_IF_ERROR(CheckWeight("confidence.token.log_probability", fit.log_probability()));
  HEED_RETURN_IF_ERROR(CheckWeight("confidence.token.near_log_probability", fit.near_log_probability()));
  HEED_RETURN_IF_ERROR(CheckWeight("confidence.token.mean_log_probability", fit.mean_log_probability()));
  return CheckCurve("confidence.token.curve", fit.curve());
}

// As ISO 15924 writes them: "Hang".
bool IsScriptCode(absl::string_view code) {
  return code.size() == 4 && absl::ascii_isupper(static_cast<unsigned char>(code[0])) &&
         std::all_of(code.begin() + 1, code.end(), [](unsigned char c) { return absl::ascii_islower(c); });
}

}  // namespace

absl::Status CheckConfidence(const model::v1::ModelSpec& spec) {
  if (!spec.has_confidence()) return absl::OkStatus();
  const Confidence& confidence = spec.confidence();
  HEED_RETURN_IF_ERROR(CheckLine("confidence.right", confidence.right(), kMaxTextBytes));
  HEED_RETURN_IF_ERROR(CheckLine("confidence.fitted_on", confidence.fitted_on(), kMaxTextBytes));
  HEED_RETURN_IF_ERROR(CheckRange("confidence.lines", confidence.lines(), 1, std::numeric_limits<std::int32_t>::max()));
  if (!confidence.has_segment()) return Missing("confidence.segment");
  HEED_RETURN_IF_ERROR(CheckSegmentFit(confidence.segment()));
  if (confidence.has_token()) HEED_RETURN_IF_ERROR(CheckTokenFit(confidence.token()));
  if (!confidence.has_doubtful()) return Missing("confidence.doubtful");
  return CheckRange("confidence.doubtful", confidence.doubtful(), 0, 1);
}

absl::Status CheckSourceScripts(const model::v1::ModelSpec& spec) {
  if (!spec.has_source_scripts()) return absl::OkStatus();
  const SourceScripts& scripts = spec.source_scripts();
  if (scripts.scripts_size() < 1 || scripts.scripts_size() > kMaxScripts) {
    return SpecFault("source_scripts.scripts has ", scripts.scripts_size(), " entries, expected 1 to ", kMaxScripts);
  }
  std::set<std::string> seen;
  for (int i = 0; i < scripts.scripts_size(); ++i) {
    const std::string& code = scripts.scripts(i);
    const std::string field = absl::StrCat("source_scripts.scripts[", i, "]");
    if (!IsScriptCode(code)) return SpecFault(field, " is ", Quote(code), ", expected an ISO 15924 code, \"Hang\"");
    if (!seen.insert(code).second) return SpecFault(field, " is ", Quote(code), " a second time");
  }
  if (!scripts.has_least_share()) return Missing("source_scripts.least_share");
  return CheckRange("source_scripts.least_share", scripts.least_share(), 0, 1);
}

}  // namespace heed
