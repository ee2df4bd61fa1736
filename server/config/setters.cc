#include "server/config/setters.h"

#include "server/config/address.h"
#include "server/net/proxy_header.h"

namespace heed {

Setter Time(FlagField<absl::Duration> field, absl::Duration low, absl::Duration high) {
  const std::string bound = absl::StrCat("a duration such as 30s or 1m30s, from ", absl::FormatDuration(low), " to ",
                                         absl::FormatDuration(high));
  return [field, low, high, bound](const std::string& value, ServerOptions* options) -> std::string {
    absl::Duration duration;
    if (!absl::ParseDuration(value, &duration) || duration < low || duration > high) return std::string(bound);
    *field(options) = duration;
    return "";
  };
}

Setter TimeOrNever(FlagField<absl::Duration> field) {
  return [field](const std::string& value, ServerOptions* options) -> std::string {
    absl::Duration duration;
    if (!absl::ParseDuration(value, &duration) || duration < absl::ZeroDuration() || duration > absl::Hours(24 * 365)) {
      return "a duration such as 30m or 12h, at most a year, or 0";
    }
    *field(options) = duration == absl::ZeroDuration() ? absl::InfiniteDuration() : duration;
    return "";
  };
}

Setter Text(FlagField<std::string> field) {
  return [field](const std::string& value, ServerOptions* options) -> std::string {
    *field(options) = value;
    return "";
  };
}

Setter Address(FlagField<std::string> field, bool may_be_empty) {
  return [field, may_be_empty](const std::string& value, ServerOptions* options) -> std::string {
    if (!(value.empty() && may_be_empty) && !IsHostPort(value)) {
      return absl::StrCat("HOST:PORT with a port from 0 to 65535", may_be_empty ? ", or empty" : "");
    }
    *field(options) = value;
    return "";
  };
}

Setter Addresses(FlagField<std::string> field) {
  return [field](const std::string& value, ServerOptions* options) -> std::string {
    if (!AddressSet::Parse(value).ok()) return "addresses with commas between them, such as 192.0.2.7,10.0.0.0/8";
    *field(options) = value;
    return "";
  };
}

}  // namespace heed
