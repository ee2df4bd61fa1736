#include "server/text/string_array.h"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/text/utf8.h"

namespace heed {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{256} << 20;
constexpr std::size_t kMaxStringBytes = std::size_t{64} << 10;

class Parser {
 public:
  explicit Parser(std::string_view json) : json_(json) {}

  absl::StatusOr<std::vector<std::string>> Run(std::size_t count);

 private:
  absl::Status Fault(std::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat("byte ", at_, " (item ", item_, "): ", std::string(what)));
  }
  // Skips white space; the next byte, which is not consumed, NUL at the end (and for a NUL).
  char Peek() {
    while (at_ < json_.size() &&
           (json_[at_] == ' ' || json_[at_] == '\n' || json_[at_] == '\r' || json_[at_] == '\t')) {
      ++at_;
    }
    return at_ < json_.size() ? json_[at_] : '\0';
  }
  absl::StatusOr<std::string> String();
  absl::Status Escape(std::string* out);
  // The four hex digits at `at_`, consumed; -1 when they are not there.
  int Hex4();

  const std::string_view json_;
  std::size_t at_ = 0;
  std::size_t item_ = 0;
};

int Parser::Hex4() {
  if (json_.size() - at_ < 4) return -1;
  int value = 0;
  for (const char c : json_.substr(at_, 4)) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c - 'A' + 10;
    const bool is_digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (!is_digit) return -1;
    value = value * 16 + digit;
  }
  at_ += 4;
  return value;
}

absl::Status Parser::Escape(std::string* out) {
  constexpr std::string_view kNames = "\"\\/bfnrt", kValues = "\"\\/\b\f\n\r\t";
  if (at_ == json_.size()) return Fault("the string does not end");
  const char name = json_[at_++];
  if (const std::size_t known = kNames.find(name); known != std::string_view::npos) {
    *out += kValues[known];
    return absl::OkStatus();
  }
  const int first = name == 'u' ? Hex4() : -1;
  if (first < 0) return Fault("an unknown escape");
  char32_t value = static_cast<char32_t>(first);
  if (value >= 0xD800 && value < 0xDC00 && json_.substr(at_).starts_with("\\u")) {
    at_ += 2;
    const int second = Hex4();
    if (second < 0xDC00 || second > 0xDFFF) return Fault("half a surrogate pair");
    value = 0x10000 + ((value - 0xD800) << 10) + static_cast<char32_t>(second - 0xDC00);
  }
  if (value >= 0xD800 && value <= 0xDFFF) return Fault("half a surrogate pair");
  AppendUtf8(value, out);
  return absl::OkStatus();
}

absl::StatusOr<std::string> Parser::String() {
  std::string value;
  ++at_;
  while (true) {
    const std::size_t begin = at_;
    while (at_ < json_.size() && json_[at_] != '"' && json_[at_] != '\\' &&
           static_cast<std::uint8_t>(json_[at_]) >= 32) {
      ++at_;
    }
    value += json_.substr(begin, at_ - begin);
    if (value.size() > kMaxStringBytes) return Fault(absl::StrCat("a string of more than ", kMaxStringBytes, " bytes"));
    if (at_ == json_.size()) return Fault("the string does not end");
    const char c = json_[at_];
    if (c != '"' && c != '\\') return Fault("a control character in a string");
    ++at_;
    if (c == '"') return value;
    HEED_RETURN_IF_ERROR(Escape(&value));
  }
}

absl::StatusOr<std::vector<std::string>> Parser::Run(std::size_t count) {
  std::vector<std::string> strings;
  if (Peek() != '[') return Fault("expected a JSON array of strings");
  ++at_;
  if (Peek() == ']') {
    ++at_;
  } else {
    for (bool more = true; more; ++at_) {
      if (Peek() != '"') return Fault("expected a string");
      HEED_ASSIGN_OR_RETURN(std::string value, String());
      strings.push_back(std::move(value));
      if (strings.size() > count) return Fault(absl::StrCat("more pieces than the vocabulary's size ", count));
      ++item_;
      more = Peek() == ',';
      if (!more && json_.substr(at_, 1) != "]") return Fault("expected \",\" or \"]\"");
    }
  }
  if (Peek() != '\0' || at_ != json_.size()) return Fault("something after the array");
  if (strings.size() != count) {
    return absl::InvalidArgumentError(absl::StrCat(strings.size(), " pieces, expected the vocabulary's size ", count));
  }
  return strings;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseStringArray(std::string_view json, int count) {
  if (json.size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(absl::StrCat(json.size(), " bytes, at most ", kMaxFileBytes));
  }
  if (!IsValidUtf8(json)) return absl::InvalidArgumentError("not UTF-8");
  return Parser(json).Run(static_cast<std::size_t>(count));
}

}  // namespace heed
