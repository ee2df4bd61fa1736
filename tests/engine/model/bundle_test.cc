#include "engine/model/bundle.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "engine/model/checker.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/bundle_folder.h"
#include "tests/support/test_models.h"

namespace heed {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class ReadBundleTest : public ::testing::Test {
 protected:
  ReadBundleTest() : files_(FilesOfBundle(LuongLstm().Build(), {{"source.spm", "source"}, {"target.spm", "target"}})) {}

  std::string folder() const { return temp_.path() + "/bundle"; }

  absl::StatusOr<Bundle> Read(const BundleLimits& limits = {}) {
    WriteBundleFolder(folder(), files_);
    return ReadBundle(folder(), limits);
  }

  // Replaces a part of model.json that stands there.
  void Edit(const std::string& from, const std::string& to) {
    std::string& json = files_["model.json"];
    const std::size_t at = json.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    json.replace(at, from.size(), to);
  }

  void ExpectFault(absl::StatusCode code, const std::string& message) { ExpectFault(Read().status(), code, message); }

  static void ExpectFault(const absl::Status& status, absl::StatusCode code, const std::string& message) {
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(status.message(), HasSubstr(message));
    EXPECT_EQ(status.message().find('\n'), absl::string_view::npos) << status;
  }

  TempFolder temp_;
  BundleFileMap files_;
};

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kNotFound = absl::StatusCode::kNotFound;

TEST_F(ReadBundleTest, GivesBackWhatWasWritten) {
  const Bundle written = LuongLstm().Build();
  const auto bundle = Read();
  ASSERT_TRUE(bundle.ok()) << bundle.status();
  EXPECT_EQ(bundle->folder, folder());
  EXPECT_EQ(bundle->spec.SerializeAsString(), written.spec.SerializeAsString());
  ASSERT_EQ(bundle->tensors.size(), written.tensors.size());
  for (const auto& [name, tensor] : written.tensors) {
    EXPECT_EQ(bundle->tensors.at(name).shape, tensor.shape);
    EXPECT_EQ(bundle->tensors.at(name).data, tensor.data);
  }
  EXPECT_EQ(bundle->files.at("source.spm"), "source");
  EXPECT_EQ(bundle->files.at("SHA256SUMS"), SumsOf(files_));
  EXPECT_FALSE(bundle->files.contains("weights.safetensors"));
  EXPECT_TRUE(CheckProgram(*bundle).ok());
}

TEST_F(ReadBundleTest, ReadsTheShortlistThatTheSpecNamesOrSaysWhyNot) {
  const std::string place = "\"format_version\"";
  Edit(place, R"("shortlist": {"file": "lex.bin"}, )" + place);
  ExpectFault(kInvalid, "shortlist: source ids are candidates themselves, but source.size is 23 and target.size 19");
  files_ = FilesOfBundle(LuongLstm({.target_vocabulary = 23}).Build(), {{"source.spm", "s"}, {"target.spm", "t"}});
  Edit(place, R"("shortlist": {"file": "lex.bin"}, )" + place);
  ExpectFault(kNotFound, "lex.bin: named by model.json but missing from the bundle");
  files_["lex.bin"] = "text";
  ExpectFault(kInvalid, "lex.bin: 4 bytes, expected a header of 48 at least");
  Edit("lex.bin", "/lex.bin");
  ExpectFault(kInvalid, "model.json: shortlist.file is \"/lex.bin\", expected a file of the bundle");
}

TEST_F(ReadBundleTest, DigestIsThatOfTheSums) {
  const std::string sums = SumsOf(files_);
  const std::string line = SumsOf({{"x", sums}});
  EXPECT_EQ(Read()->digest, line.substr(0, 64));
}

TEST_F(ReadBundleTest, WidensBf16ToTheSameWeights) {
  BundleBuilder builder = BahdanauGru();
  builder.RoundToBf16();
  const Bundle written = builder.Build();
  files_ = FilesOfBundle(written, {{"source.spm", ""}, {"target.spm", ""}}, TestDtype::kBf16);
  const auto bundle = Read();
  ASSERT_TRUE(bundle.ok()) << bundle.status();
  for (const auto& [name, tensor] : written.tensors) EXPECT_EQ(bundle->tensors.at(name).data, tensor.data) << name;
}

TEST_F(ReadBundleTest, KeepsInt8AsItIsInTheFileAndTheProgramChecks) {
  BundleBuilder builder = Student();
  builder.Quantise(/*activation_scale=*/0.05f);
  const Bundle written = builder.Build();
  files_ = FilesOfBundle(written, {{"source.spm", ""}, {"target.spm", ""}});
  const auto bundle = Read();
  ASSERT_TRUE(bundle.ok()) << bundle.status();
  ASSERT_EQ(bundle->tensors.size(), written.tensors.size());
  for (const auto& [name, tensor] : written.tensors) {
    const Tensor& read = bundle->tensors.at(name);
    EXPECT_EQ(read.shape, tensor.shape) << name;
    EXPECT_EQ(read.data, tensor.data) << name;
    EXPECT_EQ(read.quantised, tensor.quantised) << name;
    EXPECT_EQ(read.scales, tensor.scales) << name;
    EXPECT_EQ(read.activation_scales, tensor.activation_scales) << name;
  }
  EXPECT_EQ(CheckProgram(*bundle).status(), absl::OkStatus());
}

TEST_F(ReadBundleTest, TakesFilesThatAreListedBeyondTheRequiredOnes) {
  files_["NOTICE"] = "Made of this and that.\n";
  const auto bundle = Read();
  ASSERT_TRUE(bundle.ok()) << bundle.status();
  EXPECT_EQ(bundle->files.at("NOTICE"), "Made of this and that.\n");
}

TEST_F(ReadBundleTest, FollowsALinkToTheFolderItself) {
  WriteBundleFolder(folder(), files_);
  std::filesystem::create_directory_symlink(folder(), temp_.path() + "/link");
  EXPECT_TRUE(ReadBundle(temp_.path() + "/link").ok());
}

TEST_F(ReadBundleTest, RefusesAFolderThatIsNotThere) {
  ExpectFault(ReadBundle(folder()).status(), kNotFound, "/bundle\": no such folder");
  std::ofstream(temp_.path() + "/file") << "x";
  ExpectFault(ReadBundle(temp_.path() + "/file").status(), kNotFound, "/file\": no such folder");
}

TEST_F(ReadBundleTest, RefusesAMissingFile) {
  for (const char* name : {"model.json", "weights.safetensors", "LICENSE", "README.md"}) {
    const BundleFileMap whole = files_;
    files_.erase(name);
    ExpectFault(kNotFound, std::string(name) + ": missing from the bundle");
    files_ = whole;
  }
  files_.erase("target.spm");
  ExpectFault(kNotFound, "target.spm: named by model.json but missing from the bundle");
}

TEST_F(ReadBundleTest, RefusesAFolderWithoutSums) {
  WriteBundleFolder(folder(), files_);
  std::filesystem::remove(folder() + "/SHA256SUMS");
  ExpectFault(ReadBundle(folder()).status(), kNotFound, "SHA256SUMS: missing from the bundle");
}

TEST_F(ReadBundleTest, RefusesAListedFileThatIsMissing) {
  WriteBundleFolder(folder(), files_);
  std::filesystem::remove(folder() + "/README.md");
  ExpectFault(ReadBundle(folder()).status(), kNotFound, "README.md: listed in SHA256SUMS but missing");
}

TEST_F(ReadBundleTest, RefusesAFileThatIsNotListed) {
  WriteBundleFolder(folder(), files_);
  std::ofstream(folder() + "/extra.txt") << "x";
  ExpectFault(ReadBundle(folder()).status(), kInvalid, "extra.txt: not listed in SHA256SUMS");
}

TEST_F(ReadBundleTest, RefusesAFileThatWasTamperedWith) {
  const std::string sums = SumsOf(files_);
  files_["weights.safetensors"].back() ^= 1;
  files_["SHA256SUMS"] = sums;
  ExpectFault(kInvalid, "weights.safetensors: SHA-256 is ");
}

TEST_F(ReadBundleTest, RefusesAnythingButRegularFiles) {
  WriteBundleFolder(folder(), files_);
  const std::string readme = folder() + "/README.md";
  std::filesystem::remove(readme);
  std::filesystem::create_symlink(folder() + "/LICENSE", readme);
  ExpectFault(ReadBundle(folder()).status(), kInvalid, "README.md: not a regular file");
  std::filesystem::remove(readme);
  ASSERT_EQ(mkfifo(readme.c_str(), 0600), 0);
  ExpectFault(ReadBundle(folder()).status(), kInvalid, "README.md: not a regular file");
  std::filesystem::remove(readme);
  std::filesystem::create_directory(readme);
  ExpectFault(ReadBundle(folder()).status(), kInvalid, "README.md: not a regular file");
}

TEST_F(ReadBundleTest, RefusesNamesThatCouldLeadElsewhere) {
  WriteBundleFolder(folder(), files_);
  std::ofstream(folder() + "/.hidden") << "x";
  ExpectFault(ReadBundle(folder()).status(), kInvalid, "\".hidden\": a file's name must be 1 to 128 of [A-Za-z0-9._-]");
  std::filesystem::remove(folder() + "/.hidden");
  std::ofstream(folder() + "/a\nb") << "x";
  ExpectFault(ReadBundle(folder()).status(), kInvalid, "\"a\\x0ab\": a file's name");
  Edit("\"source.spm\"", "\"../source.spm\"");
  ExpectFault(kInvalid, "model.json: source.sentencepiece.file is \"../source.spm\", expected a file of the bundle");
}

TEST_F(ReadBundleTest, RefusesSumsOfAnyOtherForm) {
  const std::string good = SumsOf(files_);
  const std::string hex(64, 'a');
  const std::pair<std::string, const char*> cases[] = {
      {"", "not listed in SHA256SUMS"},
      {good.substr(0, good.size() - 1), "SHA256SUMS: line 6: does not end in a newline"},
      {good + hex + " *x\n", "SHA256SUMS: line 7: expected 64 lower-case hex digits, two spaces and a file name"},
      {good + std::string(64, 'A') + "  x\n", "SHA256SUMS: line 7: expected 64 lower-case hex digits"},
      {good + hex.substr(1) + "  x\n", "SHA256SUMS: line 7: expected 64 lower-case hex digits"},
      {good + "\n", "SHA256SUMS: line 7: expected 64"},
      {good + hex + "  ../x\n", "SHA256SUMS: line 7: not a file name: \"../x\""},
      {good + hex + "  x\r\n", "SHA256SUMS: line 7: not a file name: \"x\\x0d\""},
      {good + hex + "  SHA256SUMS\n", "SHA256SUMS: line 7: lists itself"},
      {good + hex + "  LICENSE\n", "SHA256SUMS: line 7: lists LICENSE twice"},
      {good + hex + "  gone\n", "gone: listed in SHA256SUMS but missing"},
  };
  for (const auto& [sums, fault] : cases) {
    files_["SHA256SUMS"] = sums;
    const absl::Status status = Read().status();
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.message(), HasSubstr(fault));
  }
}

