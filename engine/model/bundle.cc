#include "engine/model/bundle.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/saturating.h"
#include "engine/base/status_macros.h"
#include "engine/model/bundle_files.h"
#include "engine/model/safetensors.h"
#include "engine/model/spec.h"

namespace heed {

// Measured: 30 times the file for ops with nothing in them, 3 times for usual ones.
std::int64_t SpecBytes(std::int64_t json_bytes) { return SaturatingMultiply(json_bytes, 32); }

absl::StatusOr<Bundle> ReadBundle(const std::string& folder, const BundleLimits& limits) {
  HEED_ASSIGN_OR_RETURN(BundleFiles read, ReadBundleFiles(folder, limits));
  HEED_ASSIGN_OR_RETURN(Bundle bundle, ParseBundle(std::move(read), limits));
  bundle.folder = folder;
  return bundle;
}

absl::StatusOr<Bundle> ParseBundle(BundleFiles read, const BundleLimits& limits) {
  for (const char* required : {"model.json", "weights.safetensors", "LICENSE", "README.md"}) {
    if (!read.files.contains(required)) {
      return absl::NotFoundError(absl::StrCat(required, ": missing from the bundle"));
    }
  }
  Bundle bundle;
  bundle.digest = std::move(read.digest);
  HEED_ASSIGN_OR_RETURN(bundle.spec, ParseSpec(read.files[std::string(kSpecFile)]));
  HEED_RETURN_IF_ERROR(CheckSpec(bundle.spec));
  for (const std::string& file : FilesOf(bundle.spec)) {
    if (!read.files.contains(file)) {
      return absl::NotFoundError(absl::StrCat(file, ": named by model.json but missing from the bundle"));
    }
  }
  const auto weights = read.files.find(std::string(kWeightsFile));
  HEED_ASSIGN_OR_RETURN(bundle.tensors, ParseSafetensors(kWeightsFile, weights->second, limits.max_tensors,
                                                         limits.max_bytes - read.bytes));
  read.files.erase(weights);
  bundle.files = std::move(read.files);
  if (bundle.spec.has_shortlist()) {
    const std::string& file = bundle.spec.shortlist().file();
    std::int64_t needed = SaturatingAdd(read.bytes, Saturated(bundle.files[file].size()));
    for (const auto& [name, tensor] : bundle.tensors) needed = SaturatingAdd(needed, tensor.bytes());
    if (needed > limits.max_bytes) {
      return absl::ResourceExhaustedError(absl::StrCat(file, ": with it files and tensors need ", needed,
                                                       " bytes of memory, more than the bound of ", limits.max_bytes));
    }
    HEED_ASSIGN_OR_RETURN(bundle.shortlist, Shortlist::Parse(file, bundle.files[file], bundle.spec.source().size(),
                                                             bundle.spec.target().size(),
                                                             !bundle.spec.shortlist().separate_vocabularies()));
  }
  return bundle;
}

}  // namespace heed
