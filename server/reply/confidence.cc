#include "server/reply/confidence.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace heed {
namespace {

constexpr double kLeastLogProbability = -100;

using Curve = google::protobuf::RepeatedPtrField<model::v1::CurvePoint>;

// Straight lines between the points of a curve from (0, 0) to (1, 1).
double OnCurve(const Curve& curve, double x) {
  if (curve.empty()) return x;
  double x0 = 0, y0 = 0, x1 = 1, y1 = 1;
  for (const model::v1::CurvePoint& point : curve) {
    if (point.logistic() > x) {
      x1 = point.logistic();
      y1 = point.probability();
      break;
    }
    x0 = point.logistic();
    y0 = point.probability();
  }
  return x1 > x0 ? y0 + (y1 - y0) * (x - x0) / (x1 - x0) : y0;
}

double Probability(const Curve& curve, double z) { return OnCurve(curve, 1 / (1 + std::exp(-z))); }

double Bounded(float log_probability) { return std::max(static_cast<double>(log_probability), kLeastLogProbability); }

double Mean(absl::Span<const float> log_probabilities) {
  double sum = 0;
  for (const float log_probability : log_probabilities) sum += Bounded(log_probability);
  return sum / static_cast<double>(log_probabilities.size());
}

double Least(absl::Span<const float> log_probabilities) {
  return Bounded(*std::min_element(log_probabilities.begin(), log_probabilities.end()));
}

double TokenConfidence(const model::v1::TokenFit& fit, absl::Span<const float> log_probabilities, double mean,
                       std::size_t t) {
  const std::size_t before = t > 0 ? t - 1 : t;
  const double near = Least(log_probabilities.subspan(before, t + 2 - before));  // ends where the hypothesis does
  return Probability(fit.curve(), fit.bias() + fit.log_probability() * Bounded(log_probabilities[t]) +
                                      fit.near_log_probability() * near + fit.mean_log_probability() * mean);
}

}  // namespace

double SegmentConfidence(const model::v1::SegmentFit& fit, absl::Span<const float> log_probabilities,
                         int source_tokens) {
  const auto tokens = static_cast<double>(log_probabilities.size());
  return Probability(fit.curve(), fit.bias() + fit.mean_log_probability() * Mean(log_probabilities) +
                                      fit.least_log_probability() * Least(log_probabilities) +
                                      fit.log_length() * std::log(tokens) +
                                      fit.log_length_ratio() * std::log(tokens / source_tokens));
}

double TokenConfidence(const model::v1::TokenFit& fit, absl::Span<const float> log_probabilities, std::size_t t) {
  return TokenConfidence(fit, log_probabilities, Mean(log_probabilities), t);
}

void AddConfidence(const model::v1::Confidence& calibration, int source_tokens, v1::Hypothesis* hypothesis) {
  const auto& tokens = hypothesis->tokens();
  std::vector<float> log_probabilities;
  log_probabilities.reserve(static_cast<std::size_t>(tokens.size()));
  for (const v1::Token& token : tokens) log_probabilities.push_back(token.log_probability());
  const bool says = std::any_of(tokens.begin(), tokens.end(), [](const v1::Token& token) { return !token.special(); });
  const bool whole = hypothesis->finish_reason() == v1::FINISH_REASON_EOS;
  const double confidence =
      says && whole ? SegmentConfidence(calibration.segment(), log_probabilities, source_tokens) : 0;
  hypothesis->set_confidence(static_cast<float>(confidence));
  hypothesis->set_doubtful(confidence < calibration.doubtful());
  if (!calibration.has_token() || !says) return;
  const double mean = Mean(log_probabilities);
  for (int t = 0; t < tokens.size(); ++t) {
    v1::Token* const token = hypothesis->mutable_tokens(t);
    if (token->special()) continue;
    token->set_confidence(
        static_cast<float>(TokenConfidence(calibration.token(), log_probabilities, mean, static_cast<std::size_t>(t))));
  }
}

std::optional<v1::SourceCoverage> CoverageOf(const ServedModel& model, absl::Span<const v1::Token> source) {
  if (!model.coverage.has_value()) return std::nullopt;
  std::vector<TokenId> ids;
  ids.reserve(source.size());
  for (const v1::Token& token : source) ids.push_back(token.id());
  const std::optional<double> share = model.coverage->Share(ids);
  if (!share.has_value()) return std::nullopt;
  const double least = model.spec.source_scripts().least_share();
  v1::SourceCoverage coverage;
  coverage.set_share(static_cast<float>(*share));
  coverage.set_least_share(static_cast<float>(least));
  coverage.set_low(*share < least);
  return coverage;
}

}  // namespace heed
