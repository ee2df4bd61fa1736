// Draws a matrix of attention in a terminal. Rows are what was written, columns what was read.
//
// As long as the whole map fits beside itself, columns are as wide as their labels, which lie above them:
//
//            너는   왜     </s>
//       Why        ▓▓▓71  ░░21
//
// A wider map has narrow columns with their labels upright above them: with numbers in the cells, or where that is
// still too wide of shading (colour) alone. One that is wider than even that goes on below itself, in blocks of about
// as many columns each, each headed by which columns they are.
//
// With colour a cell is brighter the more weight it has; without, shading characters fill it. No line is wider than
// `width`. Labels with characters of right-to-left scripts are isolated (width.h).
//
// Plain functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "client/cli/paint.h"

namespace heed::cli {

struct HeatMap {
  std::string title;
  std::vector<std::string> rows;        // labels, UTF-8
  std::vector<std::string> columns;     // labels
  std::vector<float> values;            // rows.size() * columns.size(), row by row
  std::string columns_are = "columns";  // what the head of a block calls them: "source words"
  // True: shares of 1, drawn as they are, in per cent. False: any numbers, which stand in the cells; these are drawn
  // relative to their row's least and greatest.
  bool weights = true;
};

struct DrawOptions {
  Colors colors = Colors::kNone;
  int width = 80;      // columns of the terminal; 20 where it is less
  int max_label = 20;  // columns: longer labels are cut, and where there is no room for them
};

// Ends with a newline.
std::string Draw(const HeatMap& map, const DrawOptions& options);

}  // namespace heed::cli
