// `heed-server verify FOLDER [--precision=float32|bfloat16|int8|auto] [--json]`, or `--help` (`-h`).
//
// Plain function; it reads the bundle and writes to the two streams.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

namespace heed {

// `arguments` are those behind "verify". Help goes to `out`, with exit code 0, whatever else is asked. The precision is
// auto by default: that which a server takes that is told none. The report goes to `out`, one line about what kept it
// from being made, or about a precision that auto did without, to `err`. The exit code: 0 this machine says what
// parity.json says, within its tolerances; 1 it does not; 2 nothing was compared (bad arguments, a precision that the
// machine lacks, no such bundle, one that does not load, no parity.json or a faulty one).
int RunVerify(const std::vector<std::string>& arguments, std::FILE* out, std::FILE* err);

}  // namespace heed