TEST_F(ReadBundleTest, HoldsItsBounds) {
  EXPECT_TRUE(Read({.max_files = 7}).ok());
  ExpectFault(Read({.max_files = 6}).status(), kInvalid, "more than 6 files");
  ExpectFault(Read({.max_tensors = 3}).status(), kInvalid, "weights.safetensors: header: more than 3 tensors");
  const auto size = static_cast<std::int64_t>(files_["weights.safetensors"].size());
  EXPECT_TRUE(Read({.max_file_bytes = size}).ok());
  ExpectFault(Read({.max_file_bytes = size - 1}).status(), kInvalid, "weights.safetensors: ");
}

// A gigabyte of zeros on a sparse disk is not read to find that it does not fit.
TEST_F(ReadBundleTest, RefusesFilesThatTogetherTakeMoreMemoryThanThereIsBeforeAnyIsRead) {
  std::int64_t sum = 32 * static_cast<std::int64_t>(files_["model.json"].size());
  for (const auto& [name, bytes] : files_) sum += static_cast<std::int64_t>(bytes.size());
  ExpectFault(Read({.max_bytes = sum - 1}).status(), absl::StatusCode::kResourceExhausted,
              "its files alone need " + std::to_string(sum) + " bytes of memory, more than the bound of " +
                  std::to_string(sum - 1));
  EXPECT_EQ(Read({.max_bytes = sum}).status().code(), absl::StatusCode::kResourceExhausted);  // and the tensors
  EXPECT_TRUE(Read({.max_bytes = 3 * sum}).ok());
}

