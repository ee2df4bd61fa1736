// Bundles on disk for tests: a Bundle as the bytes of its files, and files as a folder with its SHA256SUMS.
//
//   TempFolder temp;
//   BundleFileMap files = FilesOfBundle(LuongLstm().Build(), {{"source.spm", a}, {"target.spm", b}});
//   files["model.json"] += " ";  // damage
//   WriteBundleFolder(temp.path() + "/luong", files);
//
// Written apart from the reader that it feeds: its own safetensors writer and its own hashing. Not thread-safe.
#pragma once

#include <map>
#include <string>

#include "engine/model/bundle.h"

namespace heed {

using BundleFileMap = std::map<std::string, std::string>;  // bytes by name

enum class TestDtype { kF32, kBf16 };

// The bytes of a weights.safetensors. kBf16 cuts each value's low 16 bits (BundleBuilder::RoundToBf16 does the same)
// and is not for int8 tensors, whose scales are F32.
std::string SafetensorsBytes(const std::map<std::string, Tensor>& tensors, TestDtype dtype = TestDtype::kF32);

// One with the given header and data, whatever they say.
std::string SafetensorsBytes(const std::string& header, const std::string& data);

// model.json, weights.safetensors, LICENSE, README.md and `tokenizers`; no SHA256SUMS.
BundleFileMap FilesOfBundle(const Bundle& bundle, const BundleFileMap& tokenizers, TestDtype dtype = TestDtype::kF32);

// "HEX  NAME\n" for each of `files` but SHA256SUMS itself.
std::string SumsOf(const BundleFileMap& files);

// Makes `folder` (its parent exists) hold exactly `files`, with a fresh SHA256SUMS unless `files` brings one. Aborts
// the test if the disk refuses.
void WriteBundleFolder(const std::string& folder, const BundleFileMap& files);

// A folder of its own under $TMPDIR or /tmp, removed at the end.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace heed
