#include "client/cli/search_flags.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/fields/field_rules.h"

namespace heed::cli {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::OneofDescriptor;
using google::protobuf::Reflection;

// "BEAM_STOP_" of BeamStop.
std::string PrefixOf(const EnumDescriptor& type) {
  return std::string(absl::StripSuffix(type.value(0)->name(), "UNSPECIFIED"));
}

// "best_ends" of BEAM_STOP_BEST_ENDS.
std::string WordOf(const EnumDescriptor& type, int index) {
  return absl::AsciiStrToLower(absl::StripPrefix(type.value(index)->name(), PrefixOf(type)));
}

Flag EnumFlag(const FieldDescriptor* field, std::string help, v1::SearchOptions* search) {
  const EnumDescriptor& type = *field->enum_type();
  std::vector<std::string> words;
  for (int i = 1; i < type.value_count(); ++i) words.push_back(WordOf(type, i));
  return ChoiceFlag(field->name(), std::move(help), std::move(words), [search, field](const std::string& word) {
    const EnumDescriptor& values = *field->enum_type();
    for (int i = 1; i < values.value_count(); ++i) {
      if (WordOf(values, i) == word) search->GetReflection()->SetEnum(search, field, values.value(i));
    }
  });
}

Flag OptionalBoolFlag(const FieldDescriptor* field, std::string help, v1::SearchOptions* search) {
  return {field->name(), "", std::move(help), [search, field](const std::string& value) {
            bool on = false;
            if (!absl::SimpleAtob(value, &on)) return absl::InvalidArgumentError("it must be true or false");
            search->GetReflection()->SetBool(search, field, on);
            return absl::OkStatus();
          }};
}

// "0 to 100"; "1 to the server's --max_beam_size (16 where it says nothing else)"; "1 to --beam_size".
std::string RangeOf(const FieldDescriptor& field) {
  const v1::FieldRules& rules = RulesOf(field);
  const std::string least = absl::StrCat(static_cast<std::int64_t>(rules.minimum()), " to ");
  if (!rules.at_most().empty()) return absl::StrCat(least, "--", rules.at_most());
  if (rules.server_flag().empty()) return BoundOf(field);
  return absl::StrCat(least, "the server's --", rules.server_flag(), " (", rules.server_default(),
                      " where it says nothing else)");
}

// The server's bounds apply; here it only has to be a value that the field can hold.
Flag FieldFlag(const FieldDescriptor* field, v1::SearchOptions* search) {
  const std::string& name = field->name();
  const v1::FieldRules& rules = RulesOf(*field);
  std::string help = rules.help();
  // What depends on the server or on another flag is in the message of a wrong value.
  if (rules.has_maximum() && rules.server_flag().empty() && rules.at_most().empty()) {
    absl::StrAppend(&help, " (", BoundOf(*field), ")");
  }
  const Reflection* const reflection = search->GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return IntFlag(
          name, std::move(help), [=](std::int32_t value) { reflection->SetInt32(search, field, value); },
          RangeOf(*field));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return FloatFlag(
          name, std::move(help), [=](float value) { reflection->SetFloat(search, field, value); }, RangeOf(*field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return OptionalBoolFlag(field, std::move(help), search);
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumFlag(field, std::move(help), search);
    default:
      return StringFlag(name, "NAME", std::move(help),
                        [=](const std::string& value) { reflection->SetString(search, field, value); });
  }
}

// "gnmt[:ALPHA[:BETA]]": a message of the oneof, and the numbers in it.
std::string FormOf(const FieldDescriptor& choice) {
  const Descriptor& inside = *choice.message_type();
  std::string form = choice.name();
  for (int i = 0; i < inside.field_count(); ++i) {
    absl::StrAppend(&form, "[:", absl::AsciiStrToUpper(inside.field(i)->name()));
  }
  return form + std::string(static_cast<std::size_t>(inside.field_count()), ']');
}

// "none, average[:ALPHA] or gnmt[:ALPHA[:BETA]]".
std::string FormsOf(const OneofDescriptor& oneof) {
  std::string forms;
  for (int i = 0; i < oneof.field_count(); ++i) {
    const bool last = i > 0 && i + 1 == oneof.field_count();
    absl::StrAppend(&forms, i == 0 ? "" : last ? " or " : ", ", FormOf(*oneof.field(i)));
  }
  return forms;
}

// "ALPHA 0 to 10, BETA 0 to 100".
std::string NumbersOf(const Descriptor& inside) {
  std::string numbers;
  for (int i = 0; i < inside.field_count(); ++i) {
    const FieldDescriptor& field = *inside.field(i);
    absl::StrAppend(&numbers, i == 0 ? "" : ", ", absl::AsciiStrToUpper(field.name()), " ", BoundOf(field));
  }
  return numbers;
}

// "gnmt:0.6:0": the message's name, then its numbers in order, as many as are given.
absl::Status SetChoice(const OneofDescriptor& oneof, const std::string& value, v1::SearchOptions* search) {
  const std::vector<std::string> parts = absl::StrSplit(value, ':');
  const FieldDescriptor* choice = nullptr;
  for (int i = 0; i < oneof.field_count(); ++i) {
    if (oneof.field(i)->name() == parts[0]) choice = oneof.field(i);
  }
  const int given = static_cast<int>(parts.size()) - 1;
  if (choice == nullptr || given > choice->message_type()->field_count()) {
    return absl::InvalidArgumentError(absl::StrCat("it must be ", FormsOf(oneof)));
  }
  const Descriptor& inside = *choice->message_type();
  search->GetReflection()->ClearOneof(search, &oneof);  // of several flags the last counts, numbers and all
  Message* const message = search->GetReflection()->MutableMessage(search, choice);
  for (int i = 0; i < given; ++i) {
    float number = 0;
    if (!absl::SimpleAtof(parts[static_cast<std::size_t>(i) + 1], &number)) {
      return absl::InvalidArgumentError(
          absl::StrCat("what stands behind a colon must be a number: ", NumbersOf(inside)));
    }
    message->GetReflection()->SetFloat(message, inside.field(i), number);
  }
  return absl::OkStatus();
}

Flag ChoicesFlag(const OneofDescriptor* oneof, v1::SearchOptions* search) {
  const std::string& what = oneof->options().GetExtension(v1::choice).help();
  return {oneof->name(), "HOW", absl::StrCat(what, ": ", FormsOf(*oneof)),
          [search, oneof](const std::string& value) { return SetChoice(*oneof, value, search); }};
}

}  // namespace

std::vector<FlagGroup> SearchFlagGroups(v1::SearchOptions* search) {
  FlagGroup usual{"Search (default: the model's)", {}}, toolkit{"Search as a toolkit does it (docs/bundle.md)", {}};
  const Descriptor& message = *v1::SearchOptions::descriptor();
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor* const field = message.field(i);
    const v1::FieldRules& rules = RulesOf(*field);
    if (rules.bundle_only()) continue;
    const OneofDescriptor* const oneof = field->real_containing_oneof();
    if (oneof == nullptr) {
      (rules.toolkit() ? toolkit : usual).flags.push_back(FieldFlag(field, search));
    } else if (field == oneof->field(0)) {
      usual.flags.push_back(ChoicesFlag(oneof, search));
    }
  }
  return {std::move(usual), std::move(toolkit)};
}

}  // namespace heed::cli
