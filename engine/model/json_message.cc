#include "engine/model/json_message.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"

namespace heed {

absl::Status ParseJsonMessage(absl::string_view json, google::protobuf::Message* message) {
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
