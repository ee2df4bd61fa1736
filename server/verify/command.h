// `heed-server verify FOLDER [--json]`.
//
// Plain function; it reads the bundle and writes to the two streams.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

namespace heed {

// `arguments` are those behind "verify". The report goes to `out`, one line about what kept it from being made to
// `err`. The exit code: 0 this machine says what parity.json says, within its tolerances; 1 it does not; 2 nothing was
// compared (bad arguments, no such bundle, one that does not load, no parity.json or a faulty one).
int RunVerify(const std::vector<std::string>& arguments, std::FILE* out, std::FILE* err);

}  // namespace heed
