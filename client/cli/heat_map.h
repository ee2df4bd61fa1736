// Draws a matrix of attention in a terminal. Rows are what was written, columns what was read; each column is as wide
// as its label, so a map is about as wide as the sentence; wider than the terminal, it goes on below.
//
// With colour a cell is brighter the more weight it has; without, shading characters fill it. Percentages stand in the
// cells of weights either way.
//
//            너는   왜     </s>
//       Why        ▓▓▓71  ░░21
//
// Plain functions, thread-safe.
#pragma once

#include <string>
#include <vector>

namespace heed::cli {

struct HeatMap {
  std::string title;
  std::vector<std::string> rows;     // labels, UTF-8
  std::vector<std::string> columns;  // labels
  std::vector<float> values;         // rows.size() * columns.size(), row by row
  // True: shares of 1, drawn as they are. False: any numbers, drawn relative to their row's least and greatest.
  bool weights = true;
};

enum class Colors { kNone, k256, kTrue };

struct DrawOptions {
  Colors colors = Colors::kNone;
  int width = 80;      // columns of the terminal; at least one column of the map is drawn however narrow that is
  int max_label = 20;  // longer labels are cut
};

// Ends with a newline.
std::string Draw(const HeatMap& map, const DrawOptions& options);

}  // namespace heed::cli
