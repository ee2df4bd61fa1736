#include "client/cli/heat_map.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/width.h"

namespace heed::cli {
namespace {

// "100" fits.
constexpr int kLeastColumn = 3;
constexpr char kReset[] = "\x1b[0m";

struct Rgb {
  double red, green, blue;
};

// From near black over violet and orange to pale yellow: even steps to the eye, and in order for the colour-blind too
// (matplotlib's "inferno").
Rgb ColorOf(double level) {
  static constexpr std::array<Rgb, 5> kStops = {
      {{0, 0, 4}, {87, 16, 110}, {188, 55, 84}, {249, 142, 9}, {252, 255, 164}}};
  const double place = std::clamp(level, 0.0, 1.0) * (kStops.size() - 1);
  const auto below = std::min(static_cast<std::size_t>(place), kStops.size() - 2);
  const double part = place - static_cast<double>(below);
  const auto mix = [part](double a, double b) { return a + (b - a) * part; };
  const Rgb& a = kStops[below];
  const Rgb& b = kStops[below + 1];
  return {mix(a.red, b.red), mix(a.green, b.green), mix(a.blue, b.blue)};
}

// Background and a foreground that can be read on it.
std::string Paint(double level, Colors colors) {
  const Rgb color = ColorOf(level);
  const bool bright = level > 0.6;
  if (colors == Colors::kTrue) {
    return absl::StrFormat("\x1b[48;2;%d;%d;%dm\x1b[38;2;%sm", std::lround(color.red), std::lround(color.green),
                           std::lround(color.blue), bright ? "0;0;0" : "255;255;255");
  }
  const auto step = [](double value) { return std::lround(value / 255 * 5); };
  return absl::StrFormat("\x1b[48;5;%dm\x1b[38;5;%dm",
                         16 + 36 * step(color.red) + 6 * step(color.green) + step(color.blue), bright ? 16 : 231);
}

const char* Shade(double level) {
  if (level < 0.05) return " ";
  if (level < 0.25) return "░";
  if (level < 0.5) return "▒";
  if (level < 0.75) return "▓";
  return "█";
}

// Values of a row as 0 to 1.
std::vector<double> Levels(const HeatMap& map, std::size_t row) {
  const auto begin = map.values.begin() + static_cast<std::ptrdiff_t>(row * map.columns.size());
  std::vector<double> levels(begin, begin + static_cast<std::ptrdiff_t>(map.columns.size()));
  if (map.weights || levels.empty()) return levels;
  const auto [least, greatest] = std::minmax_element(levels.begin(), levels.end());
  const double low = *least;
  const double range = *greatest - low;
  for (double& level : levels) level = range > 0 ? (level - low) / range : 0;
  return levels;
}

std::string Cell(const HeatMap& map, double level, int width, Colors colors) {
  const long percent = std::lround(level * 100);
  const std::string number = map.weights && percent >= 1 ? absl::StrCat(percent) : "";
  if (colors != Colors::kNone) {
    // The eye sees shares of a tenth and less better when they are lifted.
    return absl::StrCat(Paint(map.weights ? std::sqrt(std::max(0.0, level)) : level, colors), PadLeft(number, width),
                        kReset);
  }
  std::string cell;
  for (int i = static_cast<int>(number.size()); i < width; ++i) cell += Shade(level);
  return cell + number;
}

std::string WithoutTrailingSpaces(std::string line) {
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line + "\n";
}

}  // namespace

std::string Draw(const HeatMap& map, const DrawOptions& options) {
  std::vector<std::string> rows;
  int margin = 0;
  for (const std::string& row : map.rows) {
    rows.push_back(Truncate(Printable(row), options.max_label));
    margin = std::max(margin, DisplayWidth(rows.back()));
  }
  std::vector<std::string> labels;
  std::vector<int> widths;
  for (const std::string& column : map.columns) {
    labels.push_back(Truncate(Printable(column), options.max_label));
    widths.push_back(std::max(kLeastColumn, DisplayWidth(labels.back())));
  }
  std::string drawing = map.title.empty() ? "" : Printable(map.title) + "\n";
  for (std::size_t begin = 0; begin < labels.size();) {
    int used = margin;
    std::size_t end = begin;
    while (end < labels.size() && (end == begin || used + 1 + widths[end] <= options.width)) used += 1 + widths[end++];
    if (begin > 0) drawing += "\n";
    std::string line(margin, ' ');
    for (std::size_t j = begin; j < end; ++j) absl::StrAppend(&line, " ", PadRight(labels[j], widths[j]));
    drawing += WithoutTrailingSpaces(line);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::vector<double> levels = Levels(map, i);
      line = PadLeft(rows[i], margin);
      for (std::size_t j = begin; j < end; ++j) {
        absl::StrAppend(&line, " ", Cell(map, levels[j], widths[j], options.colors));
      }
      drawing += WithoutTrailingSpaces(line);
    }
    begin = end;
  }
  return drawing;
}

}  // namespace heed::cli
