// From a reply's attention to heat maps: which of its matrices are drawn, what each, its rows and its columns are
// called.
//
// Plain functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/heat_map.h"
#include "heed/v1/text.pb.h"

namespace heed::cli {

// A head that is to be drawn.
struct HeadChoice {
  std::string attend;  // empty: of every attend
  int head = 0;        // from 0
};

// "3", "l2:0,l2:5": heads by number, those of one attend by its name. INVALID_ARGUMENT says what it must be.
absl::StatusOr<std::vector<HeadChoice>> ParseHeads(const std::string& value);

// INVALID_ARGUMENT where the output has attention but nothing of some choice, with what it has.
absl::Status CheckHeads(const std::vector<HeadChoice>& choices, const v1::TextOutput& output);

// A map per attend, head and component but contexts of one hypothesis of the output; with `choices` of those heads
// alone. Titles say which sentence and hypothesis of several, and which head, it is. `source` is the text that was
// sent. An encoding that this client does not know, or a matrix that does not match its tokens, is left out.
std::vector<HeatMap> MapsOf(const std::string& source, const v1::TextOutput& output, int segment_index,
                            int hypothesis_index, const std::vector<HeadChoice>& choices = {});

}  // namespace heed::cli
