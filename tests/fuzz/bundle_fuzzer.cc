// A bundle with one of its files replaced, through everything that loading it does: reader, checker, tokenisers, plan.
// Nothing in a file crashes it, and what is wrong is said in one line.
//
// An input: a byte for the file, a byte for the bundle that it is put into, whether that has int8 weights and how far
// it goes, then the file. A model.json is also tried in protobuf's binary form (kSpec), where a changed byte more often
// makes another valid one.
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "engine/model/bundle.h"
#include "engine/model/bundle_files.h"
#include "engine/model/checker.h"
#include "engine/model/spec.h"
#include "server/models/loader.h"
#include "server/verify/certificate.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/attention_models.h"
#include "tests/support/bundle_folder.h"
#include "tests/support/shortlist_file.h"
#include "tests/support/test_models.h"

namespace heed::fuzz {
namespace {

enum File {
  kJson,
  kSpec,
  kWeights,
  kHeader,
  kParity,
  kShortlist,
  kSealedShortlist,
  kPieces,
  kModel,
  kSums,
  kAnyOnDisk
};
constexpr int kFiles = kAnyOnDisk + 1;

constexpr EngineOptions kEngine = {
    .max_rows = 4, .max_source_tokens = 12, .max_target_tokens = 12, .max_table_bytes = 1 << 16};
constexpr BundleLimits kLimits = {.max_file_bytes = 1 << 20, .max_files = 12, .max_tensors = 200};
constexpr TestSizes kSmall = {.source_vocabulary = 7,
                              .target_vocabulary = 7,
                              .embedding = 4,
                              .encoder_hidden = 2,
                              .decoder_hidden = 4,
                              .attention = 4};

// A vocabulary of four characters; the source side may be a SentencePiece model instead.
BundleFileMap FilesOfModel(BundleBuilder builder, bool with_model, bool int8) {
  if (int8) builder.Quantise(/*activation_scale=*/with_model ? 0 : 0.05f);
  for (model::v1::Vocabulary* side : {builder.spec().mutable_source(), builder.spec().mutable_target()}) {
    if (with_model && side == builder.spec().mutable_source()) continue;
    side->mutable_characters();
    side->set_pieces("pieces.json");
  }
  BundleFileMap files = {{"pieces.json", R"(["<unk>","<s>","</s>","a","b"," ","é"])"}};
  // Seven pieces, as a protobuf of SentencePiece's: <unk> unknown, <s> and </s> control.
  if (with_model) {
    files["source.spm"] =
        std::string("\x0a\x09\x0a\x05<unk>\x18\x02\x0a\x07\x0a\x03<s>\x18\x03\x0a\x08\x0a\x04</s>\x18\x03") +
        "\x0a\x03\x0a\x01"
        "a\x0a\x03\x0a\x01"
        "b\x0a\x05\x0a\x03\xe2\x96\x81\x0a\x04\x0a\x02\xc3\xa9";
  }
  if (builder.spec().has_shortlist()) {
    files["lex.bin"] = ShortlistBytes(2, std::vector<std::vector<std::uint32_t>>(7, {3, 5}));
  }
  return FilesOfBundle(builder.Build(), files);
}

std::vector<BundleFileMap> MakeModels(bool int8) {
  return {
      FilesOfModel(LuongLstm(kSmall), true, int8),
      FilesOfModel(BahdanauGru(kSmall), false, int8),
      FilesOfModel(NoAttention(kSmall), false, int8),
      FilesOfModel(Marian(kSmall), false, int8),
      FilesOfModel(Variety(kSmall), false, int8),
      FilesOfModel(Student(kSmall), false, int8),
      FilesOfModel(CellModel({.kind = "SSRU", .norm = "BLOCKS"}, kSmall), false, int8),
      FilesOfModel(CellModel({.kind = "LSTM", .norm = "ALL", .norm_cell = true}, kSmall), false, int8),
      FilesOfModel(AttentionModel({.score = "LOCATION"}, kSmall), false, int8),
      FilesOfModel(AttentionModel({.heads = 2, .sparsemax = true, .coverage = true, .in_init = true}, kSmall), false,
                   int8),
      FilesOfModel(PointerGenerator(kSmall), false, int8),
      FilesOfModel(CopyAttention(true, kSmall), false, int8),
      FilesOfModel(Shortlisted(kSmall), false, int8),
  };
}

const std::vector<BundleFileMap>& Models(bool int8 = false) {
  static const auto* const models = new std::vector<BundleFileMap>[2] { MakeModels(false), MakeModels(true) };
  return models[int8 ? 1 : 0];
}

// Making a plan takes ten times what all else does, so only some inputs ask for it.
void Load(absl::StatusOr<Bundle> bundle, bool with_plan) {
  RequireOneLine(bundle.status());
  if (!bundle.ok()) return;
  ServedModel model;
  if (with_plan) return RequireOneLine(ServeBundle(*std::move(bundle), kEngine, &model));
  RequireOneLine(CheckProgram(*bundle).status());
  for (const model::v1::Vocabulary& side : {bundle->spec.source(), bundle->spec.target()}) {
    RequireOneLine(Tokenizer::Make(side, bundle->files).status());
  }
}

void LoadFiles(const BundleFileMap& files, bool with_plan) {
  BundleFiles read;
  read.files = files;
  Load(ParseBundle(std::move(read), kLimits), with_plan);
}

void LoadFolder(const BundleFileMap& files) {
  static const TempFolder temp;  // removed at exit
  const std::string folder = temp.path() + "/bundle";
  WriteBundleFolder(folder, files);
  Load(ReadBundle(folder, kLimits), /*with_plan=*/false);
}

// A model.json from its binary form; empty where it is none.
std::string JsonOf(const std::string& bytes) {
  model::v1::ModelSpec spec;
  std::string json;
  if (!spec.ParseFromString(bytes) || !google::protobuf::util::MessageToJsonString(spec, &json).ok()) json.clear();
  return json;
}

void TryParity(const std::string& file) {
  const auto certificate = ParseCertificate(file);
  RequireOneLine(certificate.status());
  Require(!certificate.ok() || !certificate->cases.empty(), "a certificate has cases");
}

// The header of a weights.safetensors, with the data of the bundle's own behind it.
std::string WithHeader(const std::string& weights, const std::string& header) {
  std::uint64_t size = 0;
  std::memcpy(&size, weights.data(), sizeof size);
  return SafetensorsBytes(header, weights.substr(sizeof size + size));
}

void Try(Input input) {
  const int file = input.Byte() % kFiles;
  const std::size_t which = input.Byte();
  const bool with_plan = which / Models().size() % 2 == 1;
  const bool int8 = which / Models().size() / 2 % 2 == 1;
  BundleFileMap files = Models(int8)[which % Models().size()];
  std::string bytes = input.Rest();
  switch (file) {
    case kJson:
      files["model.json"] = std::move(bytes);
      return LoadFiles(files, with_plan);
    case kSpec:
      files["model.json"] = JsonOf(bytes);
      return files["model.json"].empty() ? void() : LoadFiles(files, with_plan);
    case kWeights:
      files["weights.safetensors"] = std::move(bytes);
      return LoadFiles(files, with_plan);
    case kHeader:
      files["weights.safetensors"] = WithHeader(files["weights.safetensors"], bytes);
      return LoadFiles(files, with_plan);
    case kParity:
      return TryParity(bytes);
    case kShortlist:
    case kSealedShortlist:
      if (file == kSealedShortlist && bytes.size() >= 24) Seal(bytes);
      return RequireOneLine(Shortlist::Parse("lex.bin", bytes, 7, 7, which % 2 == 0).status());
    case kPieces:
      files["pieces.json"] = std::move(bytes);
      return LoadFiles(files, with_plan);
    case kModel:
      files = Models()[0];
      files["source.spm"] = std::move(bytes);
      return LoadFiles(files, with_plan);
    case kSums:
      files["SHA256SUMS"] = std::move(bytes);
      return LoadFolder(files);
    default:
      auto any = files.begin();
      std::advance(any, which / Models().size() % files.size());
      any->second = std::move(bytes);
      return LoadFolder(files);
  }
}

}  // namespace
}  // namespace heed::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  heed::fuzz::SilenceProtobuf();
  heed::fuzz::Try(heed::fuzz::Input(data, size));
  return 0;
}
