// model.json but for its programs: parsed strictly, and its plain fields checked.
//
// Thread-safe: no state.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "heed/model/v1/model.pb.h"

namespace heed {

// Parses protobuf's JSON form; unknown fields, unknown enum names and more than 4 MiB are INVALID_ARGUMENT.
absl::StatusOr<model::v1::ModelSpec> ParseSpec(absl::string_view json);

// Everything but encoder, init and step: required fields, names, languages, special ids within their vocabularies,
// bounds of search defaults and limits. INVALID_ARGUMENT: "model.json: target.eos_id is 7000, expected 0 to 4999".
absl::Status CheckSpec(const model::v1::ModelSpec& spec);

// The files that the spec names (tokenisers, shortlist), each once.
std::vector<std::string> FilesOf(const model::v1::ModelSpec& spec);

}  // namespace heed
