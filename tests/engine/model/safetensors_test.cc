#include "engine/model/safetensors.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/bundle_folder.h"

namespace heed {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<std::map<std::string, Tensor>> Parse(const std::string& bytes, int max_tensors = 16) {
  return ParseSafetensors("weights.safetensors", bytes, max_tensors);
}

// The fault that a file with this header and `data_bytes` zeros is refused with.
std::string FaultOf(const std::string& header, std::size_t data_bytes) {
  const absl::Status status = Parse(SafetensorsBytes(header, std::string(data_bytes, '\0'))).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << header;
  EXPECT_THAT(std::string(status.message()), ::testing::StartsWith("weights.safetensors: ")) << header;
  EXPECT_EQ(status.message().find('\n'), absl::string_view::npos) << status;
  return std::string(status.message());
}

std::string Floats(const std::vector<float>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
}

TEST(Safetensors, ReadsF32AndWidensBf16) {
  const float one_and_a_half = 1.5f;
  std::string data = Floats({1, -2, 3.25, 4, 5, 6});
  data.append(reinterpret_cast<const char*>(&one_and_a_half) + 2, 2);
  const auto tensors = Parse(
      SafetensorsBytes(R"({"b":{"dtype":"BF16","shape":[1],"data_offsets":[24,26]},)"
                       R"("a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"__metadata__":{"format":"pt"}}  )",
                       data));
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 2u);
  EXPECT_EQ(tensors->at("a").rows(), 2);
  EXPECT_EQ(tensors->at("a").columns(), 3);
  EXPECT_THAT(tensors->at("a").data, ::testing::ElementsAre(1, -2, 3.25, 4, 5, 6));
  EXPECT_EQ(tensors->at("b").name, "b");
  EXPECT_THAT(tensors->at("b").data, ::testing::ElementsAre(1.5f));
}

TEST(Safetensors, RefusesAHeaderThatItsLengthDoesNotFit) {
  EXPECT_THAT(Parse("1234567").status().message(), HasSubstr("7 bytes, expected at least the 8"));
  std::string huge = SafetensorsBytes("{}", "");
  std::memset(huge.data(), 0xff, 8);
  EXPECT_THAT(Parse(huge).status().message(), HasSubstr("header length is 18446744073709551615, but only 2 bytes"));
  EXPECT_THAT(FaultOf("", 8), HasSubstr("expected JSON that starts with {"));
}

TEST(Safetensors, RefusesAHeaderBeyondItsBoundBeforeItIsParsed) {
  const std::string header = "{" + std::string(8 << 20, ' ') + "}";
  EXPECT_THAT(FaultOf(header, 0), HasSubstr("header length is 8388610, more than the bound of 8388608"));
}

// bf16 takes twice its bytes.
TEST(Safetensors, RefusesTensorsThatWouldTakeMoreMemoryThanThereIsForThem) {
  const std::string bytes = SafetensorsBytes(
      R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[24,28]}})",
      std::string(28, '\0'));
  EXPECT_TRUE(ParseSafetensors("w", bytes, 16, 32).ok());
  const absl::Status status = ParseSafetensors("w", bytes, 16, 31).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "w: its tensors need 32 bytes of memory beside the files, more than the bound of 31");
}

TEST(Safetensors, RefusesAHeaderOfAnyOtherForm) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"a":)", "not JSON at byte"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}x)", "not JSON at byte"},
      {R"({"a":[]})", "tensor a: did not expect a list"},
      {R"({"a":4})", "tensor a: did not expect a number"},
      {R"({"a":null})", "tensor a: did not expect null"},
      {R"({"a":{"dtype":{}}})", "tensor a: dtype: did not expect an object"},
      {R"({"a":{"dtype":"F32","shape":[[1]]}})", "tensor a: shape: did not expect a list"},
      {R"({"a":{"dtype":"F32","shape":["1"]}})", "tensor a: shape: did not expect a string"},
      {R"({"a":{"dtype":"F32","shape":[-1]}})", "tensor a: shape: did not expect a negative number"},
      {R"({"a":{"dtype":"F32","shape":[1.0]}})", "tensor a: shape: did not expect a fraction"},
      {R"({"a":{"dtype":"F32","shape":[99999999999999999999]}})", "did not expect a fraction or too large a number"},
      {R"({"a":{"dtype":"F32","shape":[1,2,3]}})", "tensor a: shape: more than 2 numbers"},
      {R"({"a":{"dtype":"F32","shape":[1]}})", "tensor a has no data_offsets"},
      {R"({"a":{"dtype":"F32","dtype":"F32"}})", "tensor a has dtype twice"},
      {R"({"a":{"color":"red"}})", "tensor a has an unknown field \"color\""},
      {R"({"__metadata__":{"a":1}})", "__metadata__: did not expect a number"},
      {R"({"__metadata__":{"a":{}}})", "__metadata__: did not expect an object"},
      {R"({"a b":{}})", "tensor name \"a b\" is not 1 to 200 printable characters"},
      {R"({"":{}})", "tensor name \"\""},
      {"{\"a\xff\":{}}", "not JSON at byte"},
  };
  for (const auto& [header, fault] : cases) EXPECT_THAT(FaultOf(header, 4), HasSubstr(fault)) << header;
}

