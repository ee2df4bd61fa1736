// The flags that fill v1::SearchOptions: one per field that a request may set, of the field's name and type, and one
// per oneof; help and bounds are those of the fields' rules. A field added to the message has its flag.
//
// Plain functions; not thread-safe.
#pragma once

#include <vector>

#include "client/cli/flags.h"
#include "heed/v1/search.pb.h"

namespace heed::cli {

// Those that people use, and those that say which toolkit's search it is. Setters point into `search`.
std::vector<FlagGroup> SearchFlagGroups(v1::SearchOptions* search);

}  // namespace heed::cli