TEST_F(ReadBundleTest, RefusesTextsOfMoreThanTheirBounds) {
  for (const char* name : {"README.md", "LICENSE", "NOTICE"}) {
    const BundleFileMap whole = files_;
    files_[name] = std::string((1 << 20) + 1, 'a');
    ExpectFault(kInvalid, std::string(name) + ": 1048577 bytes, more than the bound of 1048576");
    files_ = whole;
  }
  files_["parity.json"] = std::string((4 << 20) + 1, ' ');
  ExpectFault(kInvalid, "parity.json: 4194305 bytes, more than the bound of 4194304");
}

TEST_F(ReadBundleTest, RefusesASparseGiantWithoutReadingIt) {
  WriteBundleFolder(folder(), files_);
  std::filesystem::resize_file(folder() + "/weights.safetensors", std::uintmax_t{5} << 30);
  ExpectFault(ReadBundle(folder()).status(), kInvalid,
              "weights.safetensors: 5368709120 bytes, more than the bound of 4294967296");
}

TEST_F(ReadBundleTest, RefusesJsonThatIsNoModelSpec) {
  const std::string json = files_["model.json"];
  for (const std::string& bad :
       {std::string(""), std::string("{"), std::string("[]"), std::string("\xff\xfe"), json + "}",
        std::string(100000, '['), std::string(100000, '{'), "{\"encoder\":" + std::string(3000, '[')}) {
    files_["model.json"] = bad;
    ExpectFault(kInvalid, "model.json: ");
  }
  files_["model.json"] = std::string((4 << 20) + 1, ' ');
  ExpectFault(kInvalid, "model.json: 4194305 bytes, more than the bound of 4194304");
  files_["model.json"] = json;
  Edit("\"name\": \"test-model\"", "\"name\": \"test-model\", \"colour\": 1");
  ExpectFault(kInvalid, "colour");
}

