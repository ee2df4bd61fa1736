// The flags that fill v1::SearchOptions: one per field, of the field's name and type, made from the message itself.
//
// Plain functions; not thread-safe.
#pragma once

#include <vector>

#include "client/cli/flags.h"
#include "heed/v1/text.pb.h"

namespace heed::cli {

// Those that people use, and those that say which toolkit's search it is. Setters point into `search`.
std::vector<FlagGroup> SearchFlagGroups(v1::SearchOptions* search);

}  // namespace heed::cli
