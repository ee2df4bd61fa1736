#include "client/cli/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "absl/strings/numbers.h"
#include "client/cli/width.h"
#include "engine/base/variables.h"

namespace heed::cli {
namespace {

std::optional<std::string> ReadEnvironment(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

int TerminalColumns() {
  winsize size{};
  for (int descriptor : {STDOUT_FILENO, STDERR_FILENO}) {
    if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  }
  int columns = 0;
  const std::optional<std::string> variable = ReadEnvironment("COLUMNS");
  return variable.has_value() && absl::SimpleAtoi(*variable, &columns) && columns > 0 ? columns : 80;
}

}  // namespace

const char kExitCodeHelp[] =
    "Exit codes:\n"
    "  0  all is well\n"
    "  1  some texts failed (the others are printed); health: not serving\n"
    "  2  wrong usage, or a file that cannot be read or written\n"
    "  3  the server refused the request: INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION, OUT_OF_RANGE,\n"
    "     ALREADY_EXISTS, UNIMPLEMENTED\n"
    "  4  PERMISSION_DENIED, UNAUTHENTICATED\n"
    "  5  UNAVAILABLE: no server there, or it is shutting down\n"
    "  6  RESOURCE_EXHAUSTED: the server is full, or the reply too large\n"
    "  7  DEADLINE_EXCEEDED: --timeout ran out\n"
    "  8  any other error of the server: INTERNAL, UNKNOWN, DATA_LOSS, ABORTED, CANCELLED\n";

Console Console::Real() {
  Console console;
  console.in = STDIN_FILENO;
  console.out_descriptor = STDOUT_FILENO;
  console.out = &std::cout;
  console.err = &std::cerr;
  console.in_is_terminal = isatty(STDIN_FILENO) == 1;
  console.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  console.err_is_terminal = isatty(STDERR_FILENO) == 1;
  console.columns = TerminalColumns();
  console.environment = ReadEnvironment;
  console.variables = ProcessVariables();
  return console;
}

ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kUnimplemented:
      return kExitRequest;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return kExitPermission;
    case absl::StatusCode::kUnavailable:
      return kExitUnavailable;
    case absl::StatusCode::kResourceExhausted:
      return kExitExhausted;
    case absl::StatusCode::kDeadlineExceeded:
      return kExitDeadline;
    default:
      return kExitServer;
  }
}

std::string ForOutput(const std::string& text, const Console& console) {
  return console.out_is_terminal ? PrintableText(text) : text;
}

void PrintNote(const std::string& text, const Console& console) { *console.err << "heed: " << Printable(text) << "\n"; }

ExitCode PrintUsageError(const std::string& message, const Console& console) {
  PrintNote(message, console);
  return kExitUsage;
}

}  // namespace heed::cli
