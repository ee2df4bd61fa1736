#include "engine/fields/merge_fields.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/fields/field_rules.h"

namespace heed {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

using MaybeFault = std::optional<FieldFault>;
using Fields = std::vector<const FieldDescriptor*>;

// The greatest that the rules, the server's flags and, in `merged`, another field leave; none where nothing bounds it.
std::optional<double> MostOf(const Message& merged, const v1::FieldRules& rules, absl::Span<const ServerLimit> limits) {
  std::optional<double> most;
  const auto lower = [&most](double bound) { most = std::min(most.value_or(bound), bound); };
  if (rules.has_maximum()) lower(rules.maximum());
  for (const ServerLimit& limit : limits) {
    if (limit.flag == rules.server_flag()) lower(limit.most);
  }
  const FieldDescriptor* const other =
      rules.at_most().empty() ? nullptr : merged.GetDescriptor()->FindFieldByName(rules.at_most());
  if (other != nullptr && merged.GetReflection()->HasField(merged, other)) lower(NumberOf(merged, *other));
  return most;
}

void Overlay(const Message& over, const Fields& set, Message* under) {
  const Reflection& reflection = *under->GetReflection();
  for (const FieldDescriptor* const field : set) {
    reflection.ClearField(under, field);  // not merged, what lies inside
    for (const std::string& name : RulesOf(*field).replaces()) {
      if (const auto* const other = under->GetDescriptor()->FindFieldByName(name)) reflection.ClearField(under, other);
    }
  }
  under->MergeFrom(over);
}

// What does not depend on what lies beneath.
MaybeFault CheckSet(const Message& over, const Fields& set, absl::string_view path) {
  for (const FieldDescriptor* const field : set) {
    if (RulesOf(*field).bundle_only()) {
      return FieldFault{PathOf(path, *field), "set", "unset: it is the model's own"};
    }
    MaybeFault fault = FindConflict(over, *field, path);
    if (fault.has_value()) return fault;
  }
  return std::nullopt;
}

// A model may ask for more than this server gives.
void Cut(const FieldDescriptor& field, std::optional<double> most, Message* merged) {
  const Reflection& reflection = *merged->GetReflection();
  if (!most.has_value() || !reflection.HasField(*merged, &field) || NumberOf(*merged, field) <= *most) return;
  reflection.SetInt32(merged, &field, static_cast<std::int32_t>(*most));
}

}  // namespace

FieldMerger::FieldMerger(const google::protobuf::Descriptor& type) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.is_repeated() || field.cpp_type() != FieldDescriptor::CPPTYPE_INT32) continue;
    const v1::FieldRules& rules = RulesOf(field);
    if (!rules.at_most().empty()) {
      by_others_.push_back({&field, &rules});
    } else if (!rules.server_flag().empty()) {
      by_server_.push_back({&field, &rules});
    }
  }
}

MaybeFault FieldMerger::Merge(const Message& over, absl::string_view path, absl::Span<const ServerLimit> limits,
                              Message* under) const {
  Fields set;
  over.GetReflection()->ListFields(over, &set);
  if (MaybeFault fault = CheckSet(over, set, path); fault.has_value()) return fault;
  Overlay(over, set, under);
  const auto is_set = [&set](const FieldDescriptor* field) {
    return std::find(set.begin(), set.end(), field) != set.end();
  };
  // What bounds others comes before what it bounds.
  for (const std::vector<Bounded>* const fields : {&by_server_, &by_others_}) {
    for (const FieldDescriptor* const field : set) {
      const v1::FieldRules& rules = RulesOf(*field);
      if (rules.at_most().empty() != (fields == &by_server_)) continue;
      MaybeFault fault = FindFieldFault(over, *field, path, MostOf(*under, rules, limits));
      if (fault.has_value()) return fault;
    }
    for (const Bounded& bounded : *fields) {
      if (!is_set(bounded.field)) Cut(*bounded.field, MostOf(*under, *bounded.rules, limits), under);
    }
  }
  return std::nullopt;
}

}  // namespace heed
