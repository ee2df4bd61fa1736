// A row of a step: which hypothesis of which job, and where it comes from.
#pragma once

#include "engine/run/live_job.h"

namespace heed {

struct StepRow {
  LiveJob* job = nullptr;
  int index = 0;    // among the job's rows
  int parent = -1;  // row of the step before; -1: the job's first step
  TokenId input = 0;
};

}  // namespace heed
