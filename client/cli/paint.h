// Shares of 1 as a terminal shows them: colours, as many as it has, or shading characters.
//
// Plain functions, thread-safe.
#pragma once

#include <string>

namespace heed::cli {

// What a terminal has. k16: those of ANSI and their bright ones.
enum class Colors { kNone, k16, k256, kTrue };

// What TERM and COLORTERM say of the terminal. "truecolor" and "24bit" are believed; a TERM that says nothing of
// colours has 16, none where it is empty or of a terminal without.
Colors ColorsOf(const std::string& term, const std::string& color_term);

// `text` on a background as bright as `level` (0 to 1), in a foreground that can be read on it. From black over violet
// and orange to pale yellow: even steps to the eye, and in order for the colour-blind too. Not for kNone.
std::string Painted(const std::string& text, double level, Colors colors);

// One column filled as far as `level` says: a space below 0.05, then ░, from 0.25 ▒, from 0.5 ▓, from 0.75 █.
const char* Shade(double level);

}  // namespace heed::cli
