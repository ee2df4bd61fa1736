// How many columns text takes on a terminal: Korean and other wide characters and emoji take two, combining marks none.
//
// Plain functions, thread-safe. Invalid UTF-8 counts as one column a byte.
#pragma once

#include <string>

namespace heed::cli {

int DisplayWidth(const std::string& text);

// Cut to at most `columns` columns, with "…" where something was cut.
std::string Truncate(const std::string& text, int columns);

// Filled with spaces to `columns` columns: text to the left, or to the right.
std::string PadRight(const std::string& text, int columns);
std::string PadLeft(const std::string& text, int columns);

// Fit to show in a table or a message: control characters, line ends and escapes included, marks that turn the
// direction of writing, and invalid bytes become "�".
std::string Printable(const std::string& text);

// Fit to show on a terminal as a text of its own: as Printable, but line ends, tabs and marks of direction stay.
std::string PrintableText(const std::string& text);

}  // namespace heed::cli
