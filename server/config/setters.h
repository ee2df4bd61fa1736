// How the values of flags are read: a setter each for numbers, times, addresses and the like, which puts a value into
// its field or says which bound it breaks. flags.cc has the table of flags.
//
// Plain functions, thread-safe.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/marshalling.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/config/options.h"

namespace heed {

// How a value is put into the options: an empty string when it was, else the bound that it broke.
using Setter = std::function<std::string(const std::string& value, ServerOptions* options)>;
// Where to: HEED_FIELD(tls.cert).
template <typename T>
using FlagField = T* (*)(ServerOptions*);
// The address of a member, as a plain function.
#define HEED_FIELD(member) +[](ServerOptions* o) { return &o->member; }

template <typename T>
Setter Number(FlagField<T> field, T low, T high);
Setter Time(FlagField<absl::Duration> field, absl::Duration low, absl::Duration high);
// 0 is never: an infinite duration.
Setter TimeOrNever(FlagField<absl::Duration> field);
Setter Text(FlagField<std::string> field);
// HOST:PORT.
Setter Address(FlagField<std::string> field, bool may_be_empty);
// Those that AddressSet::Parse takes.
Setter Addresses(FlagField<std::string> field);
template <typename T>
Setter OneOf(FlagField<T> field, std::vector<std::pair<std::string, T>> choices);

// A default as --help shows it.
template <typename T>
std::string Unparse(const T& value) {
  return absl::UnparseFlag(value);
}

// Below is how.

template <typename T>
Setter Number(FlagField<T> field, T low, T high) {
  const std::string bound = absl::StrCat("a whole number from ", low, " to ", high);
  return [field, low, high, bound](const std::string& value, ServerOptions* options) -> std::string {
    T number = 0;
    std::string error;
    if (!absl::ParseFlag(value, &number, &error) || number < low || number > high) return std::string(bound);
    *field(options) = number;
    return "";
  };
}

template <typename T>
Setter OneOf(FlagField<T> field, std::vector<std::pair<std::string, T>> choices) {
  return [field, choices](const std::string& value, ServerOptions* options) -> std::string {
    std::string names;
    for (const auto& [name, choice] : choices) {
      if (name == value) {
        *field(options) = choice;
        return "";
      }
      absl::StrAppend(&names, names.empty() ? "" : " or ", name);
    }
    return names;
  };
}

}  // namespace heed
