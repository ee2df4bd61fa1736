#include "engine/model/safetensors.h"

#include <cmath>
#include <cstring>
#include <limits>

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
      {R"({"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}})", "dtype is \"F16\", expected F32 or BF16"},
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
