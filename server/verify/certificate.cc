#include "server/verify/certificate.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/precision.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "engine/model/json_message.h"

namespace heed {
namespace {

using Json = nlohmann::json;
using Keys = std::initializer_list<const char*>;

constexpr std::size_t kMaxBytes = std::size_t{256} << 20;
constexpr std::size_t kMaxSourceIds = 100000;
constexpr std::size_t kMaxTargetIds = 100000;
constexpr int kMaxDepth = 32;

template <typename... Args>
absl::Status Fault(const Args&... what) {
  return absl::InvalidArgumentError(absl::StrCat("parity.json: ", what...));
}

// What a value of the wrong type is called in a message.
std::string Shown(const Json& value) {
  if (value.is_object() || value.is_array()) return absl::StrCat("an ", value.type_name());
  return Quote(value.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace));
}

absl::Status WrongType(absl::string_view path, const Json& value, absl::string_view expected) {
  return Fault(path, " is ", Shown(value), ", expected ", expected);
}

absl::Status CheckKeys(absl::string_view path, const Json& object, Keys required, Keys optional) {
  if (!object.is_object()) return WrongType(path, object, "an object");
  const absl::string_view dot = path.empty() ? "" : ".";
  for (const char* key : required) {
    if (!object.contains(key)) return Fault(path, dot, key, " is missing");
  }
  const auto known = [](Keys keys, const std::string& key) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
  };
  for (const auto& [key, value] : object.items()) {
    if (known(required, key) || known(optional, key)) continue;
    return Fault(path.empty() ? "the file" : path, " has an unknown field ", Quote(key));
  }
  return absl::OkStatus();
}

absl::Status ReadString(absl::string_view path, const Json& value, std::string* out) {
  if (!value.is_string()) return WrongType(path, value, "a string");
  *out = value.get<std::string>();
  return absl::OkStatus();
}

// An array of `count` elements, or of any number where count is negative.
absl::Status CheckArray(absl::string_view path, const Json& value, std::ptrdiff_t count, absl::string_view each) {
  if (!value.is_array()) return WrongType(path, value, "an array");
  const auto size = static_cast<std::ptrdiff_t>(value.size());
  if (count < 0 || size == count) return absl::OkStatus();
  return Fault(path, " has ", size, " elements, expected ", count, ", one for each ", each);
}

absl::Status ReadIds(absl::string_view path, const Json& value, std::size_t most, std::vector<TokenId>* out) {
  HEED_RETURN_IF_ERROR(CheckArray(path, value, -1, ""));
  if (value.empty() || value.size() > most) {
    return Fault(path, " has ", value.size(), " ids, expected 1 to ", most);
  }
  for (std::size_t i = 0; i < value.size(); ++i) {
    const bool is_id = value[i].is_number_integer() && value[i] >= 0 && value[i] <= std::numeric_limits<TokenId>::max();
    if (!is_id) return WrongType(absl::StrCat(path, "[", i, "]"), value[i], "an id, a whole number from 0");
    out->push_back(value[i].get<TokenId>());
  }
  return absl::OkStatus();
}

absl::Status ReadNumbers(absl::string_view path, const Json& value, std::ptrdiff_t count, absl::string_view each,
                         std::vector<double>* out) {
  HEED_RETURN_IF_ERROR(CheckArray(path, value, count, each));
  out->reserve(value.size());
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (!value[i].is_number()) return WrongType(absl::StrCat(path, "[", i, "]"), value[i], "a number");
    out->push_back(value[i].get<double>());
  }
  return absl::OkStatus();
}

// [rows, columns]; columns -1: as many as the first row has.
absl::Status ReadMatrix(const std::string& path, const Json& value, std::size_t rows, std::ptrdiff_t columns,
                        absl::string_view each, CertifiedMatrix* out) {
  HEED_RETURN_IF_ERROR(CheckArray(path, value, static_cast<std::ptrdiff_t>(rows), "of target_ids"));
  for (std::size_t t = 0; t < rows; ++t) {
    HEED_RETURN_IF_ERROR(ReadNumbers(absl::StrCat(path, "[", t, "]"), value[t], columns, each, &out->emplace_back()));
    if (columns < 0) columns = static_cast<std::ptrdiff_t>(out->front().size());
  }
  return absl::OkStatus();
}

