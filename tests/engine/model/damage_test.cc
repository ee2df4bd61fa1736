// Hostile bundles: cut short at every length, with flipped bits, and mutated at random. Whatever stands in the files,
// the reader and the checker answer with a status of one line. Run under the sanitizers, this is where they look.
#include <algorithm>
#include <cctype>
#include <cstring>
#include <random>

#include "engine/model/bundle.h"
#include "engine/model/checker.h"
#include "engine/model/safetensors.h"
#include "engine/model/spec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/attention_models.h"
#include "tests/support/bundle_folder.h"

namespace heed {
namespace {

const TestSizes kSmall = {.source_vocabulary = 5,
                          .target_vocabulary = 4,
                          .embedding = 2,
                          .encoder_hidden = 1,
                          .decoder_hidden = 2,
                          .attention = 2};

constexpr int kMaxTensors = 200;  // scales among them

void ExpectOneLine(const absl::Status& status) {
  if (status.ok()) return;
  const bool known =
      status.code() == absl::StatusCode::kInvalidArgument || status.code() == absl::StatusCode::kNotFound;
  ASSERT_TRUE(known) << status;
  ASSERT_EQ(status.message().find_first_of("\n\r"), absl::string_view::npos) << status;
  ASSERT_LT(status.message().size(), 800u) << status;
  ASSERT_NE(status.message().find(": "), absl::string_view::npos) << status;
}

// What a folder of these files would be answered with, hashes aside.
absl::Status ParseAndCheck(const std::string& json, const std::string& weights) {
  auto spec = ParseSpec(json);
  if (!spec.ok()) return spec.status();
  auto tensors = ParseSafetensors("weights.safetensors", weights, kMaxTensors);
  if (!tensors.ok()) return tensors.status();
  Bundle bundle;
  bundle.spec = *std::move(spec);
  bundle.tensors = *std::move(tensors);
  return CheckProgram(bundle).status();
}

class DamageTest : public ::testing::TestWithParam<BundleBuilder (*)(const TestSizes&, std::uint32_t)> {
 protected:
  DamageTest() {
    const BundleFileMap files = FilesOfBundle(GetParam()(kSmall, 1).Build(), {{"source.spm", ""}, {"target.spm", ""}});
    json_ = files.at("model.json");
    weights_ = files.at("weights.safetensors");
  }

