// What a field may hold, read from its options (heed/v1/rules.proto): the one place that bounds, defaults and meanings
// are said in. Here they are put into words, for messages, flags and tables.
//
// Plain functions, thread-safe.
#pragma once

#include <google/protobuf/message.h>

#include <optional>
#include <string>

#include "heed/v1/rules.pb.h"

namespace heed {

// Of a field without rules: empty ones.
const v1::FieldRules& RulesOf(const google::protobuf::FieldDescriptor& field);

// What one value of a field must be: "1 to 10", "above 0, at most 1", "at least 0", "a finite number", "a known
// BeamPolicy", "float32, bfloat16 or int8". Empty where anything will do. `most`, where given, is the greatest number
// in place of the rules' own.
std::string BoundOf(const google::protobuf::FieldDescriptor& field, std::optional<double> most = std::nullopt);

// A number of a field, or of an element of a repeated one. The field is of a number or an enum.
double NumberOf(const google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field,
                int element = -1);

// Sets each field that its rules give a default, and no other. Messages inside are left alone: NumberOr has theirs.
void SetDefaults(google::protobuf::Message* message);

// The number that `field` of `message` has, or else the default of its rules, or else 0.
double NumberOr(const google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field);

}  // namespace heed
