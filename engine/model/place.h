// Where in model.json a fault is, so that every message of the checker opens the same way.
//
// Immutable.
#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace heed {

class Place {
 public:
  explicit Place(std::string path) : path_(std::move(path)) {}  // "step.h (cell)"

  // A part of it: "encoder.f (rnn): transitions 2".
  Place Part(const std::string& part) const { return Place(absl::StrCat(path_, ": ", part)); }

  // INVALID_ARGUMENT "model.json: step.h (cell): WHAT".
  template <typename... Args>
  absl::Status Invalid(const Args&... what) const {
    return absl::InvalidArgumentError(absl::StrCat("model.json: ", path_, ": ", what...));
  }

 private:
  std::string path_;
};

}  // namespace heed
