// The SVG of print.h.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "client/bench/print.h"

namespace heed::bench {
namespace {

constexpr double kWidth = 760, kHeight = 420, kLeft = 76, kRight = 190, kTop = 44, kBottom = 58;
constexpr const char* kColours[] = {"#2f7ebf", "#bf5a1f", "#3c9a5f", "#8a56b0", "#b0446a", "#7a7a1f"};

std::string Escape(const std::string& text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

struct Axes {
  Over over = Over::kPercentiles;
  double last = 99;           // of the axis below: a percentile, or seconds
  double low = 1, high = 10;  // milliseconds

  // Distance from the axis' begin, in nines or seconds.
  double Along(double x) const { return over == Over::kTime ? x : -std::log10(1 - x / 100); }
  double X(double x) const { return kLeft + (kWidth - kLeft - kRight) * Along(x) / Along(last); }
  double Y(double ms) const {
    const double share = (std::log10(std::max(ms, low)) - std::log10(low)) / (std::log10(high) - std::log10(low));
    return kHeight - kBottom - share * (kHeight - kTop - kBottom);
  }
};

Axes AxesOf(const std::vector<Curve>& curves, Over over) {
  Axes axes{over, over == Over::kTime ? 1.0 : 90.0};
  double least = 1e9, most = 0;
  for (const Curve& curve : curves) {
    for (const auto& [x, ms] : curve.points) {
      least = std::min(least, ms);
      most = std::max(most, ms);
      axes.last = std::max(axes.last, x);
    }
  }
  if (most <= 0) return axes;
  axes.low = std::pow(10, std::floor(std::log10(std::max(least, 1e-3))));
  axes.high = std::pow(10, std::ceil(std::log10(most * 1.01)));
  if (axes.high <= axes.low) axes.high = axes.low * 10;
  return axes;
}

// Where the axis below has its numbers.
std::vector<double> TicksOf(const Axes& axes) {
  if (axes.over == Over::kPercentiles) return {0, 50, 90, 97, 99, 99.9, 99.99};
  double step = std::pow(10, std::floor(std::log10(axes.last / 4)));
  if (axes.last / step > 20) step *= 5;
  if (axes.last / step > 8) step *= 2;
  std::vector<double> ticks;
  for (int i = 0; i * step <= axes.last * 1.001; ++i) ticks.push_back(i * step);
  return ticks;
}

std::string Grid(const Axes& axes) {
  std::string out;
  for (double decade = axes.low; decade <= axes.high * 1.001; decade *= 10) {
    for (double step : {1.0, 2.0, 5.0}) {
      const double ms = decade * step;
      if (ms > axes.high * 1.001) break;
      absl::StrAppendFormat(&out,
                            R"x(<line x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text x="%g" y="%.1f" )x"
                            R"x(text-anchor="end">%g</text>)x"
                            "\n",
                            kLeft, kWidth - kRight, axes.Y(ms), axes.Y(ms), kLeft - 8, axes.Y(ms) + 4, ms);
    }
  }
  for (double tick : TicksOf(axes)) {
    if (axes.Along(tick) > axes.Along(axes.last) * 1.001) break;
    absl::StrAppendFormat(&out,
                          R"x(<line x1="%.1f" x2="%.1f" y1="%g" y2="%g"/><text x="%.1f" y="%g" )x"
                          R"x(text-anchor="middle">%g</text>)x"
                          "\n",
                          axes.X(tick), axes.X(tick), kTop, kHeight - kBottom, axes.X(tick), kHeight - kBottom + 20,
                          tick);
  }
  absl::StrAppendFormat(&out,
                        R"x(<text x="%g" y="%g" text-anchor="middle">%s</text>)x"
                        R"x(<text transform="translate(18 %g) rotate(-90)" text-anchor="middle">latency, ms</text>)x"
                        "\n",
                        (kLeft + kWidth - kRight) / 2, kHeight - 14,
                        axes.over == Over::kTime ? "seconds after the warm-up" : "percentile of requests",
                        (kTop + kHeight - kBottom) / 2);
  return out;
}

}  // namespace

std::string Svg(const std::vector<Curve>& curves, Over over, const std::string& title) {
  const Axes axes = AxesOf(curves, over);
  std::string out = absl::StrFormat(
      R"x(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img">)x"
      "\n"
      R"x(<title>%s</title><style>text{font:13px sans-serif;fill:#777}.t{font-size:15px;font-weight:bold})x"
      R"x(line{stroke:#8886}</style>)x"
      "\n"
      R"x(<text class="t" x="%g" y="22">%s</text>)x"
      "\n",
      kWidth, kHeight, Escape(title), kLeft, Escape(title));
  out += Grid(axes);
  // Labels stand where their curves end, moved apart where those lie together.
  std::vector<std::pair<double, std::size_t>> ends;
  for (std::size_t i = 0; i < curves.size(); ++i) {
    if (!curves[i].points.empty()) ends.emplace_back(axes.Y(curves[i].points.back().second), i);
  }
  std::sort(ends.begin(), ends.end());
  double above = 0;
  for (auto& [y, i] : ends) {
    const Curve& curve = curves[i];
    const char* colour = kColours[i % std::size(kColours)];
    std::string points;
    for (const auto& [x, ms] : curve.points) absl::StrAppendFormat(&points, "%.1f,%.1f ", axes.X(x), axes.Y(ms));
    above = std::max(y, above + 17);
    absl::StrAppendFormat(&out,
                          R"x(<polyline points="%s" fill="none" stroke="%s" stroke-width="2.5"/>)x"
                          R"x(<text x="%g" y="%.1f" style="fill:%s">%s</text>)x"
                          "\n",
                          points, colour, kWidth - kRight + 10, above + 4, colour, Escape(curve.label));
  }
  return out + "</svg>\n";
}

}  // namespace heed::bench
