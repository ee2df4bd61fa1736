#include "tests/support/bundle_folder.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "google/protobuf/util/json_util.h"

namespace heed {
namespace {

[[noreturn]] void Die(const std::string& what) {
  std::cerr << "bundle_folder: " << what << "\n";
  std::abort();
}

}  // namespace

std::string SafetensorsBytes(const std::string& header, const std::string& data) {
  const std::uint64_t size = header.size();
  std::string bytes(sizeof size, '\0');
  std::memcpy(bytes.data(), &size, sizeof size);
  return bytes + header + data;
}

std::string SafetensorsBytes(const std::map<std::string, Tensor>& tensors, TestDtype dtype) {
  std::string data;
  std::string header = "{\"__metadata__\":{\"format\":\"pt\"}";
  const auto add = [&](const std::string& name, const char* type, const std::vector<std::int64_t>& shape,
                       const std::string& bytes) {
    absl::StrAppend(&header, ",\"", name, R"(":{"dtype":")", type, R"(","shape":[)", absl::StrJoin(shape, ","),
                    R"(],"data_offsets":[)", data.size(), ",", data.size() + bytes.size(), "]}");
    data += bytes;
  };
  const auto add_floats = [&](const std::string& name, const std::vector<float>& floats) {
    if (floats.empty()) return;
    add(name, "F32", {static_cast<std::int64_t>(floats.size())},
        std::string(reinterpret_cast<const char*>(floats.data()), floats.size() * sizeof(float)));
  };
  for (const auto& [name, tensor] : tensors) {
    if (tensor.IsInt8()) {
      add_floats(name + ".scales", tensor.scales);
      add_floats(name + ".activation_scales", tensor.activation_scales);
      continue;
    }
    std::string bytes;
    for (const float x : tensor.data) {
      const char* raw = reinterpret_cast<const char*>(&x);
      dtype == TestDtype::kF32 ? bytes.append(raw, 4) : bytes.append(raw + 2, 2);
    }
    add(name, dtype == TestDtype::kF32 ? "F32" : "BF16", tensor.shape, bytes);
  }
  for (const auto& [name, tensor] : tensors) {  // behind the others, which are aligned
    if (!tensor.IsInt8()) continue;
    add(name, "I8", tensor.shape,
        std::string(reinterpret_cast<const char*>(tensor.quantised.data()), tensor.quantised.size()));
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return SafetensorsBytes(header, data);
}

BundleFileMap FilesOfBundle(const Bundle& bundle, const BundleFileMap& tokenizers, TestDtype dtype) {
  BundleFileMap files = tokenizers;
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(bundle.spec, &json, options).ok()) Die("spec does not print");
  files["model.json"] = json;
  files["weights.safetensors"] = SafetensorsBytes(bundle.tensors, dtype);
  files["LICENSE"] = "Made for tests.\n";
  files["README.md"] = "# A model made for tests\n";
  return files;
}

std::string SumsOf(const BundleFileMap& files) {
  std::string sums;
  for (const auto& [name, bytes] : files) {
    if (name == "SHA256SUMS") continue;
    unsigned char digest[32];
    EVP_Digest(bytes.data(), bytes.size(), digest, nullptr, EVP_sha256(), nullptr);
    absl::StrAppend(&sums,
                    absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), sizeof digest)),
                    "  ", name, "\n");
  }
  return sums;
}

void WriteBundleFolder(const std::string& folder, const BundleFileMap& files) {
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  std::filesystem::create_directory(folder, error);
  if (error) Die(absl::StrCat(folder, ": ", error.message()));
  const auto write = [&](const std::string& name, const std::string& bytes) {
    std::ofstream out(folder + "/" + name, std::ios::binary);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!out.flush()) Die(absl::StrCat(folder, "/", name, ": cannot be written"));
  };
  for (const auto& [name, bytes] : files) write(name, bytes);
  if (!files.contains("SHA256SUMS")) write("SHA256SUMS", SumsOf(files));
}

TempFolder::TempFolder() {
  const char* root = std::getenv("TMPDIR");
  path_ = absl::StrCat(root == nullptr ? "/tmp" : root, "/heed-test-XXXXXX");
  if (mkdtemp(path_.data()) == nullptr) Die("no temporary folder");
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace heed
