// What a client would rather have: its Accept and Accept-Encoding fields.
//
// Plain functions, thread-safe.
#pragma once

#include "absl/strings/string_view.h"

namespace heed {

// `accept_encoding` has gzip, or anything, and likes it no less than the text as it is. Empty: no.
bool TakesGzip(absl::string_view accept_encoding);

// `accept` names application/openmetrics-text, of version 1.0.0 or of none, and likes it no less than text/plain. A
// client that takes anything gets what every scraper reads, the plain text.
bool PrefersOpenMetrics(absl::string_view accept);

}  // namespace heed
