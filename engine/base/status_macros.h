// Early returns for absl::Status: Debian's Abseil has none of its own.
//
//   HEED_RETURN_IF_ERROR(Check(x));
//   HEED_ASSIGN_OR_RETURN(Bundle bundle, ReadBundle(path));
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define HEED_RETURN_IF_ERROR(expression)                              \
  do {                                                                \
    if (absl::Status heed_status = (expression); !heed_status.ok()) { \
      return heed_status;                                             \
    }                                                                 \
  } while (false)

#define HEED_STATUS_CONCAT_INNER(a, b) a##b
#define HEED_STATUS_CONCAT(a, b) HEED_STATUS_CONCAT_INNER(a, b)
#define HEED_ASSIGN_OR_RETURN(target, expression) \
  HEED_ASSIGN_OR_RETURN_INNER(HEED_STATUS_CONCAT(heed_status_or_, __LINE__), target, expression)
#define HEED_ASSIGN_OR_RETURN_INNER(holder, target, expression) \
  auto holder = (expression);                                   \
  if (!holder.ok()) return std::move(holder).status();          \
  target = *std::move(holder)