  std::string json_;
  std::string weights_;
};

TEST_P(DamageTest, IsFineUndamaged) { EXPECT_EQ(ParseAndCheck(json_, weights_), absl::OkStatus()); }

TEST_P(DamageTest, WeightsCutShortAnywhereAreRefused) {
  for (std::size_t n = 0; n < weights_.size(); ++n) {
    const auto tensors = ParseSafetensors("weights.safetensors", weights_.substr(0, n), kMaxTensors);
    ASSERT_EQ(tensors.status().code(), absl::StatusCode::kInvalidArgument) << n;
    ASSERT_NO_FATAL_FAILURE(ExpectOneLine(tensors.status()));
  }
}

TEST_P(DamageTest, SpecCutShortAnywhereIsRefused) {
  const std::size_t end = json_.find_last_of('}');
  for (std::size_t n = 0; n < end; n += 3) {
    const auto spec = ParseSpec(json_.substr(0, n));
    ASSERT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument) << n;
    ASSERT_NO_FATAL_FAILURE(ExpectOneLine(spec.status()));
  }
}

TEST_P(DamageTest, FlippedBitsNeverCrash) {
  std::mt19937 random(7);
  const std::size_t header = weights_.find("}}") + 2;
  for (int i = 0; i < 600; ++i) {
    std::string json = json_;
    json[random() % json.size()] ^= static_cast<char>(1u << random() % 8);
    ASSERT_NO_FATAL_FAILURE(ExpectOneLine(ParseAndCheck(json, weights_)));
    std::string weights = weights_;
    // Half of them in the header, where structure is.
    weights[random() % (i % 2 == 0 ? header : weights.size())] ^= static_cast<char>(1u << random() % 8);
    ASSERT_NO_FATAL_FAILURE(ExpectOneLine(ParseAndCheck(json_, weights)));
  }
}

// Changes that keep the JSON well formed and so reach further than flipped bits do: a token becomes another one that
// stands in the same text, a number another number.
std::string MutateTokens(std::string text, std::mt19937& random) {
  static const char* const kNumbers[] = {"0",
                                         "-1",
                                         "1",
                                         "2",
                                         "65",
                                         "2147483647",
                                         "2147483648",
                                         "-2147483648",
                                         "18446744073709551615",
                                         "1e30",
                                         "0.5",
                                         "\"NaN\"",
                                         "\"Infinity\"",
                                         "null",
                                         "true",
                                         "[]",
                                         "{}",
                                         "\"\"",
                                         "\"e'\"",
                                         "\"m\""};
  std::vector<std::pair<std::size_t, std::size_t>> tokens;  // begin, length
  for (std::size_t i = 0; i < text.size();) {
    const auto is_word = [&](std::size_t k) { return std::isalnum(text[k]) || text[k] == '_' || text[k] == '\''; };
    std::size_t end = i;
    if (text[i] == '"') {
      end = text.find('"', i + 1) + 1;
    } else {
      while (end < text.size() && is_word(end)) ++end;
    }
    if (end > i) tokens.emplace_back(i, end - i);
    i = std::max(end, i + 1);
  }
  const auto [begin, length] = tokens[random() % tokens.size()];
  const auto [other, other_length] = tokens[random() % tokens.size()];
  const std::string with =
      random() % 3 == 0 ? kNumbers[random() % std::size(kNumbers)] : text.substr(other, other_length);
  return text.replace(begin, length, with);
}

TEST_P(DamageTest, RandomMutationsNeverCrash) {
  std::mt19937 random(11);
  const std::size_t header_begin = 8;
  std::uint64_t header_size;
  std::memcpy(&header_size, weights_.data(), sizeof header_size);
  const std::string header = weights_.substr(header_begin, header_size);
  const std::string data = weights_.substr(header_begin + header_size);
  for (int i = 0; i < 800; ++i) {
    ASSERT_NO_FATAL_FAILURE(ExpectOneLine(ParseAndCheck(MutateTokens(json_, random), weights_)));
    const std::string mutated = SafetensorsBytes(MutateTokens(header, random), data);
    ASSERT_NO_FATAL_FAILURE(ExpectOneLine(ParseAndCheck(json_, mutated)));
  }
}

BundleBuilder Int8Student(const TestSizes& sizes, std::uint32_t seed) {
  BundleBuilder builder = Student(sizes, seed);
  builder.Quantise(/*activation_scale=*/0.05f);
  return builder;
}

constexpr const char* kNames[] = {"LuongLstm", "BahdanauGru", "Variety", "Student", "Int8Student", "PointerGenerator"};
INSTANTIATE_TEST_SUITE_P(Models, DamageTest,
                         ::testing::Values(&LuongLstm, &BahdanauGru, &Variety, &Student, &Int8Student,
                                           &PointerGenerator),
                         [](const auto& info) { return std::string(kNames[info.index]); });

TEST(DamagedFolder, AnyFileCutShortIsRefusedWithItsName) {
  const BundleFileMap whole =
      FilesOfBundle(NoAttention(kSmall).Build(), {{"source.spm", "pieces"}, {"target.spm", "pieces"}});
  const std::string sums = SumsOf(whole);
  TempFolder temp;
  const std::string folder = temp.path() + "/bundle";
  for (const auto& [name, bytes] : whole) {
    for (const std::size_t n : {std::size_t{0}, bytes.size() / 2, bytes.size() - 1}) {
      BundleFileMap files = whole;
      files[name].resize(n);
      files["SHA256SUMS"] = sums;
      WriteBundleFolder(folder, files);
      const absl::Status status = ReadBundle(folder).status();
      ASSERT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name << " " << n;
      EXPECT_THAT(std::string(status.message()), ::testing::StartsWith(name + ": SHA-256 is "));
    }
  }
  for (std::size_t n = 0; n < sums.size(); ++n) {
    BundleFileMap files = whole;
    files["SHA256SUMS"] = sums.substr(0, n);
    WriteBundleFolder(folder, files);
    const absl::Status status = ReadBundle(folder).status();
    ASSERT_FALSE(status.ok()) << n;
    ASSERT_NO_FATAL_FAILURE(ExpectOneLine(status));
  }
}

}  // namespace
}  // namespace heed
