// model.json's `confidence` and `source_scripts`: what is whole passes, each fault gets one line of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>

#include "engine/model/check_confidence.h"
#include "engine/model/json_message.h"
#include "engine/model/spec.h"
#include "tests/support/test_models.h"

namespace heed {
namespace {

using model::v1::ModelSpec;

constexpr char kConfidence[] = R"({
  "right": "the reference's very words", "fitted_on": "docs/valid", "lines": 1994, "doubtful": 0.3,
  "segment": {"bias": 2, "mean_log_probability": 1000, "log_length": -1000,
    "curve": [{"logistic": 0, "probability": 0.1}, {"logistic": 0.5, "probability": 0.1}, {"logistic": 1, "probability": 1}]},
  "token": {"bias": 0, "near_log_probability": 0.5, "curve": [{"logistic": 0.5, "probability": 0.5}]}})";
constexpr char kScripts[] = R"({"scripts": ["Hang", "Hani"], "least_share": 0})";

ModelSpec Calibrated() {
  ModelSpec spec = NoAttention().spec();
  EXPECT_TRUE(ParseJsonMessage(kConfidence, spec.mutable_confidence()).ok());
  EXPECT_TRUE(ParseJsonMessage(kScripts, spec.mutable_source_scripts()).ok());
  return spec;
}

TEST(Confidence, PassesWhatIsWholeAndWhatIsNotThere) {
  EXPECT_TRUE(CheckSpec(NoAttention().spec()).ok());
  ModelSpec spec = Calibrated();
  EXPECT_TRUE(CheckSpec(spec).ok()) << CheckSpec(spec);
  spec.mutable_confidence()->clear_token();
  EXPECT_TRUE(CheckSpec(spec).ok()) << "tokens need no calibration";
}

struct Fault {
  std::function<void(ModelSpec*)> change;
  const char* message;  // after "model.json: "
};

TEST(Confidence, RefusesEachFaultWithFieldValueAndBound) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  const auto confidence = [](ModelSpec* s) { return s->mutable_confidence(); };
  const auto segment = [](ModelSpec* s) { return s->mutable_confidence()->mutable_segment(); };
  const auto token = [](ModelSpec* s) { return s->mutable_confidence()->mutable_token(); };
  const auto scripts = [](ModelSpec* s) { return s->mutable_source_scripts(); };
  const Fault faults[] = {
      {[&](auto* s) { confidence(s)->clear_right(); },
       "confidence.right is \"\", expected 1 to 200 bytes, one line of text"},
      {[&](auto* s) { confidence(s)->set_fitted_on("a\nb"); },
       "confidence.fitted_on is \"a\\x0ab\", expected 1 to 200 bytes, one line of text"},
      {[&](auto* s) { confidence(s)->set_lines(0); }, "confidence.lines is 0, expected 1 to 2147483647"},
      {[&](auto* s) { confidence(s)->clear_segment(); }, "confidence.segment is missing"},
      {[&](auto* s) { segment(s)->clear_bias(); }, "confidence.segment.bias is missing"},
      {[&](auto* s) { segment(s)->set_bias(nan); }, "confidence.segment.bias is nan, expected -1000 to 1000"},
      {[&](auto* s) { segment(s)->set_mean_log_probability(1000.5); },
       "confidence.segment.mean_log_probability is 1000.5, expected -1000 to 1000"},
      {[&](auto* s) { segment(s)->set_least_log_probability(-infinity); },
       "confidence.segment.least_log_probability is -inf, expected -1000 to 1000"},
      {[&](auto* s) { segment(s)->set_log_length(-1001); },
       "confidence.segment.log_length is -1001, expected -1000 to 1000"},
      {[&](auto* s) { segment(s)->set_log_length_ratio(infinity); },
       "confidence.segment.log_length_ratio is inf, expected -1000 to 1000"},
      {[&](auto* s) { segment(s)->mutable_curve(1)->set_logistic(0); },
       "confidence.segment.curve[1].logistic is 0, expected more than 0, which the point before has"},
      {[&](auto* s) { segment(s)->mutable_curve(1)->set_probability(0.05); },
       "confidence.segment.curve[1].probability is 0.05, expected 0.1 at least, which the point before has"},
      {[&](auto* s) {
         for (int i = 0; i < 62; ++i) segment(s)->add_curve();
       },
       "confidence.segment.curve has 65 points, expected at most 64"},
      {[&](auto* s) { token(s)->mutable_curve(0)->set_logistic(nan); },
       "confidence.token.curve[0].logistic is nan, expected 0 to 1"},
      {[&](auto* s) { token(s)->mutable_curve(0)->set_probability(1.1); },
       "confidence.token.curve[0].probability is 1.1, expected 0 to 1"},
      {[&](auto* s) { token(s)->clear_bias(); }, "confidence.token.bias is missing"},
      {[&](auto* s) { token(s)->set_bias(2000); }, "confidence.token.bias is 2000, expected -1000 to 1000"},
      {[&](auto* s) { token(s)->set_log_probability(nan); },
       "confidence.token.log_probability is nan, expected -1000 to 1000"},
      {[&](auto* s) { token(s)->set_near_log_probability(nan); },
       "confidence.token.near_log_probability is nan, expected -1000 to 1000"},
      {[&](auto* s) { token(s)->set_mean_log_probability(nan); },
       "confidence.token.mean_log_probability is nan, expected -1000 to 1000"},
      {[&](auto* s) { confidence(s)->clear_doubtful(); }, "confidence.doubtful is missing"},
      {[&](auto* s) { confidence(s)->set_doubtful(1.5); }, "confidence.doubtful is 1.5, expected 0 to 1"},
      {[&](auto* s) { scripts(s)->clear_scripts(); }, "source_scripts.scripts has 0 entries, expected 1 to 16"},
      {[&](auto* s) {
         for (int i = 0; i < 15; ++i) scripts(s)->add_scripts("Latn");
       },
       "source_scripts.scripts has 17 entries, expected 1 to 16"},
      {[&](auto* s) { scripts(s)->set_scripts(1, "hang"); },
       "source_scripts.scripts[1] is \"hang\", expected an ISO 15924 code, \"Hang\""},
      {[&](auto* s) { scripts(s)->set_scripts(0, "Hangul"); },
       "source_scripts.scripts[0] is \"Hangul\", expected an ISO 15924 code, \"Hang\""},
      {[&](auto* s) { scripts(s)->set_scripts(1, "Hang"); }, "source_scripts.scripts[1] is \"Hang\" a second time"},
      {[&](auto* s) { scripts(s)->clear_least_share(); }, "source_scripts.least_share is missing"},
      {[&](auto* s) { scripts(s)->set_least_share(-0.1); }, "source_scripts.least_share is -0.1, expected 0 to 1"},
      {[&](auto* s) { scripts(s)->set_least_share(nan); }, "source_scripts.least_share is nan, expected 0 to 1"},
  };
  for (const Fault& fault : faults) {
    ModelSpec spec = Calibrated();
    fault.change(&spec);
    const absl::Status status = CheckSpec(spec);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << fault.message;
    EXPECT_EQ(status.message(), std::string("model.json: ") + fault.message);
  }
}

}  // namespace
}  // namespace heed
