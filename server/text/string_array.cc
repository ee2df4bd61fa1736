#include "server/text/string_array.h"

#include <cstddef>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace heed {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{256} << 20;
constexpr std::size_t kMaxStringBytes = std::size_t{64} << 10;

// What the JSON reader tells of an array of strings; false ends the reading, with fault() set.
class Strings : public nlohmann::json::json_sax_t {
 public:
  explicit Strings(std::size_t count) : count_(count) {}

  bool string(string_t& value) override {
    if (!inside_) return Other();
    if (strings_.size() == count_) return Fault(absl::StrCat("more pieces than the vocabulary's size ", count_));
    if (value.size() > kMaxStringBytes) return Fault(absl::StrCat("a string of more than ", kMaxStringBytes, " bytes"));
    strings_.push_back(std::move(value));
    return true;
  }
  bool start_array(std::size_t /*elements*/) override { return std::exchange(inside_, true) ? Other() : true; }
  bool end_array() override { return true; }
  bool null() override { return Other(); }
  bool boolean(bool /*value*/) override { return Other(); }
  bool number_integer(number_integer_t /*value*/) override { return Other(); }
  bool number_unsigned(number_unsigned_t /*value*/) override { return Other(); }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return Other(); }
  bool binary(binary_t& /*value*/) override { return Other(); }
  bool start_object(std::size_t /*elements*/) override { return Other(); }
  bool key(string_t& /*value*/) override { return Other(); }
  bool end_object() override { return Other(); }
  // The reader's own words quote the file.
  bool parse_error(std::size_t position, const std::string& /*last*/,
                   const nlohmann::json::exception& /*why*/) override {
    return Fault(absl::StrCat("not well-formed JSON at byte ", position));
  }

  const std::string& fault() const { return fault_; }
  std::vector<std::string> Take() { return std::move(strings_); }

 private:
  bool Other() { return Fault(inside_ ? "expected a string" : "expected a JSON array of strings"); }
  bool Fault(const std::string& what) {
    fault_ = absl::StrCat("item ", strings_.size(), ": ", what);
    return false;
  }

  const std::size_t count_;
  std::vector<std::string> strings_;
  bool inside_ = false;
  std::string fault_;
};

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseStringArray(std::string_view json, int count) {
  if (json.size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(absl::StrCat(json.size(), " bytes, at most ", kMaxFileBytes));
  }
  // The reader takes it for the file's end.
  if (const std::size_t nul = json.find('\0'); nul != std::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("not well-formed JSON at byte ", nul + 1));
  }
  Strings strings(static_cast<std::size_t>(count));
  if (!nlohmann::json::sax_parse(json, &strings)) return absl::InvalidArgumentError(strings.fault());
  std::vector<std::string> read = strings.Take();
  if (read.size() != static_cast<std::size_t>(count)) {
    return absl::InvalidArgumentError(absl::StrCat(read.size(), " pieces, expected the vocabulary's size ", count));
  }
  return read;
}

}  // namespace heed
