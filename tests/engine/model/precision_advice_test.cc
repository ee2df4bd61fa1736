// model.json's `precision`: what is measured passes whole, each fault gets one line of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>

#include "engine/model/check_precision_advice.h"
#include "engine/model/json_message.h"
#include "engine/model/spec.h"
#include "tests/support/test_models.h"

namespace heed {
namespace {

using model::v1::PrecisionAdvice;
using ::testing::StartsWith;

constexpr char kAdvice[] = R"({
  "recommended": ["int8", "bfloat16"], "test_set": "docs/test", "lines": 3109, "by": "heed-server 0.1.0, AVX2_VNNI",
  "measured": [
    {"precision": "float32", "metrics": {"BLEU": 36.75, "chrF": 62.0}, "same_lines": 1},
    {"precision": "bfloat16", "metrics": {"BLEU": 36.7, "chrF": 62.0}, "same_lines": 0.97},
    {"precision": "int8", "metrics": {"BLEU": 36.6, "chrF": 61.9}, "same_lines": 0.86},
    {"precision": "int8", "shortlist": true, "metrics": {"BLEU": 36.5, "chrF": 61.8}, "same_lines": 0}]})";

// With a shortlist.
model::v1::ModelSpec Advised() {
  BundleBuilder builder = NoAttention();
  builder.spec().mutable_shortlist()->set_file("lex.bin");
  const absl::Status parsed = ParseJsonMessage(kAdvice, builder.spec().mutable_precision());
  EXPECT_TRUE(parsed.ok()) << parsed;
  return builder.spec();
}

TEST(PrecisionAdvice, PassesWhatWasMeasuredAndWhatIsRecommendedAlone) {
  EXPECT_TRUE(CheckPrecisionAdvice(NoAttention().spec()).ok()) << "none";
  const absl::Status status = CheckPrecisionAdvice(Advised());
  EXPECT_TRUE(status.ok()) << status;
  model::v1::ModelSpec alone = NoAttention().spec();
  alone.mutable_precision()->add_recommended("int8");
  EXPECT_TRUE(CheckPrecisionAdvice(alone).ok());
}

struct Fault {
  std::function<void(PrecisionAdvice*)> change;
  const char* message;  // after "model.json: precision."
};

TEST(PrecisionAdvice, RefusesEachFault) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto cell = [](PrecisionAdvice* a, int i) { return a->mutable_measured(i); };
  const Fault faults[] = {
      {[](auto* a) { a->clear_recommended(); },
       "recommended is empty, expected float32, bfloat16 or int8, or no precision at all"},
      {[](auto* a) { a->set_recommended(1, "int4"); },
       "recommended[1] is \"int4\", expected float32, bfloat16 or int8"},
      {[](auto* a) { a->set_recommended(1, "int8"); }, "recommended[1] is \"int8\" a second time"},
      {[](auto* a) { a->clear_measured(); }, "measured is empty, and test_set, lines or by is given"},
      {[](auto* a) { a->clear_test_set(); }, "test_set is \"\", expected 1 to 200 bytes, one line of text"},
      {[](auto* a) { a->set_test_set("a\nb"); }, "test_set is \"a\\x0ab\", expected 1 to 200 bytes, one line of text"},
      {[](auto* a) { a->set_lines(0); }, "lines is 0, expected 1 to 2147483647"},
      {[](auto* a) { a->set_by(std::string(201, 'x')); }, "by is \"xxx"},
      {[&](auto* a) { cell(a, 1)->set_precision("bf16"); },
       "measured[1].precision is \"bf16\", expected float32, bfloat16 or int8"},
      {[&](auto* a) { cell(a, 1)->set_precision("float32"); },
       "measured[1] is \"float32\" without a shortlist a second time"},
      {[&](auto* a) { cell(a, 2)->set_shortlist(true); }, "measured[3] is \"int8\" with a shortlist a second time"},
      {[&](auto* a) { cell(a, 0)->set_shortlist(true); },
       "measured lacks float32 without a shortlist, which the others are compared with"},
      {[&](auto* a) { cell(a, 1)->set_shortlist(true); },
       "recommended[1] is \"bfloat16\", which is not among measured"},
      {[&](auto* a) { cell(a, 3)->clear_metrics(); }, "measured[3].metrics has 0 entries, expected 1 to 16"},
      {[&](auto* a) { (*cell(a, 0)->mutable_metrics())[""] = 1; },
       "measured[0].metrics: a name is \"\", expected 1 to 64 bytes, one line of text"},
      {[&](auto* a) { (*cell(a, 0)->mutable_metrics())["BLEU"] = nan; },
       "measured[0].metrics \"BLEU\" is nan, expected a finite number"},
      {[&](auto* a) { cell(a, 2)->clear_same_lines(); }, "measured[2].same_lines is missing"},
      {[&](auto* a) { cell(a, 2)->set_same_lines(1.5); }, "measured[2].same_lines is 1.5, expected 0 to 1"},
      {[&](auto* a) { cell(a, 2)->set_same_lines(nan); }, "measured[2].same_lines is nan, expected 0 to 1"},
  };
  for (const Fault& fault : faults) {
    model::v1::ModelSpec spec = Advised();
    fault.change(spec.mutable_precision());
    const absl::Status status = CheckPrecisionAdvice(spec);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << fault.message;
    EXPECT_THAT(std::string(status.message()), StartsWith(std::string("model.json: precision.") + fault.message));
  }
}

TEST(PrecisionAdvice, IsCheckedWithTheSpecAndItsShortlistNeedsTheModels) {
  BundleBuilder builder = NoAttention();
  *builder.spec().mutable_precision() = Advised().precision();
  EXPECT_EQ(CheckSpec(builder.spec()).message(),
            "model.json: precision.measured[3].shortlist is true, and the model has none");
  const auto parsed = ParseSpec(R"({"precision": {"recommended": ["int8"], "because": "it is fast"}})");
  EXPECT_THAT(std::string(parsed.status().message()), StartsWith("model.json: "));
  EXPECT_THAT(std::string(parsed.status().message()), ::testing::HasSubstr("because"));
}

}  // namespace
}  // namespace heed
