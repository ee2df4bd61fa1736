#include "client/cli/paint.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace heed::cli {
namespace {

constexpr char kReset[] = "\x1b[0m";

struct Rgb {
  double red, green, blue;
};

// matplotlib's "inferno".
Rgb ColorOf(double level) {
  static constexpr std::array<Rgb, 5> kStops = {
      {{0, 0, 4}, {87, 16, 110}, {188, 55, 84}, {249, 142, 9}, {252, 255, 164}}};
  const double place = level * (kStops.size() - 1);
  const auto below = std::min(static_cast<std::size_t>(place), kStops.size() - 2);
  const double part = place - static_cast<double>(below);
  const auto mix = [part](double a, double b) { return a + (b - a) * part; };
  const Rgb& a = kStops[below];
  const Rgb& b = kStops[below + 1];
  return {mix(a.red, b.red), mix(a.green, b.green), mix(a.blue, b.blue)};
}

// Background and foreground of 16: black, blue, magenta, yellow, white, each brighter than the one before in the usual
// palettes.
const char* Of16(double level) {
  static constexpr std::array<const char*, 5> kSteps = {"\x1b[40;97m", "\x1b[44;97m", "\x1b[45;97m", "\x1b[43;30m",
                                                        "\x1b[107;30m"};
  return kSteps[static_cast<std::size_t>(std::lround(level * (kSteps.size() - 1)))];
}

}  // namespace

Colors ColorsOf(const std::string& term, const std::string& color_term) {
  if (color_term == "truecolor" || color_term == "24bit") return Colors::kTrue;
  if (term.empty() || term == "dumb" || term == "unknown" || absl::EndsWith(term, "-m") ||
      absl::EndsWith(term, "-mono") || absl::StartsWith(term, "vt1") || absl::StartsWith(term, "vt2")) {
    return Colors::kNone;
  }
  if (absl::EndsWith(term, "-direct")) return Colors::kTrue;
  // The others have more colours than their names say; COLORTERM says so, but does not go through ssh.
  for (const char* name : {"256", "kitty", "alacritty", "foot", "wezterm", "ghostty", "contour"}) {
    if (absl::StrContains(term, name)) return Colors::k256;
  }
  return Colors::k16;
}

std::string Painted(const std::string& text, double level, Colors colors) {
  level = std::clamp(level, 0.0, 1.0);
  if (colors == Colors::k16) return absl::StrCat(Of16(level), text, kReset);
  const Rgb color = ColorOf(level);
  const bool bright = level > 0.6;
  if (colors == Colors::kTrue) {
    return absl::StrFormat("\x1b[48;2;%d;%d;%dm\x1b[38;2;%sm%s%s", std::lround(color.red), std::lround(color.green),
                           std::lround(color.blue), bright ? "0;0;0" : "255;255;255", text, kReset);
  }
  const auto step = [](double value) { return std::lround(value / 255 * 5); };
  return absl::StrFormat("\x1b[48;5;%dm\x1b[38;5;%dm%s%s",
                         16 + 36 * step(color.red) + 6 * step(color.green) + step(color.blue), bright ? 16 : 231, text,
                         kReset);
}

const char* Shade(double level) {
  if (level < 0.05) return " ";
  if (level < 0.25) return "░";
  if (level < 0.5) return "▒";
  if (level < 0.75) return "▓";
  return "█";
}

}  // namespace heed::cli
