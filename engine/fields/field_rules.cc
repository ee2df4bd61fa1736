#include "engine/fields/field_rules.h"

#include <cstdint>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace heed {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::string Word(const FieldDescriptor& field, double number) {
  // Whole numbers are written out: 100000, not 1e+05.
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_INT32) return absl::StrCat(static_cast<std::int64_t>(number));
  return absl::StrCat(number);
}

std::string Words(const v1::FieldRules& rules) {
  std::string list;
  for (int i = 0; i < rules.words_size(); ++i) {
    const bool last = i > 0 && i + 1 == rules.words_size();
    absl::StrAppend(&list, i == 0 ? "" : last ? " or " : ", ", rules.words(i));
  }
  return list;
}

void SetDefault(const FieldDescriptor& field, const std::string& value, Message* message) {
  const google::protobuf::Reflection* const reflection = message->GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: {
      std::int32_t number = 0;
      if (absl::SimpleAtoi(value, &number)) reflection->SetInt32(message, &field, number);
      break;
    }
    case FieldDescriptor::CPPTYPE_FLOAT: {
      float number = 0;
      if (absl::SimpleAtof(value, &number)) reflection->SetFloat(message, &field, number);
      break;
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double number = 0;
      if (absl::SimpleAtod(value, &number)) reflection->SetDouble(message, &field, number);
      break;
    }
    case FieldDescriptor::CPPTYPE_ENUM:
      if (const auto* const named = field.enum_type()->FindValueByName(value)) {
        reflection->SetEnum(message, &field, named);
      }
      break;
    default:
      break;  // no rule gives one to other types: a test walks all fields
  }
}

}  // namespace

const v1::FieldRules& RulesOf(const FieldDescriptor& field) { return field.options().GetExtension(v1::rules); }

std::string BoundOf(const FieldDescriptor& field, std::optional<double> most) {
  const v1::FieldRules& rules = RulesOf(field);
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) return absl::StrCat("a known ", field.enum_type()->name());
  if (rules.words_size() > 0) return Words(rules);
  if (!most.has_value() && rules.has_maximum()) most = rules.maximum();
  const std::string greatest = most.has_value() ? Word(field, *most) : "";
  if (!rules.has_minimum()) {
    return most.has_value() ? absl::StrCat("at most ", greatest) : rules.finite() ? "a finite number" : "";
  }
  const std::string least = Word(field, rules.minimum());
  if (rules.above_minimum()) {
    return absl::StrCat("a number above ", least, most.has_value() ? ", at most " : "", greatest);
  }
  return most.has_value() ? absl::StrCat(least, " to ", greatest) : absl::StrCat("at least ", least);
}

double NumberOf(const Message& message, const FieldDescriptor& field, int element) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  const bool one = element < 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return one ? reflection.GetInt32(message, &field) : reflection.GetRepeatedInt32(message, &field, element);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return one ? reflection.GetFloat(message, &field) : reflection.GetRepeatedFloat(message, &field, element);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return one ? reflection.GetDouble(message, &field) : reflection.GetRepeatedDouble(message, &field, element);
    case FieldDescriptor::CPPTYPE_ENUM:
      return one ? reflection.GetEnumValue(message, &field) : reflection.GetRepeatedEnumValue(message, &field, element);
    default:
      return 0;
  }
}

void SetDefaults(Message* message) {
  for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message->GetDescriptor()->field(i);
    const std::string& value = RulesOf(field).default_value();
    if (!value.empty() && !field.is_repeated()) SetDefault(field, value, message);
  }
}

double NumberOr(const Message& message, const FieldDescriptor& field) {
  if (message.GetReflection()->HasField(message, &field)) return NumberOf(message, field);
  double number = 0;
  return absl::SimpleAtod(RulesOf(field).default_value(), &number) ? number : 0;
}

}  // namespace heed
