// Who decides in which precision a model is served, and what is said of it.
#include "server/models/precision.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"

namespace heed {
namespace {

model::v1::ModelSpec Spec(const std::vector<std::string>& recommended) {
  model::v1::ModelSpec spec;
  spec.set_name("koen");
  spec.set_version("2");
  for (const std::string& name : recommended) spec.mutable_precision()->add_recommended(name);
  return spec;
}

const MachinePrecision& Full() {
  static const auto* machine = new MachinePrecision();
  return *machine;
}

MachinePrecision Old() {
  return {.bfloat16 = absl::FailedPreconditionError("bfloat16 needs AVX512_BF16"),
          .int8 = absl::FailedPreconditionError("int8 needs VNNI")};
}

PrecisionSettings All(std::optional<Precision> precision) { return {.all = precision, .models = {}, .file = ""}; }

ChosenPrecision Chosen(const model::v1::ModelSpec& spec, const PrecisionSettings& settings,
                       const MachinePrecision& machine) {
  const auto chosen = ChoosePrecision(spec, settings, machine);
  EXPECT_TRUE(chosen.ok()) << chosen.status();
  return chosen.ok() ? *chosen : ChosenPrecision();
}

TEST(ChoosePrecision, AutoIsFloat32WithoutAdvice) {
  const ChosenPrecision chosen = Chosen(Spec({}), All(std::nullopt), Full());
  EXPECT_EQ(chosen.precision, Precision::kFloat32);
  EXPECT_EQ(chosen.note, "");
}

TEST(ChoosePrecision, AutoTakesTheFirstRecommendedThatTheMachineHas) {
  EXPECT_EQ(Chosen(Spec({"int8", "bfloat16"}), {}, Full()).precision, Precision::kInt8);
  EXPECT_EQ(Chosen(Spec({"bfloat16", "int8"}), {}, Full()).precision, Precision::kBfloat16);
  EXPECT_EQ(Chosen(Spec({"float32", "int8"}), {}, Full()).precision, Precision::kFloat32);
  EXPECT_EQ(Chosen(Spec({"int8", "bfloat16"}), {}, Full()).note, "");
  MachinePrecision machine;
  machine.int8 = absl::FailedPreconditionError("int8 needs VNNI");
  const ChosenPrecision chosen = Chosen(Spec({"int8", "bfloat16"}), {}, machine);
  EXPECT_EQ(chosen.precision, Precision::kBfloat16);
  EXPECT_EQ(chosen.note, "the bundle recommends int8: int8 needs VNNI");
}

TEST(ChoosePrecision, AutoFallsBackToFloat32AndSaysWhy) {
  const ChosenPrecision chosen = Chosen(Spec({"int8", "bfloat16"}), {}, Old());
  EXPECT_EQ(chosen.precision, Precision::kFloat32);
  EXPECT_EQ(chosen.note,
            "the bundle recommends int8: int8 needs VNNI; the bundle recommends bfloat16: bfloat16 needs AVX512_BF16");
}

TEST(ChoosePrecision, TheOperatorsWordCountsWhateverTheBundleAdvises) {
  EXPECT_EQ(Chosen(Spec({"int8"}), All(Precision::kFloat32), Full()).precision, Precision::kFloat32);
  EXPECT_EQ(Chosen(Spec({}), All(Precision::kInt8), Full()).precision, Precision::kInt8);
  EXPECT_EQ(Chosen(Spec({"float32"}), All(Precision::kBfloat16), Full()).precision, Precision::kBfloat16);
}

TEST(ChoosePrecision, BFloat16ThatTheMachineLacksIsRefusedNamingWhoAsksAndTheInstruction) {
  PrecisionSettings settings = All(Precision::kBfloat16);
  absl::Status status = ChoosePrecision(Spec({}), settings, Old()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(),
            "model koen 2 cannot be served in bfloat16, as --precision says: bfloat16 needs AVX512_BF16");
  settings = All(Precision::kFloat32);
  settings.file = "settings.json";
  settings.models.push_back({.name = "koen", .version = std::nullopt, .precision = Precision::kBfloat16});
  status = ChoosePrecision(Spec({}), settings, Old()).status();
  EXPECT_EQ(status.message(),
            "model koen 2 cannot be served in bfloat16, as --model_settings settings.json says: bfloat16 needs "
            "AVX512_BF16");
}

TEST(ChoosePrecision, Int8Of7BitsIsServedWhereAskedForAndSaid) {
  const ChosenPrecision chosen = Chosen(Spec({}), All(Precision::kInt8), Old());
  EXPECT_EQ(chosen.precision, Precision::kInt8);
  EXPECT_EQ(chosen.note, "int8 needs VNNI");
}

TEST(ChoosePrecision, ASettingOfTheVersionComesBeforeOneOfTheNameAndBothBeforeTheFlag) {
  PrecisionSettings settings = All(Precision::kFloat32);
  settings.models = {{.name = "other", .version = std::nullopt, .precision = Precision::kFloat32},
                     {.name = "koen", .version = "2", .precision = Precision::kInt8},
                     {.name = "koen", .version = "3", .precision = Precision::kFloat32},
                     {.name = "koen", .version = std::nullopt, .precision = Precision::kBfloat16}};
  model::v1::ModelSpec spec = Spec({});
  EXPECT_EQ(Chosen(spec, settings, Full()).precision, Precision::kInt8);
  spec.set_version("9");
  EXPECT_EQ(Chosen(spec, settings, Full()).precision, Precision::kBfloat16);
  spec.set_name("third");
  EXPECT_EQ(Chosen(spec, settings, Full()).precision, Precision::kFloat32);
  settings.models[1].precision = std::nullopt;
  EXPECT_EQ(Chosen(Spec({"bfloat16"}), settings, Full()).precision, Precision::kBfloat16) << "auto, by the advice";
}

TEST(MachinePrecision, ThatOfThisMachineSaysWhatItsProductsRunOn) {
  const MachinePrecision here = MachinePrecision::Here();
  for (const absl::Status& status : {here.bfloat16, here.int8}) {
    EXPECT_TRUE(status.ok() || absl::StrContains(status.message(), "products run on ")) << status;
  }
}

}  // namespace
}  // namespace heed