TEST(Safetensors, RefusesATensorThatTheDataDoesNotHold) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}})", "dtype is \"F16\", expected F32, BF16 or I8"},
      {R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})", "shape has no dimensions"},
      {R"({"a":{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]}})", "dimension 0 is not 1 to 1073741824"},
      {R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", "dimension 4294967296"},
      {R"({"a":{"dtype":"F32","shape":[1073741824,1073741824],"data_offsets":[0,8]}})",
       "takes 4611686018427387904 bytes, data_offsets give 8"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", "data_offsets: expected 2 numbers"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", "data_offsets [8,0] lie outside the 8 bytes"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", "data_offsets [4,12] lie outside the 8 bytes"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})", "data_offsets begin at 2, no multiple of 4"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})", "shape [1] takes 4 bytes, data_offsets give 8"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", "bytes 0 to 4 of the data belong to no tensor"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "bytes 4 to 8 of the data belong to no tensor"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "tensor b: begins at 4, inside the tensor before it, which ends at 8"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       "tensor a stands twice"},
  };
  for (const auto& [header, fault] : cases) EXPECT_THAT(FaultOf(header, 8), HasSubstr(fault)) << header;
}

TEST(Safetensors, NamesTheTensorAndTheElementThatIsNotANumber) {
  const char* header = R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})";
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(Parse(SafetensorsBytes(header, Floats({1, 2, 3, 4, nan, 6}))).status().message(),
            "weights.safetensors: tensor a: element [1,1] is NaN");
  EXPECT_EQ(Parse(SafetensorsBytes(header, Floats({1, 2, -inf, 4, 5, 6}))).status().message(),
            "weights.safetensors: tensor a: element [0,2] is infinite");
  const char* half = R"({"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}})";
  EXPECT_EQ(Parse(SafetensorsBytes(half, std::string("\x00\x00\x80\x7f", 4))).status().message(),
            "weights.safetensors: tensor a: element [1] is infinite");
}

// Two rows of three, with a scale each, and an activation scale.
constexpr const char* kInt8Header = R"({"a.scales":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                                    R"("a.activation_scales":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},)"
                                    R"("a":{"dtype":"I8","shape":[2,3],"data_offsets":[12,18]}})";
const std::string kNumbers("\x01\x81\x7f\x00\xff\x02", 6);

TEST(Safetensors, KeepsInt8AsItIsWithTheScalesThatBelongToIt) {
  const auto tensors = Parse(SafetensorsBytes(kInt8Header, Floats({0.5f, 2, 0.25f}) + kNumbers));
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 1u);  // scales are no tensors of their own
  const Tensor& a = tensors->at("a");
  EXPECT_TRUE(a.IsInt8());
  EXPECT_THAT(a.data, ::testing::IsEmpty());
  EXPECT_THAT(a.quantised, ::testing::ElementsAre(1, -127, 127, 0, -1, 2));
  EXPECT_THAT(a.scales, ::testing::ElementsAre(0.5f, 2));
  EXPECT_THAT(a.activation_scales, ::testing::ElementsAre(0.25f));
  EXPECT_EQ(a.elements(), 6);
  EXPECT_EQ(a.bytes(), 6 + 4 * 3);
}

TEST(Safetensors, OneScaleIsThatOfEachRow) {
  const auto tensors = Parse(SafetensorsBytes(R"({"a.scales":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                              R"("a":{"dtype":"I8","shape":[3,2],"data_offsets":[4,10]}})",
                                              Floats({0.5f}) + kNumbers));
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_THAT(tensors->at("a").scales, ::testing::ElementsAre(0.5f, 0.5f, 0.5f));
  EXPECT_THAT(tensors->at("a").activation_scales, ::testing::IsEmpty());
}

TEST(Safetensors, ANameThatEndsLikeScalesIsATensorWhereNothingIsInt8) {
  const auto tensors =
      Parse(SafetensorsBytes(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                             R"("a.scales":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},)"
                             R"("b.activation_scales":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
                             std::string(12, '\0')));
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_EQ(tensors->size(), 3u);
}

