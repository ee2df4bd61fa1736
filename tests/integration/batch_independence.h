// The promise that a text's result does not depend on what shares its batch, as a check of a running server.
//
// Plain functions.
#pragma once

#include <string>
#include <vector>

#include "tests/integration/running_server.h"

namespace heed {

struct BatchCheck {
  bool summarize = false;          // as a SummarizeRequest with the same fields
  v1::TranslateRequest options;    // all but its texts
  std::vector<std::string> texts;  // in one request all together
  int alone = 0;                   // so many of them are also asked for alone; 0: all
  int clients = 8;                 // at once, each in requests of its own
};

// Fails the test unless every text has the same result, to the bit, in one request, alone, and with many clients at a
// time who ask in different orders and sizes.
void ExpectBatchIndependence(RunningServer& server, const BatchCheck& check);

// Greedy, and beam 5 with its 5 best; attention of every component where `attention`.
v1::TranslateRequest GreedyOptions(const std::string& model, bool attention);
v1::TranslateRequest BeamOptions(const std::string& model, bool attention);

}  // namespace heed
