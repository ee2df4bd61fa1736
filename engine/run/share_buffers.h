// Which values of the source program lie in one buffer: sequences that are never needed at the same time. Without it
// every layer of a deep encoder would hold its sequences until the source is encoded.
//
// Plain function, thread-safe.
#pragma once

#include <vector>

#include "engine/run/compiled.h"

namespace heed {

struct BufferPlan {
  struct Place {
    ValueType type = ValueType::kVector;
    int size = 0;  // of a row: the widest value that lies there
  };
  std::vector<Place> buffers;
  std::vector<int> of_slot;  // index into buffers by source slot; -1: nothing makes the value
};

BufferPlan ShareBuffers(const CompiledModel& model);

}  // namespace heed
