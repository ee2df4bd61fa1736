#include "server/verify/certificate.h"

#include <google/protobuf/struct.pb.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/precision.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "engine/fields/check_fields.h"
#include "engine/fields/field_rules.h"
#include "engine/model/json_message.h"
#include "engine/model/version1.h"
#include "heed/model/v1/parity.pb.h"

namespace heed {
namespace {

using model::v1::Parity;
using model::v1::ParityAttention;
using model::v1::ParityCase;
using model::v1::ParityTolerance;
using Rows = google::protobuf::RepeatedPtrField<google::protobuf::ListValue>;

constexpr std::size_t kMaxBytes = std::size_t{256} << 20;

template <typename... Args>
absl::Status Fault(const Args&... what) {
  return absl::InvalidArgumentError(absl::StrCat("parity.json: ", what...));
}

absl::Status CheckCount(absl::string_view path, int count, int expected, absl::string_view each) {
  if (count == expected) return absl::OkStatus();
  return Fault(path, " has ", count, " elements, expected ", expected, ", one for each ", each);
}

// One of as many as there are target tokens, or none.
absl::Status CheckOptional(absl::string_view path, int count, int expected, absl::string_view each) {
  return count == 0 ? absl::OkStatus() : CheckCount(path, count, expected, each);
}

// [rows, columns]; columns -1: as many as the first row has. Empty where the file has none.
absl::Status ReadMatrix(const std::string& path, const Rows& rows, int steps, int columns, absl::string_view each,
                        CertifiedMatrix* out) {
  if (rows.empty()) return absl::OkStatus();
  HEED_RETURN_IF_ERROR(CheckCount(path, rows.size(), steps, "of target_ids"));
  for (int t = 0; t < rows.size(); ++t) {
    const std::string row = absl::StrCat(path, "[", t, "]");
    const auto& values = rows[t].values();
    if (columns < 0) columns = values.size();
    HEED_RETURN_IF_ERROR(CheckCount(row, values.size(), columns, each));
    std::vector<double>& numbers = out->emplace_back();
    numbers.reserve(static_cast<std::size_t>(values.size()));
    for (int j = 0; j < values.size(); ++j) {
      if (!values[j].has_number_value()) return Fault(row, "[", j, "] is no number");
      numbers.push_back(values[j].number_value());
      if (!std::isfinite(numbers.back()))
        return Fault(row, "[", j, "] is ", numbers.back(), ", expected a finite number");
    }
  }
  return absl::OkStatus();
}

absl::Status ReadAttention(const std::string& path, const ParityAttention& from, const CertifiedCase& example,
                           CertifiedAttention* attention) {
  attention->attend = from.attend();
  attention->head = from.head();
  const int columns = static_cast<int>(example.source_ids.size());
  const int rows = static_cast<int>(example.target_ids.size());
  HEED_RETURN_IF_ERROR(
      ReadMatrix(path + ".weights", from.weights(), rows, columns, "of source_ids", &attention->weights));
  HEED_RETURN_IF_ERROR(
      ReadMatrix(path + ".energies", from.energies(), rows, columns, "of source_ids", &attention->energies));
  if (!from.contexts().empty() && attention->head != 0) {
    return Fault(path, ".contexts is given with head ", attention->head, ", expected 0 alone");
  }
  HEED_RETURN_IF_ERROR(
      ReadMatrix(path + ".contexts", from.contexts(), rows, -1, "element of the first row", &attention->contexts));
  for (const CertifiedAttention& other : example.attentions) {
    if (other.attend != attention->attend || other.head != attention->head) continue;
    return Fault(path, " is head ", attention->head, " of ", Quote(attention->attend), " a second time");
  }
  return absl::OkStatus();
}

absl::Status ReadCase(const std::string& path, const ParityCase& from, CertifiedCase* example) {
  const int steps = from.target_ids_size();
  HEED_RETURN_IF_ERROR(CheckCount(path + ".log_probabilities", from.log_probabilities_size(), steps, "of target_ids"));
  HEED_RETURN_IF_ERROR(CheckOptional(path + ".margins", from.margins_size(), steps, "of target_ids"));
  HEED_RETURN_IF_ERROR(
      CheckOptional(path + ".copy_ids", from.copy_ids_size(), from.source_ids_size(), "of source_ids"));
  HEED_RETURN_IF_ERROR(CheckOptional(path + ".copy_gates", from.copy_gates_size(), steps, "of target_ids"));
  if (from.has_text()) example->text = from.text();
  if (from.has_output()) example->output = from.output();
  example->source_ids.assign(from.source_ids().begin(), from.source_ids().end());
  example->target_ids.assign(from.target_ids().begin(), from.target_ids().end());
  example->log_probabilities.assign(from.log_probabilities().begin(), from.log_probabilities().end());
  example->margins.assign(from.margins().begin(), from.margins().end());
  example->finish = from.finish() == "eos" ? FinishReason::kEos : FinishReason::kLength;
  example->copy_ids.assign(from.copy_ids().begin(), from.copy_ids().end());
  example->copy_gates.assign(from.copy_gates().begin(), from.copy_gates().end());
  example->shortlist = from.shortlist();
  for (int i = 0; i < from.attentions_size(); ++i) {
    CertifiedAttention attention;
    HEED_RETURN_IF_ERROR(
        ReadAttention(absl::StrCat(path, ".attentions[", i, "]"), from.attentions(i), *example, &attention));
    example->attentions.push_back(std::move(attention));
  }
  return absl::OkStatus();
}

Tolerances ReadTolerance(const ParityTolerance& from) {
  const auto number = [&from](int field) {
    return NumberOr(from, *ParityTolerance::descriptor()->FindFieldByNumber(field));
  };
  return {.log_probability = number(ParityTolerance::kLogProbabilityFieldNumber),
          .weight = number(ParityTolerance::kWeightFieldNumber),
          .energy = number(ParityTolerance::kEnergyFieldNumber),
          .context = number(ParityTolerance::kContextFieldNumber),
          .margin = number(ParityTolerance::kMarginFieldNumber)};
}

}  // namespace

absl::StatusOr<Certificate> ParseCertificate(absl::string_view json) {
  if (json.size() > kMaxBytes) return Fault("the file has ", json.size(), " bytes, more than the bound of ", kMaxBytes);
  const absl::StatusOr<std::optional<std::string>> newer = FromVersion1(json);
  if (!newer.ok()) return Fault(newer.status().message());
  Parity parity;
  const absl::Status parsed = ParseJsonMessage(newer->has_value() ? **newer : json, &parity);
  if (!parsed.ok()) return Fault(parsed.message());
  if (const auto fault = FindFault(parity, ""); fault.has_value()) return Fault(fault->Line());
  Certificate certificate;
  certificate.reference = parity.reference();
  certificate.toolkit = parity.toolkit();
  certificate.search = parity.search();
  certificate.tolerance = ReadTolerance(parity.tolerance());
  if (parity.has_precision()) certificate.precision = PrecisionNamed(parity.precision()).value();
  for (int i = 0; i < parity.cases_size(); ++i) {
    HEED_RETURN_IF_ERROR(ReadCase(absl::StrCat("cases[", i, "]"), parity.cases(i), &certificate.cases.emplace_back()));
  }
  return certificate;
}

}  // namespace heed
