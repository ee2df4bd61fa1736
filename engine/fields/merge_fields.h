// A request's settings over those that lie beneath, a model's: field by field, by what is set.
#pragma once

#include <google/protobuf/message.h>

#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/fields/check_fields.h"
#include "heed/v1/rules.pb.h"

namespace heed {

// What a server's flag allows: FieldRules.server_flag.
struct ServerLimit {
  absl::string_view flag;  // "max_beam_size"
  int most = 0;
};

// Merges messages of one type, whose rules it reads once. Thread-safe: it does not change.
class FieldMerger {
 public:
  explicit FieldMerger(const google::protobuf::Descriptor& type);

  // Sets in `under` each field that `over` sets, messages and lists as a whole, and drops from it what such a field
  // replaces (FieldRules.replaces). `over` is held to every bound: those of its own rules, of the server's flags and of
  // other fields (`at_most`) as they are after the merge; the first fault is returned, and `under` then is of no use.
  // `under`, whose own faults are somebody else's to find, is cut where flags and other fields leave it less. `path` is
  // what `over` is called, "search".
  std::optional<FieldFault> Merge(const google::protobuf::Message& over, absl::string_view path,
                                  absl::Span<const ServerLimit> limits, google::protobuf::Message* under) const;

 private:
  // A number that something besides its own rules bounds.
  struct Bounded {
    const google::protobuf::FieldDescriptor* field;
    const v1::FieldRules* rules;
  };
  std::vector<Bounded> by_server_, by_others_;  // those that another field bounds, too, are the latter
};

}  // namespace heed
