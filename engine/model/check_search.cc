#include "engine/model/check_search.h"

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "engine/fields/check_fields.h"
#include "engine/model/spec_fault.h"

namespace heed {
namespace {

using model::v1::ModelSpec;

template <typename... Args>
absl::Status Fault(const Args&... what) {
  return SpecFault("search.", what...);
}

absl::Status CheckBannedIds(const ModelSpec& spec) {
  const v1::SearchOptions& search = spec.search();
  std::set<int> seen;
  for (int i = 0; i < search.banned_ids_size(); ++i) {
    const std::string field = absl::StrCat("search.banned_ids[", i, "]");
    const int id = search.banned_ids(i);
    HEED_RETURN_IF_ERROR(CheckRange(field, id, 0, spec.target().size() - 1));
    if (id == spec.target().eos_id()) return SpecFault(field, " is ", id, ", the target's eos_id: no output could end");
    if (!seen.insert(id).second) return SpecFault(field, " is ", id, ", which is banned already");
  }
  return absl::OkStatus();
}

absl::Status CheckAttend(const ModelSpec& spec) {
  const v1::SearchOptions& search = spec.search();
  std::vector<absl::string_view> attends;
  for (const model::v1::Op& op : spec.step().ops()) {
    if (op.has_attend()) attends.push_back(op.name());
  }
  if (attends.empty()) {
    if (const auto* const field = FieldThatReadsAttention(search); field != nullptr) {
      return Fault(field->name(), " needs an attend in the step program, which has none");
    }
  }
  if (search.attend().empty()) return absl::OkStatus();
  for (const absl::string_view name : attends) {
    if (name == search.attend()) return absl::OkStatus();
  }
  return Fault("attend is ", Quote(search.attend()), ", expected an attend of the step program: ",
               attends.empty() ? "it has none" : absl::StrJoin(attends, ", "));
}

}  // namespace

absl::Status CheckSearch(const ModelSpec& spec) {
  if (const std::optional<FieldFault> fault = FindFault(spec.search(), "search"); fault.has_value()) {
    return SpecFault(fault->Line());
  }
  HEED_RETURN_IF_ERROR(CheckBannedIds(spec));
  return CheckAttend(spec);
}

}  // namespace heed
