#include "client/cli/flags.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "engine/base/nearest.h"

namespace heed::cli {
namespace {

const Flag* Find(const std::vector<FlagGroup>& groups, const std::string& name) {
  for (const FlagGroup& group : groups) {
    for (const Flag& flag : group.flags) {
      if (flag.name == name) return &flag;
    }
  }
  return nullptr;
}

absl::Status UnknownFlag(const std::vector<FlagGroup>& groups, const std::string& name) {
  std::vector<std::string> names;
  for (const FlagGroup& group : groups) {
    for (const Flag& flag : group.flags) names.push_back(flag.name);
  }
  const std::string nearest = Nearest(name, names);
  return absl::InvalidArgumentError(absl::StrCat(
      "there is no flag --", name, nearest.empty() ? "" : absl::StrCat("; did you mean --", nearest, "?")));
}

absl::Status MustBe(const std::string& what) { return absl::InvalidArgumentError("it must be " + what); }

absl::Status Set(const Flag& flag, const std::string& called, const std::string& value) {
  absl::Status status = flag.set(value);
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat(called, " is \"", value, "\"; ", std::string(status.message())));
}

absl::Status SetFromEnvironment(const std::vector<FlagGroup>& groups, const std::set<const Flag*>& given,
                                const Environment& environment) {
  if (environment == nullptr) return absl::OkStatus();
  for (const FlagGroup& group : groups) {
    for (const Flag& flag : group.flags) {
      if (flag.variable.empty() || given.count(&flag) > 0) continue;
      const std::string value = environment(flag.variable).value_or("");
      if (value.empty()) continue;
      if (absl::Status status = Set(flag, flag.variable, value); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseFlags(const std::vector<FlagGroup>& groups,
                                                    const std::vector<std::string>& arguments,
                                                    const Environment& environment) {
  std::vector<std::string> operands;
  std::set<const Flag*> given;
  const Flag* const help = Find(groups, "help");
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--") {
      operands.insert(operands.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1, arguments.end());
      break;
    }
    if (argument.size() < 2 || argument[0] != '-') {
      operands.push_back(argument);
      continue;
    }
    if (argument == "-h" && help != nullptr) {
      if (absl::Status status = Set(*help, argument, "true"); !status.ok()) return status;
      given.insert(help);
      continue;
    }
    if (!absl::StartsWith(argument, "--")) {
      return absl::InvalidArgumentError(
          absl::StrCat("there is no flag ", argument, " (a text that begins with a dash goes behind --)"));
    }
    const std::size_t equals = argument.find('=');
    const bool has_value = equals != std::string::npos;
    const std::string name =
        absl::StrReplaceAll(argument.substr(2, has_value ? equals - 2 : std::string::npos), {{"-", "_"}});
    std::string value = has_value ? argument.substr(equals + 1) : "";
    const Flag* flag = Find(groups, name);
    if (flag == nullptr && !has_value && absl::StartsWith(name, "no")) {
      flag = Find(groups, std::string(absl::StripPrefix(name.substr(2), "_")));  // --no-progress, --noprogress
      if (flag != nullptr && !flag->value.empty()) flag = nullptr;
      value = "false";
    } else if (flag != nullptr && !has_value && flag->value.empty()) {
      value = "true";
    } else if (flag != nullptr && !has_value) {
      if (i + 1 == arguments.size()) return absl::InvalidArgumentError(absl::StrCat("--", name, " needs a value"));
      value = arguments[++i];
    }
    if (flag == nullptr) return UnknownFlag(groups, name);
    if (absl::Status status = Set(*flag, "--" + flag->name, value); !status.ok()) return status;
    given.insert(flag);
  }
  if (given.count(help) > 0) return operands;
  if (absl::Status status = SetFromEnvironment(groups, given, environment); !status.ok()) return status;
  return operands;
}

std::string FlagHelp(const std::vector<FlagGroup>& groups) {
  std::string help;
  for (const FlagGroup& group : groups) {
    absl::StrAppend(&help, group.title, ":\n");
    for (const Flag& flag : group.flags) {
      std::string left = absl::StrCat("  --", flag.name, flag.value.empty() ? "" : absl::StrCat("=", flag.value));
      left.resize(std::max<std::size_t>(left.size() + 2, 32), ' ');
      const std::string indent = absl::StrCat("\n", std::string(32, ' '));
      std::string text = flag.help;
      if (!flag.variable.empty()) {
        const std::size_t last_line = text.size() - (text.rfind('\n') + 1);
        const bool fits = 32 + last_line + flag.variable.size() + 4 <= 120;
        absl::StrAppend(&text, fits ? " " : "\n", "[$", flag.variable, "]");
      }
      absl::StrAppend(&help, left.size() > 32 ? left + indent : left, absl::StrReplaceAll(text, {{"\n", indent}}),
                      "\n");
    }
    absl::StrAppend(&help, "\n");
  }
  return help;
}

Flag BoolFlag(std::string name, std::string help, bool* target) {
  return BoolFlag(std::move(name), std::move(help), [target](bool value) { *target = value; });
}

Flag BoolFlag(std::string name, std::string help, std::function<void(bool)> set) {
  return {std::move(name), "", std::move(help), [set = std::move(set)](const std::string& value) {
            bool given = false;
            if (!absl::SimpleAtob(value, &given)) return MustBe("true or false");
            set(given);
            return absl::OkStatus();
          }};
}

Flag StringFlag(std::string name, std::string value, std::string help, std::string* target) {
  return StringFlag(std::move(name), std::move(value), std::move(help),
                    [target](const std::string& text) { *target = text; });
}

Flag StringFlag(std::string name, std::string value, std::string help, std::function<void(const std::string&)> set) {
  return {std::move(name), std::move(value), std::move(help), [set = std::move(set)](const std::string& text) {
            set(text);
            return absl::OkStatus();
          }};
}

Flag IntFlag(std::string name, std::string help, std::function<void(std::int64_t)> set, std::int64_t least,
             std::int64_t most) {
  return {std::move(name), "N", std::move(help), [set = std::move(set), least, most](const std::string& value) {
            std::int64_t number = 0;
            if (!absl::SimpleAtoi(value, &number) || number < least || number > most) {
              return MustBe(absl::StrCat("a whole number from ", least, " to ", most));
            }
            set(number);
            return absl::OkStatus();
          }};
}

Flag IntFlag(std::string name, std::string help, std::function<void(std::int32_t)> set, std::string range) {
  return {std::move(name), "N", std::move(help),
          [set = std::move(set), range = std::move(range)](const std::string& value) {
            std::int32_t number = 0;
            if (!absl::SimpleAtoi(value, &number)) return MustBe(absl::StrCat("a whole number, ", range));
            set(number);
            return absl::OkStatus();
          }};
}

Flag FloatFlag(std::string name, std::string help, std::function<void(float)> set, std::string range) {
  return {std::move(name), "X", std::move(help),
          [set = std::move(set), range = std::move(range)](const std::string& value) {
            float number = 0;
            if (!absl::SimpleAtof(value, &number)) return MustBe(absl::StrCat("a number, ", range));
            set(number);
            return absl::OkStatus();
          }};
}

Flag DurationFlag(std::string name, std::string help, absl::Duration* target, absl::Duration least,
                  absl::Duration most) {
  const std::string from = least == absl::Nanoseconds(1) ? "longer than 0" : "at least " + absl::FormatDuration(least);
  const std::string to = most == absl::Hours(24 * 365) ? "a year" : absl::FormatDuration(most);
  return {std::move(name), "TIME", std::move(help), [=](const std::string& value) {
            absl::Duration duration;
            double seconds = 0;
            if (absl::SimpleAtod(value, &seconds)) {
              duration = absl::Seconds(seconds);
            } else if (!absl::ParseDuration(value, &duration)) {
              duration = -absl::InfiniteDuration();  // no time is out of every bound
            }
            if (duration < least || duration > most) {
              return MustBe(absl::StrCat("a time such as 30s, 1m30s or 500ms (a plain number is seconds), ", from,
                                         " and at most ", to));
            }
            *target = duration;
            return absl::OkStatus();
          }};
}

Flag ChoiceFlag(std::string name, std::string help, std::vector<std::string> choices,
                std::function<void(const std::string&)> set) {
  std::string words = absl::StrJoin(choices, "|");
  return {std::move(name), words, std::move(help),
          [set = std::move(set), choices = std::move(choices)](const std::string& value) {
            if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
              return MustBe(absl::StrJoin(choices, " or "));
            }
            set(value);
            return absl::OkStatus();
          }};
}

}  // namespace heed::cli
