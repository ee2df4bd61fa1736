// From a reply's attention to heat maps: what the rows and columns of each matrix are called.
//
// Plain functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "client/cli/heat_map.h"
#include "heed/v1/text.pb.h"

namespace heed::cli {

// A map per attend, head and component of the hypothesis. `source` is the text that was sent. An encoding that this
// client does not know, or a matrix that does not match its tokens, is left out.
std::vector<HeatMap> MapsOf(const std::string& source, const v1::Segment& segment, const v1::Hypothesis& hypothesis);

}  // namespace heed::cli
