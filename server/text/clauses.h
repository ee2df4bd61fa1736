// Where a piece of text that is too long for a model may be parted: behind a clause's mark, else at a space, else
// anywhere.
//
// Thread-safe: functions.
#pragma once

#include <string_view>

#include "server/text/tokenizer.h"

namespace heed {

// The byte position, in (`least`, `most`], at which the first part of valid UTF-8 `text` ends: behind the last comma,
// semicolon, colon or dash there that ends a clause; where none is, before the last white space; else `most`, or the
// code point's boundary before it. 0 <= least < most <= text.size(). Where no code point ends in between: the first
// boundary past `most`.
int ClauseEnd(std::string_view text, int least, int most);

// How many bytes the first part of valid UTF-8 `text`, not empty, has whose pieces are at most `max_pieces`, 1 or more:
// all of them where all fits, else up to a ClauseEnd in the second half of what fits. At least one code point, even if
// that does not fit. Of a long text no more is tokenised than some times what fits.
int FittingPart(const Tokenizer& tokenizer, std::string_view text, int max_pieces);

}  // namespace heed
