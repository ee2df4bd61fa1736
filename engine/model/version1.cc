#include "engine/model/version1.h"

#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "engine/fields/check_fields.h"
#include "heed/v1/search.pb.h"

namespace heed {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kNewest = 2;
constexpr int kMaxDepth = 64;  // writing it out again takes a call a level

// A field by either of the names that protobuf's JSON knows it by, taken out of `search`; null is as if it were not
// there.
std::optional<Json> Take(const char* name, const char* camel, Json* search, bool* changed) {
  std::optional<Json> value;
  for (const char* key : {name, camel}) {
    const auto found = search->find(key);
    if (found == search->end()) continue;
    *changed = true;
    if (!found->is_null()) value = *found;
    search->erase(found);
  }
  return value;
}

absl::Status WrongType(absl::string_view field, const Json& value, absl::string_view expected) {
  const std::string shown = value.is_structured()
                                ? absl::StrCat("an ", value.type_name())
                                : Quote(value.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace));
  return absl::InvalidArgumentError(absl::StrCat("search.", field, " is ", shown, ", expected ", expected));
}

// protobuf's JSON takes numbers in quotes, too, "NaN" among them.
absl::Status ReadNumber(absl::string_view field, const Json& value, double* number) {
  if (value.is_number()) {
    *number = value.get<double>();
    return absl::OkStatus();
  }
  if (value.is_string() && absl::SimpleAtod(value.get<std::string>(), number)) return absl::OkStatus();
  return WrongType(field, value, "a number");
}

// The bounds are those of the field that it has become.
absl::Status CheckNumber(absl::string_view field, double number, absl::string_view of) {
  v1::GnmtLengthNormalization gnmt;
  const auto* const described = gnmt.GetDescriptor()->FindFieldByName(std::string(of));
  gnmt.GetReflection()->SetFloat(&gnmt, described, static_cast<float>(number));
  std::optional<FieldFault> fault = FindFieldFault(gnmt, *described, "");
  if (!fault.has_value()) return absl::OkStatus();
  fault->path = absl::StrCat("search.", field);
  return absl::InvalidArgumentError(fault->Line());
}

// The enum by name, in full, or by number: 0 is what length_alpha alone says, 1 none, 2 power, 3 gnmt.
absl::Status ReadKind(const Json& value, int* kind) {
  constexpr const char* kNames[] = {"LENGTH_NORMALIZATION_UNSPECIFIED", "LENGTH_NORMALIZATION_NONE",
                                    "LENGTH_NORMALIZATION_POWER", "LENGTH_NORMALIZATION_GNMT"};
  for (int i = 0; i < 4; ++i) {
    if (value == kNames[i] || value == i) {
      *kind = i;
      return absl::OkStatus();
    }
  }
  return WrongType("length_normalization", value, "a known LengthNormalization");
}

absl::Status Convert(Json* search, bool* changed) {
  const auto kind_said = Take("length_normalization", "lengthNormalization", search, changed);
  const auto alpha_said = Take("length_alpha", "lengthAlpha", search, changed);
  const auto beta_said = Take("length_beta", "lengthBeta", search, changed);
  int kind = 0;
  double alpha = 0, beta = 5;  // the defaults of version 1
  if (kind_said.has_value()) HEED_RETURN_IF_ERROR(ReadKind(*kind_said, &kind));
  if (alpha_said.has_value()) {
    HEED_RETURN_IF_ERROR(ReadNumber("length_alpha", *alpha_said, &alpha));
    HEED_RETURN_IF_ERROR(CheckNumber("length_alpha", alpha, "alpha"));
  }
  if (beta_said.has_value()) {
    HEED_RETURN_IF_ERROR(ReadNumber("length_beta", *beta_said, &beta));
    HEED_RETURN_IF_ERROR(CheckNumber("length_beta", beta, "beta"));
  }
  if (kind == 3) {
    (*search)["gnmt"] = {{"alpha", alpha}, {"beta", beta}};
  } else if (kind == 2 || (kind == 0 && alpha > 0)) {
    (*search)["average"] = {{"alpha", alpha}};
  } else if (kind == 1) {
    (*search)["none"] = Json::object();
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::optional<std::string>> FromVersion1(absl::string_view json) {
  bool too_deep = false;
  const auto keep = [&too_deep](int depth, Json::parse_event_t, const Json&) {
    too_deep = too_deep || depth > kMaxDepth;
    return !too_deep;
  };
  Json file = Json::parse(json.begin(), json.end(), keep, /*allow_exceptions=*/false);
  if (file.is_discarded() || too_deep || !file.is_object()) return std::nullopt;
  const auto version =
      file.find("format_version") != file.end() ? file.find("format_version") : file.find("formatVersion");
  const auto search = file.find("search");
  if (version == file.end()) return std::nullopt;
  // Before anything else: what a later version has would only be an unknown field here.
  if (version->is_number_integer() && *version != 1 && *version != kNewest) {
    return absl::InvalidArgumentError(absl::StrCat("format_version is ", version->dump(), ", expected 1 to ", kNewest));
  }
  if (*version != 1 || search == file.end() || !search->is_object()) return std::nullopt;
  bool changed = false;
  HEED_RETURN_IF_ERROR(Convert(&*search, &changed));
  if (!changed) return std::nullopt;
  return file.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace heed
