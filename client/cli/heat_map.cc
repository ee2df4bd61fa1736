#include "client/cli/heat_map.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/cli/width.h"

namespace heed::cli {
namespace {

constexpr int kLeastWidth = 20;
constexpr int kPercentWidth = 3;   // "100"
constexpr int kTallestLabel = 10;  // glyphs of an upright label
constexpr int kLeastRowLabel = 4;

// How the cells of a map are laid out.
struct Layout {
  bool upright = false;           // labels stand above narrow columns, which follow one another without a space
  bool numbers = true;            // in the cells
  std::vector<int> widths;        // of each column
  std::vector<std::size_t> ends;  // one past the last column of each block
};

std::string WithoutTrailingSpaces(std::string line) {
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line + "\n";
}

// Lines of at most `width` columns, broken at spaces; those after the first are indented.
std::string Wrapped(const std::string& text, int width) {
  std::string lines, line;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    std::string longer = line.empty() ? std::string(word) : absl::StrCat(line, " ", word);
    if (!line.empty() && DisplayWidth(longer) > width) {
      lines += line + "\n";
      longer = absl::StrCat("  ", word);
    }
    line = Truncate(longer, width);
  }
  return lines + line + "\n";
}

class Drawing {
 public:
  Drawing(const HeatMap& map, const DrawOptions& options)
      : map_(map), colors_(options.colors), width_(std::max(options.width, kLeastWidth)) {
    const int most = std::min(options.max_label, std::max(kLeastRowLabel, (width_ - 1) / 3));
    for (const std::string& row : map.rows) {
      rows_.push_back(Truncate(Printable(row), most));
      margin_ = std::max(margin_, DisplayWidth(rows_.back()));
    }
    for (const std::string& column : map.columns) {
      labels_.push_back(Truncate(Printable(column), std::min(options.max_label, room())));
    }
    number_width_ = kPercentWidth;
    if (!map.weights) ChooseDecimals();
  }

  std::string Draw() {
    std::string drawing = map_.title.empty() ? "" : Wrapped(Printable(map_.title), width_);
    layout_ = Choose();
    if (!layout_.numbers) drawing += Legend();
    std::size_t begin = 0;
    for (const std::size_t end : layout_.ends) {
      if (begin > 0) drawing += "\n";
      if (layout_.ends.size() > 1) {
        drawing +=
            Wrapped(absl::StrCat(map_.columns_are, " ", begin + 1, " to ", end, " of ", labels_.size(), ":"), width_);
      }
      drawing += Head(begin, end);
      for (std::size_t i = 0; i < rows_.size(); ++i) drawing += Row(i, begin, end);
      begin = end;
    }
    return drawing;
  }

 private:
  // Columns beside the rows' labels and the space after them.
  int room() const { return width_ - margin_ - 1; }

  // As many as every energy of the map has room for in six columns.
  void ChooseDecimals() {
    double most = 0;
    for (const float value : map_.values) {
      if (std::isfinite(value)) most = std::max(most, std::abs(static_cast<double>(value)));
    }
    decimals_ = most < 10 ? 2 : most < 100 ? 1 : 0;
    scientific_ = most >= 1e5;
    number_width_ = 1;
    for (const float value : map_.values) {
      number_width_ = std::max(number_width_, static_cast<int>(Number(static_cast<double>(value)).size()));
    }
  }

  std::string Number(double value) const {
    if (!std::isfinite(value)) return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
    if (!map_.weights) return scientific_ ? absl::StrFormat("%.0e", value) : absl::StrFormat("%.*f", decimals_, value);
    const long percent = std::lround(std::clamp(value, 0.0, 9.99) * 100);
    return percent >= 1 ? absl::StrCat(percent) : "";
  }

  // The layout of fewest blocks, and of these the one that says most.
  Layout Choose() const {
    std::vector<Layout> layouts = {Wide(), Upright(number_width_ + (map_.weights ? 0 : 1), true)};
    if (map_.weights) {
      int glyph = 1;
      for (const std::string& label : labels_) {
        for (const std::string& part : Glyphs(label)) glyph = std::max(glyph, DisplayWidth(part));
      }
      for (int width = 2; width >= glyph; --width) layouts.push_back(Upright(width, false));
    }
    return *std::min_element(layouts.begin(), layouts.end(),
                             [](const Layout& a, const Layout& b) { return a.ends.size() < b.ends.size(); });
  }

  Layout Wide() const {
    Layout layout;
    for (const std::string& label : labels_) layout.widths.push_back(std::max(number_width_, DisplayWidth(label)));
    for (std::size_t begin = 0; begin < labels_.size();) {
      int used = layout.widths[begin];
      std::size_t end = begin + 1;
      while (end < labels_.size() && used + 1 + layout.widths[end] <= room()) used += 1 + layout.widths[end++];
      layout.ends.push_back(end);
      begin = end;
    }
    return layout;
  }

