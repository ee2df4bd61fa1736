#include "engine/fields/check_fields.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/quote.h"
#include "engine/fields/field_rules.h"

namespace heed {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

using MaybeFault = std::optional<FieldFault>;

std::string ValueOf(const Message& message, const FieldDescriptor& field, int element) {
  const double number = NumberOf(message, field, element);
  // As the type holds it: 0.1, not 0.10000000149.
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_FLOAT) return absl::StrCat(static_cast<float>(number));
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) return absl::StrCat(number);
  return absl::StrCat(static_cast<std::int64_t>(number));
}

// NaN is outside every range, so the comparisons are written to refuse it.
bool IsWithin(const v1::FieldRules& rules, double number, std::optional<double> most) {
  if (rules.has_minimum() && !(rules.above_minimum() ? number > rules.minimum() : number >= rules.minimum())) {
    return false;
  }
  if (!most.has_value() && rules.has_maximum()) most = rules.maximum();
  if (most.has_value() && !(number <= *most)) return false;
  return !rules.finite() || std::isfinite(number);
}

MaybeFault CheckValue(const Message& message, const FieldDescriptor& field, int element, const std::string& path,
                      std::optional<double> most) {
  const v1::FieldRules& rules = RulesOf(field);
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      const Message& inside = element < 0 ? reflection.GetMessage(message, &field)
                                          : reflection.GetRepeatedMessage(message, &field, element);
      return FindFault(inside, path);
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      if (rules.words_size() == 0) return std::nullopt;
      const std::string text =
          element < 0 ? reflection.GetString(message, &field) : reflection.GetRepeatedString(message, &field, element);
      if (std::count(rules.words().begin(), rules.words().end(), text) > 0) return std::nullopt;
      return FieldFault{path, Quote(text), BoundOf(field)};
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int number = static_cast<int>(NumberOf(message, field, element));
      if (field.enum_type()->FindValueByNumber(number) != nullptr) return std::nullopt;
      return FieldFault{path, absl::StrCat(number), BoundOf(field)};
    }
    default: {
      if (IsWithin(rules, NumberOf(message, field, element), most)) return std::nullopt;
      std::string bound = BoundOf(field, most);
      if (most.has_value() && !rules.at_most_is().empty()) absl::StrAppend(&bound, " (", rules.at_most_is(), ")");
      return FieldFault{path, ValueOf(message, field, element), std::move(bound)};
    }
  }
}

MaybeFault CheckList(const Message& message, const FieldDescriptor& field, const std::string& path) {
  const v1::FieldRules& rules = RulesOf(field);
  const int size = message.GetReflection()->FieldSize(message, &field);
  if (rules.max_items() > 0 && size > rules.max_items()) {
    return FieldFault{path, absl::StrCat("a list of ", size), absl::StrCat("a list of at most ", rules.max_items())};
  }
  for (int i = 0; i < size; ++i) {
    MaybeFault fault = CheckValue(message, field, i, absl::StrCat(path, "[", i, "]"), std::nullopt);
    if (fault.has_value()) return fault;
  }
  return std::nullopt;
}

bool IsSet(const Message& message, const FieldDescriptor& field) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  return field.is_repeated() ? reflection.FieldSize(message, &field) > 0 : reflection.HasField(message, &field);
}

// What another field of the same message leaves this one, where both are set.
std::optional<double> MostBeside(const Message& message, const v1::FieldRules& rules) {
  if (rules.at_most().empty()) return std::nullopt;
  const FieldDescriptor* const other = message.GetDescriptor()->FindFieldByName(rules.at_most());
  if (other == nullptr || !IsSet(message, *other)) return std::nullopt;
  return std::min(NumberOf(message, *other), rules.maximum());
}

}  // namespace

std::string FieldFault::Line() const {
  return absl::StrCat(path, " is ", value, bound.empty() ? "" : ", expected ", bound);
}

std::string PathOf(absl::string_view path, const FieldDescriptor& field) {
  return absl::StrCat(path, path.empty() ? "" : ".", field.name());
}

MaybeFault FindFieldFault(const Message& message, const FieldDescriptor& field, absl::string_view path,
                          std::optional<double> most) {
  // Messages of protobuf's own have no rules, and maps here are for people.
  if (field.is_map()) return std::nullopt;
  if (field.message_type() != nullptr && absl::StartsWith(field.message_type()->full_name(), "google.protobuf.")) {
    return std::nullopt;
  }
  const std::string own = PathOf(path, field);
  return field.is_repeated() ? CheckList(message, field, own) : CheckValue(message, field, -1, own, most);
}

MaybeFault FindConflict(const Message& message, const FieldDescriptor& field, absl::string_view path) {
  std::string others;
  bool both = false;
  for (const std::string& name : RulesOf(field).replaces()) {
    const FieldDescriptor* const other = message.GetDescriptor()->FindFieldByName(name);
    if (other == nullptr) continue;
    const auto& back = RulesOf(*other).replaces();
    if (std::count(back.begin(), back.end(), field.name()) == 0) continue;  // one way: they go together
    absl::StrAppend(&others, others.empty() ? "" : " or ", name);
    both = both || IsSet(message, *other);
  }
  if (!both) return std::nullopt;
  return FieldFault{PathOf(path, field), ValueOf(message, field, -1), absl::StrCat("unset where ", others, " is set")};
}

const FieldDescriptor* FieldThatReadsAttention(const Message& message) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* const field = message.GetDescriptor()->field(i);
    const v1::FieldRules& rules = RulesOf(*field);
    if (!rules.needs_attention() || !IsSet(message, *field)) continue;
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_BOOL && reflection.GetBool(message, field)) return field;
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_ENUM) continue;
    if (reflection.GetEnum(message, field)->name() != rules.default_value()) return field;
  }
  return nullptr;
}

MaybeFault FindFault(const Message& message, absl::string_view path) {
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    const v1::FieldRules& rules = RulesOf(field);
    if (!IsSet(message, field)) {
      if (rules.required()) return FieldFault{PathOf(path, field), "missing", ""};
      continue;
    }
    MaybeFault fault = FindFieldFault(message, field, path, MostBeside(message, rules));
    if (!fault.has_value()) fault = FindConflict(message, field, path);
    if (fault.has_value()) return fault;
  }
  return std::nullopt;
}

}  // namespace heed
