#include "server/config/model_settings.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "engine/model/json_message.h"
#include "heed/server/v1/settings.pb.h"

namespace heed {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
constexpr char kAuto[] = "auto";

template <typename... Args>
absl::Status Fault(const std::string& file, const Args&... what) {
  return absl::InvalidArgumentError(absl::StrCat("--model_settings ", file, ": ", what...));
}

// Protobuf takes more than JSON, and of a key that an object has twice the last: neither is what somebody meant.
absl::Status CheckJson(absl::string_view json, const std::string& file) {
  using Json = nlohmann::json;
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  std::string twice;
  const auto watch = [&](int, Json::parse_event_t event, const Json& value) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second) {
      twice = value.get<std::string>();
    }
    return true;
  };
  try {
    const Json read = Json::parse(json.begin(), json.end(), watch);
  } catch (const Json::parse_error& error) {
    return Fault(file, "it is not JSON: a fault at byte ", error.byte);
  } catch (const Json::exception&) {
    return Fault(file, "it is not JSON: a number in it is out of range");
  }
  if (!twice.empty()) return Fault(file, "one of its objects has ", Quote(twice), " twice");
  return absl::OkStatus();
}

absl::StatusOr<ModelSetting> Read(const server::v1::ModelSetting& entry, const std::string& file,
                                  const std::string& path) {
  if (entry.name().empty()) return Fault(file, path, ".name is missing; it must be a bundle's name");
  ModelSetting setting{.name = entry.name(), .version = std::nullopt, .precision = PrecisionNamed(entry.precision())};
  if (entry.has_version()) setting.version = entry.version();
  if (!setting.precision.has_value() && entry.precision() != kAuto) {
    return Fault(file, path, ".precision is ", Quote(entry.precision()),
                 "; it must be float32 or bfloat16 or int8 or auto");
  }
  return setting;
}

}  // namespace

absl::StatusOr<std::vector<ModelSetting>> ParseModelSettings(absl::string_view json, const std::string& file) {
  if (json.size() > kMaxBytes) return Fault(file, "it has more than ", kMaxBytes, " bytes");
  HEED_RETURN_IF_ERROR(CheckJson(json, file));
  server::v1::ModelSettings parsed;
  if (const absl::Status status = ParseJsonMessage(json, &parsed); !status.ok()) return Fault(file, status.message());
  std::vector<ModelSetting> settings;
  std::set<std::pair<std::string, std::optional<std::string>>> seen;
  for (int i = 0; i < parsed.models_size(); ++i) {
    const std::string path = absl::StrCat("models[", i, "]");
    HEED_ASSIGN_OR_RETURN(ModelSetting setting, Read(parsed.models(i), file, path));
    if (!seen.emplace(setting.name, setting.version).second) {
      return Fault(file, path, " is of ", Quote(setting.name),
                   setting.version.has_value() ? absl::StrCat(" version ", Quote(*setting.version)) : "",
                   " a second time");
    }
    settings.push_back(std::move(setting));
  }
  return settings;
}

absl::StatusOr<std::vector<ModelSetting>> ReadModelSettings(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string json(kMaxBytes + 1, '\0');
  stream.read(json.data(), static_cast<std::streamsize>(json.size()));
  // A shorter file ends in end-of-file; a folder, or one that may not be read, in another failure.
  if (!stream && !stream.eof()) {
    return absl::InvalidArgumentError(absl::StrCat("--model_settings is ", file, "; it must be a readable file"));
  }
  json.resize(static_cast<std::size_t>(stream.gcount()));
  return ParseModelSettings(json, file);
}

}  // namespace heed
