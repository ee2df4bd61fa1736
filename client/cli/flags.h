// The flags of a subcommand: a table of names, help and setters that write into the command's options, so that --help,
// the check and the struct cannot disagree. Abseil's own flags are global, and subcommands need each their own.
//
// Flags are --name=value or --name value; booleans --name, --noname, --no-name or --name=false. Dashes and underscores
// are the same. The last of several wins. What does not begin with a dash, and all behind "--", are operands. A flag
// may have an environment variable too, which is looked at where the command line does not give the flag; an empty one
// says nothing. -h is --help; with it no variable is looked at.
//
// Plain functions, thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace heed::cli {

struct Flag {
  std::string name;   // "beam_size"
  std::string value;  // what --help calls its value, "N"; empty: a boolean
  std::string help;   // one line or more, without the name
  // Given the value ("true" or "false" of a boolean); an error says what it must be: "it must be a whole number".
  std::function<absl::Status(const std::string& value)> set;
  std::string variable{};  // of the environment; empty: none
};

struct FlagGroup {
  std::string title;  // "Search"
  std::vector<Flag> flags;
};

using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// Applies `arguments`, and the environment for the flags that they do not give, and returns the operands.
// INVALID_ARGUMENT, one line naming the flag or variable and the value: unknown flag (with the nearest known one),
// missing value, bad value.
absl::StatusOr<std::vector<std::string>> ParseFlags(const std::vector<FlagGroup>& groups,
                                                    const std::vector<std::string>& arguments,
                                                    const Environment& environment = nullptr);

// The flags as --help lists them, each with its variable.
std::string FlagHelp(const std::vector<FlagGroup>& groups);

// Flags of the usual kinds. A value that is none, or out of bounds, is told what it must be.
Flag BoolFlag(std::string name, std::string help, bool* target);
Flag BoolFlag(std::string name, std::string help, std::function<void(bool)> set);
Flag StringFlag(std::string name, std::string value, std::string help, std::string* target);
Flag StringFlag(std::string name, std::string value, std::string help, std::function<void(const std::string&)> set);
Flag IntFlag(std::string name, std::string help, std::function<void(std::int64_t)> set, std::int64_t least,
             std::int64_t most);
// Numbers whose bounds are the server's to know: what the type holds is passed on as it is. `range` is for people, "1
// to 16".
Flag IntFlag(std::string name, std::string help, std::function<void(std::int32_t)> set, std::string range);
Flag FloatFlag(std::string name, std::string help, std::function<void(float)> set, std::string range);
Flag DurationFlag(std::string name, std::string help, absl::Duration* target,
                  absl::Duration least = absl::Nanoseconds(1), absl::Duration most = absl::Hours(24 * 365));
// One of a few words.
Flag ChoiceFlag(std::string name, std::string help, std::vector<std::string> choices,
                std::function<void(const std::string&)> set);

}  // namespace heed::cli
