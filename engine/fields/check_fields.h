// Whether a message holds what the rules of its fields allow (heed/v1/rules.proto), and what is said where it does not:
// the same words whether it came in a file or in a request.
//
// Plain functions and values, thread-safe.
#pragma once

#include <google/protobuf/message.h>

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace heed {

// A field that holds what it may not.
struct FieldFault {
  std::string path;   // "search.gnmt.alpha", "cases[2].margins[0]"
  std::string value;  // "11", "nan", "\"stop\"", "a list of 1025", "missing"
  std::string bound;  // "0 to 10", "a known BeamPolicy"; empty where it is missing

  // "search.gnmt.alpha is 11, expected 0 to 10"; "reference is missing".
  std::string Line() const;
};

// The first fault in `message` and the messages inside it, if there is one: of fields without a value, those that have
// to be there. `path` is the message's own name, "search"; empty for a file's outermost. Bounds that depend on other
// fields of the message (`at_most`, `replaces`) count, those of a server's flags do not.
std::optional<FieldFault> FindFault(const google::protobuf::Message& message, absl::string_view path);

// Of one field that is set: its value against its own bounds, messages inside it likewise. `most`, where given, is the
// greatest number in place of the rules' own.
std::optional<FieldFault> FindFieldFault(const google::protobuf::Message& message,
                                         const google::protobuf::FieldDescriptor& field, absl::string_view path,
                                         std::optional<double> most = std::nullopt);

// Whether `field` and another one that is set exclude each other.
std::optional<FieldFault> FindConflict(const google::protobuf::Message& message,
                                       const google::protobuf::FieldDescriptor& field, absl::string_view path);

// The first switch or choice that only a model with an attend can follow (FieldRules.needs_attention) and that is not
// at its default; none where there is none. A string is no such thing: it names what is looked up elsewhere.
const google::protobuf::FieldDescriptor* FieldThatReadsAttention(const google::protobuf::Message& message);

// "search.beam_size" of "search" and its field.
std::string PathOf(absl::string_view path, const google::protobuf::FieldDescriptor& field);

}  // namespace heed
