// How many columns text takes on a terminal: Korean and other wide characters and emoji take two, combining marks none.
//
// Plain functions, thread-safe. Invalid UTF-8 counts as one column a byte.
#pragma once

#include <string>
#include <vector>

namespace heed::cli {

int DisplayWidth(const std::string& text);

// Cut to at most `columns` columns, with "…" where something was cut.
std::string Truncate(const std::string& text, int columns);

// Filled with spaces to `columns` columns: text to the left, or to the right.
std::string PadRight(const std::string& text, int columns);
std::string PadLeft(const std::string& text, int columns);

// Cut into what is drawn in one place: a character and the marks over it, an emoji of several. Each takes 1 or 2
// columns (what stands before the first such, none of its own).
std::vector<std::string> Glyphs(const std::string& text);

// `text` between FSI and PDI where it holds characters of a script that is written from right to left: a terminal that
// reorders such text then turns it alone, not what stands beside it on the line. For what Printable has made.
std::string Isolated(const std::string& text);

// Fit to show in a table or a message: control characters, line ends and escapes included, marks that turn the
// direction of writing, and invalid bytes become "�".
std::string Printable(const std::string& text);

// Fit to show on a terminal as a text of its own: as Printable, but line ends, tabs and marks of direction stay.
std::string PrintableText(const std::string& text);

}  // namespace heed::cli