  Layout Upright(int width, bool numbers) const {
    const std::size_t count = labels_.size();
    const std::size_t most = std::max(1, room() / width), blocks = (count + most - 1) / most;
    Layout layout{true, numbers, std::vector<int>(count, width), {}};
    for (std::size_t block = 1; block <= blocks; ++block) layout.ends.push_back(count * block / blocks);
    return layout;
  }

  // The labels of a block's columns.
  std::string Head(std::size_t begin, std::size_t end) const {
    std::string line(margin_, ' ');
    if (!layout_.upright) {
      for (std::size_t j = begin; j < end; ++j) {
        absl::StrAppend(&line, " ", PadRight(Isolated(labels_[j]), layout_.widths[j]));
      }
      return WithoutTrailingSpaces(line);
    }
    std::vector<std::vector<std::string>> glyphs;
    std::size_t height = 0;
    for (std::size_t j = begin; j < end; ++j) {
      std::vector<std::string>& all = glyphs.emplace_back(Glyphs(labels_[j]));
      if (all.size() > kTallestLabel) {
        all.resize(kTallestLabel);
        all.back() = "⋮";
      }
      height = std::max(height, all.size());
    }
    std::string head;
    for (std::size_t y = 0; y < height; ++y) {
      line = std::string(margin_ + 1, ' ');
      for (std::size_t j = begin; j < end; ++j) {
        const std::vector<std::string>& all = glyphs[j - begin];
        const std::size_t above = height - all.size();
        const std::string glyph = y < above ? "" : Isolated(all[y - above]);
        // Above their numbers, which end where their column does.
        line += layout_.numbers ? PadLeft(glyph, layout_.widths[j]) : PadRight(glyph, layout_.widths[j]);
      }
      head += WithoutTrailingSpaces(line);
    }
    return head;
  }

  std::string Row(std::size_t i, std::size_t begin, std::size_t end) const {
    std::string line = PadLeft(Isolated(rows_[i]), margin_) + (layout_.upright ? " " : "");
    const std::vector<double> levels = Levels(i);
    for (std::size_t j = begin; j < end; ++j) {
      if (!layout_.upright) line += " ";
      const float value = map_.values[i * labels_.size() + j];
      line += Cell(layout_.numbers ? Number(static_cast<double>(value)) : "", levels[j], layout_.widths[j]);
    }
    return WithoutTrailingSpaces(line);
  }

  // Values of a row as 0 to 1.
  std::vector<double> Levels(std::size_t row) const {
    const auto begin = map_.values.begin() + static_cast<std::ptrdiff_t>(row * labels_.size());
    std::vector<double> levels(begin, begin + static_cast<std::ptrdiff_t>(labels_.size()));
    double least = 0, greatest = 1;
    if (!map_.weights) {
      std::vector<double> finite = levels;
      std::erase_if(finite, [](double level) { return !std::isfinite(level); });
      if (!finite.empty()) least = *std::min_element(finite.begin(), finite.end());
      if (!finite.empty()) greatest = *std::max_element(finite.begin(), finite.end());
    }
    const double range = greatest - least;
    for (double& level : levels) {
      level = std::isfinite(level) && range > 0 ? std::clamp((level - least) / range, 0.0, 1.0) : 0;
    }
    return levels;
  }

  std::string Cell(const std::string& number, double level, int width) const {
    if (colors_ != Colors::kNone) {
      // The eye sees shares of a tenth and less better when they are lifted.
      return Painted(PadLeft(number, width), map_.weights ? std::sqrt(level) : level, colors_);
    }
    std::string cell;
    for (int i = static_cast<int>(number.size()); i < width; ++i) cell += Shade(level);
    return cell + number;
  }

  // What cells without numbers say.
  std::string Legend() const {
    if (colors_ == Colors::kNone) return Wrapped("░ 5 %, ▒ 25 %, ▓ 50 %, █ 75 % or more", width_);
    std::string legend;
    for (const double level : {0.0, 0.1, 0.25, 0.5, 1.0}) legend += Cell(absl::StrCat(level * 100), level, 3);
    return legend + " %\n";
  }

  const HeatMap& map_;
  const Colors colors_;
  const int width_;
  int margin_ = 0;  // columns of the rows' labels
  std::vector<std::string> rows_, labels_;
  int number_width_ = 0;
  int decimals_ = 0;  // of energies
  bool scientific_ = false;
  Layout layout_;
};

}  // namespace

std::string Draw(const HeatMap& map, const DrawOptions& options) { return Drawing(map, options).Draw(); }

}  // namespace heed::cli
