// The vocabularies of model.json: their plain fields checked, and which files they name.
//
// Thread-safe: no state.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "heed/model/v1/model.pb.h"

namespace heed {

// `side` is "source" or "target". INVALID_ARGUMENT: "model.json: target.eos_id is 7000, expected 0 to 4999".
absl::Status CheckVocabulary(const std::string& side, const model::v1::Vocabulary& vocabulary, bool is_source);

// The files that its tokenizer reads.
std::vector<std::string> FilesOf(const model::v1::Vocabulary& vocabulary);

}  // namespace heed