TEST_F(ReadBundleTest, RefusesFieldsOutOfTheirBounds) {
  const std::string json = files_["model.json"];
  const struct {
    const char *from, *to, *fault;
  } cases[] = {
      {"\"format_version\": 1", "\"format_version\": 3", "format_version is 3, expected 1 to 2"},
      {"\"test-model\"", "\"Test\"", "name is \"Test\", expected 1 to 64 of [a-z0-9._-]"},
      {"\"test-model\"", "\"\"", "name is \"\""},
      {"\"version\": \"1\"", "\"version\": \"a b\"", "version is \"a b\""},
      {"TASK_TRANSLATE", "TASK_UNSPECIFIED", "task is 0, expected TASK_TRANSLATE or TASK_SUMMARIZE"},
      {"TASK_TRANSLATE", "TASK_SUMMARIZE", "target_language is en, expected ko"},
      {"TASK_TRANSLATE", "TASK_DANCE", "TASK_DANCE"},
      {"\"source_language\": \"ko\"", "\"source_language\": \"k o\"", "source_language is \"k o\""},
      {"\"Apache-2.0\"", "\"\"", "license is \"\""},
      {"SEGMENTATION_NONE", "SEGMENTATION_UNSPECIFIED", "segmentation is 0"},
      {"\"SEGMENTATION_NONE\"", "\"SEGMENTATION_NONE\", \"sentence_lists\": {}",
       "sentence_lists are of no use without segmentation SEGMENTATION_SENTENCE"},
      {"\"SEGMENTATION_NONE\"", "\"SEGMENTATION_SENTENCE\", \"sentence_lists\": {\"inside\": [\"Dr\", \"Dr.\"]}",
       "sentence_lists.inside[1] is \"Dr.\", expected no dot at the end"},
      {"\"SEGMENTATION_NONE\"", "\"SEGMENTATION_SENTENCE\", \"sentence_lists\": {\"openers\": [\"a b\"]}",
       "sentence_lists.openers[0] is \"a b\", expected no white space"},
      {"\"SEGMENTATION_NONE\"", "\"SEGMENTATION_SENTENCE\", \"sentence_lists\": {\"labels\": [\"\"]}",
       "sentence_lists.labels[0] is \"\", expected 1 to 64 bytes"},
      {"\"size\": 23", "\"size\": 0", "source.size is 0, expected 1 to 16777216"},
      {"\"size\": 19", "\"size\": 2", "target.eos_id is 2, expected 0 to 1"},
      {"\"bos_id\": 1", "\"bos_id\": -1", "source.bos_id is -1, expected 0 to 22"},
      {"\"format_version\": 1", "\"format_version\": 1, \"search\": {\"beam_size\": 0}", "search.beam_size is 0"},
      {"\"format_version\": 1", "\"format_version\": 1, \"search\": {\"length_alpha\": \"NaN\"}",
       "length_alpha is nan"},
      {"\"format_version\": 1", "\"format_version\": 1, \"search\": {\"max_length_a\": -1}", "max_length_a is -1"},
      {"\"format_version\": 1", "\"format_version\": 1, \"search\": {\"max_length_b\": -1}", "max_length_b is -1"},
      {"\"format_version\": 1", "\"format_version\": 1, \"limits\": {\"max_source_tokens\": 0}",
       "max_source_tokens is 0"},
      {"\"file\": \"target.spm\"", "", "target.sentencepiece.file is \"\""},
  };
  for (const auto& c : cases) {
    files_["model.json"] = json;
    Edit(c.from, c.to);
    ExpectFault(kInvalid, c.fault);
    EXPECT_THAT(std::string(Read().status().message()), StartsWith("model.json: "));
  }
}

