// Which variables of the environment are heed's, and a word about those that look like it and are not.
//
// Plain functions; not thread-safe.
#pragma once

#include "client/cli/console.h"

namespace heed::cli {

// A note on standard error for each variable that begins with HEED_ and that neither this command nor the server reads,
// with the one that may have been meant. Both programs may stand in one environment, a container's say, so neither
// wonders at what is the other's.
void NoteUnknownVariables(const Console& console);

}  // namespace heed::cli
