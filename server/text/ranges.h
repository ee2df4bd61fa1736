// Arithmetic on byte ranges that Encode and Decode share: every byte that is not space gets an owner, and pieces of
// nothing but space get a place.
//
// Thread-safe: functions only.
#pragma once

#include <string_view>
#include <vector>

#include "server/text/tokenizer.h"

namespace heed {

// Widens `ranges` of `text` (in order, without overlaps) until every byte that is not White_Space is in one, and takes
// White_Space off their ends; one of White_Space alone becomes empty. Bytes between two ranges go to the left one up
// to the first space, the rest of them to the right one.
void CoverText(std::string_view text, std::vector<ByteRange>* ranges);

// Places the empty ranges in `ranges` where `movable` says so: at the start of the range that follows, or at the end
// of the last range where none does. Between two that share a character (a space that it became) they share it too.
void PlaceEmptyRanges(const std::vector<bool>& movable, std::vector<ByteRange>* ranges);

}  // namespace heed