TEST(Safetensors, RefusesInt8WithoutTheScalesThatItNeeds) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"a":{"dtype":"I8","shape":[2,3],"data_offsets":[0,6]},"b":{"dtype":"I8","shape":[2,1],"data_offsets":[6,8]}})",
       "tensor a: is int8, but there is no a.scales"},
      {R"({"a":{"dtype":"I8","shape":[8],"data_offsets":[0,8]}})", "tensor a: is int8 of 1 dimension, expected 2"},
      {R"({"a":{"dtype":"I8","shape":[2,2],"data_offsets":[0,4]},"a.scales":{"dtype":"BF16","shape":[2],"data_offsets":[4,8]}})",
       "tensor a.scales: is BF16 of shape [2], expected F32 of 1 dimension, for a is int8"},
      {R"({"a":{"dtype":"I8","shape":[2,2],"data_offsets":[4,8]},"a.scales":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}})",
       "tensor a.scales: is F32 of shape [1,1], expected F32 of 1 dimension"},
  };
  for (const auto& [header, fault] : cases) EXPECT_THAT(FaultOf(header, 8), HasSubstr(fault)) << header;
  EXPECT_THAT(FaultOf(R"({"a.scales":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                      R"("a":{"dtype":"I8","shape":[4,2],"data_offsets":[8,16]}})",
                      16),
              HasSubstr("tensor a.scales: has 2 elements, expected 1, or 4 as a has rows"));
}

TEST(Safetensors, RefusesActivationScalesThatDoNotDivideTheRows) {
  const std::pair<int, int> cases[] = {{2, 3}, {5, 5}};  // how many, and rows
  for (const auto& [count, rows] : cases) {
    const int end = 4 + 4 * count;
    const std::string bytes = SafetensorsBytes(
        absl::StrCat(R"({"a.scales":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)",
                     R"("a.activation_scales":{"dtype":"F32","shape":[)", count, R"(],"data_offsets":[4,)", end, "]},",
                     R"("a":{"dtype":"I8","shape":[)", rows, R"(,1],"data_offsets":[)", end, ",", end + rows, "]}}"),
        Floats(std::vector<float>(static_cast<std::size_t>(count) + 1, 1)) +
            std::string(static_cast<std::size_t>(rows), '\1'));
    EXPECT_EQ(Parse(bytes).status().message(),
              absl::StrCat("weights.safetensors: tensor a.activation_scales: has ", count,
                           " elements, expected 1 to 4, a divisor of a's ", rows, " rows"));
  }
}

TEST(Safetensors, NamesTheScaleThatIsNone) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (const auto& [value, said] :
       {std::pair{0.0f, "0"}, {-1.0f, "-1"}, {nan, "nan"}, {inf, "inf"}, {1e-31f, "1e-31"}, {1e31f, "1e+31"}}) {
    EXPECT_EQ(Parse(SafetensorsBytes(kInt8Header, Floats({0.5f, value, 0.25f}) + kNumbers)).status().message(),
              absl::StrCat("weights.safetensors: tensor a.scales: element [1] is ", said, ", expected 1e-30 to 1e+30"));
    EXPECT_EQ(Parse(SafetensorsBytes(kInt8Header, Floats({0.5f, 2, value}) + kNumbers)).status().message(),
              absl::StrCat("weights.safetensors: tensor a.activation_scales: element [0] is ", said,
                           ", expected 1e-30 to 1e+30"));
  }
}

TEST(Safetensors, NamesTheNumberWhoseNegativeNoInt8Is) {
  std::string numbers = kNumbers;
  numbers[4] = '\x80';
  EXPECT_EQ(Parse(SafetensorsBytes(kInt8Header, Floats({0.5f, 2, 0.25f}) + numbers)).status().message(),
            "weights.safetensors: tensor a: element [1,1] is -128, expected -127 to 127");
}

// One byte an element, and a scale a row, however many the file holds.
TEST(Safetensors, RefusesInt8ThatWouldTakeMoreMemoryThanThereIsForIt) {
  const std::string bytes = SafetensorsBytes(R"({"a.scales":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                             R"("a":{"dtype":"I8","shape":[1000,2],"data_offsets":[4,2004]}})",
                                             Floats({1}) + std::string(2000, '\1'));
  EXPECT_TRUE(ParseSafetensors("w", bytes, 16, 6000).ok());
  EXPECT_EQ(ParseSafetensors("w", bytes, 16, 5999).status().message(),
            "w: its tensors need 6000 bytes of memory beside the files, more than the bound of 5999");
}

TEST(Safetensors, RefusesMoreTensorsThanTheBound) {
  const char* header =
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})";
  const std::string bytes = SafetensorsBytes(header, std::string(8, '\0'));
  EXPECT_TRUE(Parse(bytes, 2).ok());
  EXPECT_THAT(Parse(bytes, 1).status().message(), HasSubstr("more than 1 tensors"));
}

TEST(Safetensors, RefusesDeepNestingWithoutBuildingIt) {
  EXPECT_THAT(FaultOf("{\"a\":" + std::string(1 << 20, '['), 0), HasSubstr("did not expect a list"));
  EXPECT_THAT(FaultOf("{\"__metadata__\":{\"a\":" + std::string(1 << 20, '['), 0), HasSubstr("did not expect a list"));
}

}  // namespace
}  // namespace heed