TEST_F(ReadBundleTest, RefusesVocabulariesThatSayTooLittleOrTooMuch) {
  const std::string json = files_["model.json"];
  const std::size_t begin = json.rfind("\"sentencepiece\""), end = json.find('}', begin) + 1;  // the target's
  const struct {
    const char *tokenizer, *fault;
  } cases[] = {
      {"\"add_bos\": false", "target has no tokenizer: one of sentencepiece, bpe, words, characters, opennmt"},
      {"\"words\": {}", "target.pieces is \"\", expected a file of the bundle"},
      {"\"words\": {}, \"pieces\": \"../p\"", "target.pieces is \"../p\", expected a file of the bundle"},
      {"\"words\": {}, \"pieces\": \"p\"", "p: named by model.json"},
      {"\"pretokenized\": {}", "target.pieces is \"\""},
      {"\"bpe\": {}, \"pieces\": \"p\"", "target.bpe.merges is \"\""},
      {"\"bpe\": {\"merges\": \"m\", \"separator\": \"@ \"}, \"pieces\": \"p\"",
       "target.bpe.separator is \"@ \", expected at most 32 bytes without white space"},
      {"\"characters\": {\"space\": \"123456789012345678901234567890123\"}, \"pieces\": \"p\"",
       "expected at most 32 bytes"},
      {"\"opennmt\": {\"joiner_annotate\": true}, \"pieces\": \"p\"",
       "target.opennmt.mode is 0, expected OPEN_NMT_MODE_"},
      {"\"opennmt\": {\"mode\": 1}, \"pieces\": \"p\"", "exactly one of joiner_annotate and spacer_annotate"},
      {"\"opennmt\": {\"mode\": 1, \"joiner_annotate\": true, \"spacer_annotate\": true}, \"pieces\": \"p\"",
       "exactly one of joiner_annotate and spacer_annotate"},
      {"\"opennmt\": {\"mode\": 1, \"joiner_annotate\": true, \"merges\": \"/m\"}, \"pieces\": \"p\"",
       "target.opennmt.merges is \"/m\""},
      {"\"sentencepiece\": {\"file\": \"target.spm\"}, \"lowercase\": true", "target.lowercase does not go with"},
      {"\"sentencepiece\": {\"file\": \"target.spm\"}, \"special_ids\": [3, 19]",
       "target.special_ids is 19, expected 0 to 18"},
      {"\"sentencepiece\": {\"file\": \"target.spm\"}, \"special_ids\": [0]", "target.special_ids is 0, the unk_id"},
  };
  for (const auto& c : cases) {
    files_["model.json"] = json;
    files_["model.json"].replace(begin, end - begin, c.tokenizer);
    ExpectFault(std::string(c.fault) == "p: named by model.json" ? absl::StatusCode::kNotFound : kInvalid, c.fault);
  }
}

}  // namespace
}  // namespace heed