absl::Status ReadAttention(const std::string& path, const Json& json, const CertifiedCase& example,
                           CertifiedAttention* attention) {
  HEED_RETURN_IF_ERROR(CheckKeys(path, json, {"attend", "head"}, {"weights", "energies", "contexts"}));
  HEED_RETURN_IF_ERROR(ReadString(path + ".attend", json["attend"], &attention->attend));
  const Json& head = json["head"];
  if (!head.is_number_integer() || head < 0 || head > 1024) {
    return WrongType(path + ".head", head, "a whole number from 0 to 1024");
  }
  attention->head = head.get<int>();
  const auto columns = static_cast<std::ptrdiff_t>(example.source_ids.size());
  const std::size_t rows = example.target_ids.size();
  if (json.contains("weights")) {
    HEED_RETURN_IF_ERROR(
        ReadMatrix(path + ".weights", json["weights"], rows, columns, "of source_ids", &attention->weights));
  }
  if (json.contains("energies")) {
    HEED_RETURN_IF_ERROR(
        ReadMatrix(path + ".energies", json["energies"], rows, columns, "of source_ids", &attention->energies));
  }
  if (json.contains("contexts")) {
    if (attention->head != 0)
      return Fault(path, ".contexts is given with head ", attention->head, ", expected 0 alone");
    HEED_RETURN_IF_ERROR(
        ReadMatrix(path + ".contexts", json["contexts"], rows, -1, "element of the first row", &attention->contexts));
  }
  for (const CertifiedAttention& other : example.attentions) {
    if (other.attend != attention->attend || other.head != attention->head) continue;
    return Fault(path, " is head ", attention->head, " of ", Quote(attention->attend), " a second time");
  }
  return absl::OkStatus();
}

