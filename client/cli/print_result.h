// What is printed for each text: its output alone, its n-best and its heat maps, or everything as JSON.
//
// Plain functions; not thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "client/cli/console.h"
#include "client/cli/doubts.h"
#include "client/cli/heat_map.h"
#include "client/cli/text_options.h"
#include "heed/v1/text.pb.h"

namespace heed::cli {

struct ResultPrinter {
  const TextOptions& options;
  const Console& console;
  DrawOptions draw;
  Doubts* doubts;

  // `number` counts texts from 1. A failed text prints its error to standard error and an empty line in its place.
  // False if it failed.
  bool Print(std::int64_t number, const std::string& source, const v1::TextResult& result,
             const v1::ModelIdentity& model) const;
};

// Colours by --color, NO_COLOR, TERM and COLORTERM; width by --width, else the terminal's.
DrawOptions ChooseDrawing(const TextOptions& options, const Console& console);

}  // namespace heed::cli
