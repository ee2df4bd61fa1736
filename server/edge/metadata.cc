#include "server/edge/metadata.h"

#include <array>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/quote.h"

namespace heed {
namespace {

constexpr std::size_t kEntryBytes = 32;

bool IsName(absl::string_view name) {
  if (name.empty()) return false;
  for (char c : name) {
    if (!absl::ascii_islower(static_cast<unsigned char>(c)) && !absl::ascii_isdigit(static_cast<unsigned char>(c)) &&
        c != '-' && c != '_' && c != '.') {
      return false;
    }
  }
  return true;
}

bool IsPrintable(absl::string_view value) {
  for (char c : value) {
    if (c < 0x20 || c > 0x7e) return false;
  }
  return true;
}

// Base64 with or without padding.
bool Decode(absl::string_view value, std::string* bytes) {
  while (absl::EndsWith(value, "=")) value.remove_suffix(1);
  return absl::Base64Unescape(value, bytes);
}

// HTTP's and gRPC's own: nobody behind the edge needs them.
bool IsReserved(absl::string_view name) {
  static constexpr std::array<absl::string_view, 8> kNames = {
      "te", "user-agent", "host", "connection", "keep-alive", "transfer-encoding", "upgrade", "content-length"};
  for (const absl::string_view reserved : kNames) {
    if (name == reserved) return true;
  }
  return absl::StartsWith(name, "grpc-");
}

}  // namespace

std::optional<absl::Duration> ParseTimeout(absl::string_view value) {
  if (value.size() < 2 || value.size() > 9) return std::nullopt;
  const char unit = value.back();
  value.remove_suffix(1);
  std::int64_t number = 0;
  for (char c : value) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return std::nullopt;
    number = 10 * number + (c - '0');
  }
  switch (unit) {
    case 'H':
      return absl::Hours(number);
    case 'M':
      return absl::Minutes(number);
    case 'S':
      return absl::Seconds(number);
    case 'm':
      return absl::Milliseconds(number);
    case 'u':
      return absl::Microseconds(number);
    case 'n':
      return absl::Nanoseconds(number);
    default:
      return std::nullopt;
  }
}

void HeadReader::Add(absl::string_view name, absl::string_view value) {
  bytes_ += name.size() + value.size() + kEntryBytes;
  if (bytes_ > max_bytes_) return;
  if (!fault_.ok()) return;
  Take(name, value);
}

void HeadReader::Take(absl::string_view name, absl::string_view value) {
  const bool pseudo = absl::StartsWith(name, ":");
  if (!IsName(pseudo ? name.substr(1) : name)) {
    fault_ = absl::InvalidArgumentError(absl::StrCat("the call's metadata has the name ", Quote(name),
                                                     "; names are of a to z, 0 to 9, '-', '_' and '.'"));
  } else if (!IsPrintable(value)) {
    fault_ = absl::InvalidArgumentError(
        absl::StrCat("the call's metadata ", Quote(name), " has a value that is not printable ASCII"));
  } else if (name == ":method") {
    head_.method = std::string(value);
  } else if (name == ":path") {
    head_.path = std::string(value);
  } else if (name == "content-type") {
    head_.content_type = std::string(value);
  } else if (name == "grpc-encoding") {
    head_.encoding_name = std::string(value);
    head_.encoding = value == "identity"                     ? Encoding::kIdentity
                     : value == "gzip" || value == "deflate" ? Encoding::kGzip
                                                             : Encoding::kUnknown;
  } else if (name == "grpc-accept-encoding") {
    for (absl::string_view one : absl::StrSplit(value, ',')) {
      head_.takes_gzip = head_.takes_gzip || absl::StripAsciiWhitespace(one) == "gzip";
    }
  } else if (name == "grpc-timeout") {
    head_.timeout = ParseTimeout(value);
    if (!head_.timeout.has_value()) {
      fault_ = absl::InvalidArgumentError(
          absl::StrCat("grpc-timeout is ", Quote(value), "; it must be at most 8 digits and one of H, M, S, m, u, n"));
    }
  } else if (pseudo || IsReserved(name)) {
    return;
  } else if (!absl::EndsWith(name, "-bin")) {
    head_.metadata.emplace_back(name, value);
  } else {
    // Values that belong together come with commas between them.
    for (absl::string_view one : absl::StrSplit(value, ',')) {
      std::string bytes;
      if (!Decode(absl::StripAsciiWhitespace(one), &bytes)) {
        fault_ = absl::InvalidArgumentError(absl::StrCat("the call's metadata ", Quote(name), " is not base64"));
        return;
      }
      head_.metadata.emplace_back(name, std::move(bytes));
    }
  }
}

absl::Status HeadReader::Finish() {
  if (bytes_ <= max_bytes_) return fault_;
  return absl::ResourceExhaustedError(absl::StrCat("the call's metadata takes ", bytes_, " bytes (names and values, ",
                                                   kEntryBytes, " more for each); at most ", max_bytes_, " are taken"));
}

std::string EncodeMessage(absl::string_view message) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (char c : message) {
    if (c >= 0x20 && c <= 0x7e && c != '%') {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.push_back('%');
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    }
  }
  return out;
}

std::string EncodeValue(absl::string_view name, absl::string_view value) {
  if (!absl::EndsWith(name, "-bin")) return std::string(value);
  std::string encoded = absl::Base64Escape(value);
  while (absl::EndsWith(encoded, "=")) encoded.pop_back();
  return encoded;
}

}  // namespace heed