absl::Status ReadOptionalParts(const std::string& path, const Json& json, CertifiedCase* example) {
  const auto steps = static_cast<std::ptrdiff_t>(example->target_ids.size());
  if (json.contains("text")) HEED_RETURN_IF_ERROR(ReadString(path + ".text", json["text"], &example->text.emplace()));
  if (json.contains("output")) {
    HEED_RETURN_IF_ERROR(ReadString(path + ".output", json["output"], &example->output.emplace()));
  }
  if (json.contains("margins")) {
    HEED_RETURN_IF_ERROR(ReadNumbers(path + ".margins", json["margins"], steps, "of target_ids", &example->margins));
  }
  if (json.contains("copy_ids")) {
    HEED_RETURN_IF_ERROR(CheckArray(path + ".copy_ids", json["copy_ids"],
                                    static_cast<std::ptrdiff_t>(example->source_ids.size()), "of source_ids"));
    HEED_RETURN_IF_ERROR(ReadIds(path + ".copy_ids", json["copy_ids"], kMaxSourceIds, &example->copy_ids));
  }
  if (json.contains("copy_gates")) {
    HEED_RETURN_IF_ERROR(
        ReadNumbers(path + ".copy_gates", json["copy_gates"], steps, "of target_ids", &example->copy_gates));
  }
  if (json.contains("shortlist")) {
    if (!json["shortlist"].is_boolean()) return WrongType(path + ".shortlist", json["shortlist"], "true or false");
    example->shortlist = json["shortlist"].get<bool>();
  }
  if (json.contains("attentions")) {
    HEED_RETURN_IF_ERROR(CheckArray(path + ".attentions", json["attentions"], -1, ""));
    for (std::size_t i = 0; i < json["attentions"].size(); ++i) {
      CertifiedAttention attention;
      HEED_RETURN_IF_ERROR(
          ReadAttention(absl::StrCat(path, ".attentions[", i, "]"), json["attentions"][i], *example, &attention));
      example->attentions.push_back(std::move(attention));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadCase(const std::string& path, const Json& json, CertifiedCase* example) {
  HEED_RETURN_IF_ERROR(CheckKeys(path, json, {"source_ids", "target_ids", "log_probabilities", "finish"},
                                 {"text", "output", "margins", "copy_ids", "copy_gates", "shortlist", "attentions"}));
  HEED_RETURN_IF_ERROR(ReadIds(path + ".source_ids", json["source_ids"], kMaxSourceIds, &example->source_ids));
  HEED_RETURN_IF_ERROR(ReadIds(path + ".target_ids", json["target_ids"], kMaxTargetIds, &example->target_ids));
  HEED_RETURN_IF_ERROR(ReadNumbers(path + ".log_probabilities", json["log_probabilities"],
                                   static_cast<std::ptrdiff_t>(example->target_ids.size()), "of target_ids",
                                   &example->log_probabilities));
  const Json& finish = json["finish"];
  if (finish != "eos" && finish != "length") return WrongType(path + ".finish", finish, "\"eos\" or \"length\"");
  example->finish = finish == "eos" ? FinishReason::kEos : FinishReason::kLength;
  return ReadOptionalParts(path, json, example);
}

absl::Status ReadTolerances(const Json& json, Tolerances* tolerance) {
  HEED_RETURN_IF_ERROR(CheckKeys("tolerance", json, {}, {"log_probability", "weight", "energy", "context", "margin"}));
  const std::pair<const char*, double*> fields[] = {{"log_probability", &tolerance->log_probability},
                                                    {"weight", &tolerance->weight},
                                                    {"energy", &tolerance->energy},
                                                    {"context", &tolerance->context},
                                                    {"margin", &tolerance->margin}};
  for (const auto& [name, target] : fields) {
    if (!json.contains(name)) continue;
    const Json& value = json[name];
    if (!value.is_number() || !(value > 0) || !(value <= 1)) {
      return WrongType(absl::StrCat("tolerance.", name), value, "a number above 0, at most 1");
    }
    *target = value.get<double>();
  }
  return absl::OkStatus();
}

absl::Status ReadSearch(const Json& json, model::v1::SearchDefaults* search) {
  if (!json.is_object()) return WrongType("search", json, "an object");
  const absl::Status parsed = ParseJsonMessage(json.dump(), search);
  return parsed.ok() ? parsed : Fault("search: ", parsed.message());
}

// For people and programs that read the file; nothing here depends on it.
absl::Status CheckMeasured(const Json& json) {
  HEED_RETURN_IF_ERROR(CheckKeys("measured", json, {"by", "values"}, {"precision", "instruction_set"}));
  std::string ignored;
  for (const char* key : {"by", "precision", "instruction_set"}) {
    if (json.contains(key)) HEED_RETURN_IF_ERROR(ReadString(absl::StrCat("measured.", key), json[key], &ignored));
  }
  if (!json["values"].is_object()) return WrongType("measured.values", json["values"], "an object");
  for (const auto& [name, value] : json["values"].items()) {
    if (!value.is_number()) return WrongType(absl::StrCat("measured.values ", Quote(name)), value, "a number");
  }
  return absl::OkStatus();
}

absl::StatusOr<Certificate> ReadCertificate(const Json& json) {
  HEED_RETURN_IF_ERROR(CheckKeys("", json, {"format_version", "reference", "search", "tolerance", "cases"},
                                 {"toolkit", "precision", "measured"}));
  if (json["format_version"] != 1) return WrongType("format_version", json["format_version"], "1");
  Certificate certificate;
  HEED_RETURN_IF_ERROR(ReadString("reference", json["reference"], &certificate.reference));
  if (json.contains("toolkit")) HEED_RETURN_IF_ERROR(ReadString("toolkit", json["toolkit"], &certificate.toolkit));
  if (json.contains("precision")) {
    std::string name;
    HEED_RETURN_IF_ERROR(ReadString("precision", json["precision"], &name));
    const std::optional<Precision> precision = PrecisionNamed(name);
    if (!precision.has_value()) return Fault("precision is ", Quote(name), ", expected float32, bfloat16 or int8");
    certificate.precision = *precision;
  }
  HEED_RETURN_IF_ERROR(ReadSearch(json["search"], &certificate.search));
  HEED_RETURN_IF_ERROR(ReadTolerances(json["tolerance"], &certificate.tolerance));
  if (json.contains("measured")) HEED_RETURN_IF_ERROR(CheckMeasured(json["measured"]));
  HEED_RETURN_IF_ERROR(CheckArray("cases", json["cases"], -1, ""));
  if (json["cases"].empty()) return Fault("cases is empty");
  for (std::size_t i = 0; i < json["cases"].size(); ++i) {
    HEED_RETURN_IF_ERROR(ReadCase(absl::StrCat("cases[", i, "]"), json["cases"][i], &certificate.cases.emplace_back()));
  }
  return certificate;
}

}  // namespace

absl::StatusOr<Certificate> ParseCertificate(absl::string_view json) {
  if (json.size() > kMaxBytes) return Fault("the file has ", json.size(), " bytes, more than the bound of ", kMaxBytes);
  Json parsed;
  bool too_deep = false;
  const auto keep = [&too_deep](int depth, Json::parse_event_t, const Json&) {
    too_deep = too_deep || depth > kMaxDepth;
    return !too_deep;
  };
  try {
    parsed = Json::parse(json.begin(), json.end(), keep);
  } catch (const Json::parse_error& error) {
    return Fault("the file is not JSON: a fault at byte ", error.byte);
  } catch (const Json::exception&) {
    return Fault("the file is not JSON: a number in it is out of range");
  }
  // What lies in `search` is written out again, one call a level.
  if (too_deep) return Fault("the file has values more than ", kMaxDepth, " levels deep");
  return ReadCertificate(parsed);
}

}  // namespace heed
