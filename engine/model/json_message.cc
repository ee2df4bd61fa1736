#include "engine/model/json_message.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstddef>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace heed {

namespace {

// protobuf's reader takes time by the square of the depth where any value may stand, as in a google.protobuf.ListValue.
constexpr int kMaxDepth = 64;

// The most brackets and braces that are open at one place; what is no JSON is told by who reads it.
int DepthOf(absl::string_view json) {
  int depth = 0, most = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (c == '\\') ++i;  // the next one ends no string
    if (c == '"') in_string = !in_string;
    if (in_string) continue;
    if (c == '[' || c == '{') most = std::max(most, ++depth);
    if (c == ']' || c == '}') --depth;
  }
  return most;
}

}  // namespace

absl::Status ParseJsonMessage(absl::string_view json, google::protobuf::Message* message) {
  if (DepthOf(json) > kMaxDepth) {
    return absl::InvalidArgumentError(absl::StrCat("the file has values more than ", kMaxDepth, " levels deep"));
  }
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = false;
  const auto status = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(json.data(), json.size()), message, options);
  if (status.ok()) return absl::OkStatus();
  // protobuf's own text quotes the place over several lines: keep one.
  const auto said = status.message();
  std::string line(said.data(), said.size());
  std::replace_if(
      line.begin(), line.end(), [](char c) { return !absl::ascii_isprint(c); }, ' ');
  absl::RemoveExtraAsciiWhitespace(&line);
  return absl::InvalidArgumentError(line.substr(0, 300));
}

}  // namespace heed
