// The world as the `heed` command sees it: three streams, whether they are terminals, the environment. Commands print
// through it and return an exit code, so tests run whole commands without a process.
//
// Not thread-safe: the main thread prints.
#pragma once

#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace heed::cli {

struct ConnectionOptions;  // connection.h

struct Console {
  int in = -1;              // a descriptor, so that one can ask whether a line is there
  int out_descriptor = -1;  // of `out`; -1: it has none
  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
  bool in_is_terminal = false;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  int columns = 80;  // of the terminal
  std::function<std::optional<std::string>(const std::string& name)> environment;
  std::vector<std::string> variables;  // all of it, "NAME=value"

  // The process' own.
  static Console Real();
};

// docs/client.md and `heed --help` list them.
enum ExitCode : int {
  kExitOk = 0,
  kExitSomeTexts = 1,    // some texts failed, the others are printed; `heed health`: not serving
  kExitUsage = 2,        // wrong flags, or a file that cannot be read or written
  kExitRequest = 3,      // INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION, OUT_OF_RANGE, UNIMPLEMENTED, ...
  kExitPermission = 4,   // PERMISSION_DENIED, UNAUTHENTICATED
  kExitUnavailable = 5,  // UNAVAILABLE: no server there, or it is shutting down
  kExitExhausted = 6,    // RESOURCE_EXHAUSTED: the server is full, or the reply too large
  kExitDeadline = 7,     // DEADLINE_EXCEEDED
  kExitServer = 8,       // INTERNAL, UNKNOWN, DATA_LOSS, ABORTED, CANCELLED
};

// The table above as text.
extern const char kExitCodeHelp[];

ExitCode ExitCodeOf(const absl::Status& status);

// A text of the server's for standard output: on a terminal without what it would obey, else as it is.
std::string ForOutput(const std::string& text, const Console& console);

// "heed: TEXT" and a line end on standard error, whatever TEXT holds: one line, in which a terminal obeys nothing.
// Everything that `heed` says there, but for the progress bar, goes through it.
void PrintNote(const std::string& text, const Console& console);

// "heed: CODE: message", then a line for each field at fault that the message does not name, and for what would help:
// which address it was where nobody answered, and what answers there instead; the flag to change. Returns the exit
// code.
ExitCode PrintError(const absl::Status& status, const ConnectionOptions& connection, const Console& console);

// "heed: message" for mistakes made on this side; kExitUsage.
ExitCode PrintUsageError(const std::string& message, const Console& console);

}  // namespace heed::cli
