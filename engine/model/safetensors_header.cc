#include "engine/model/safetensors_header.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/str_join.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace heed {
namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kMaxDimension = std::uint64_t{1} << 30;
constexpr std::size_t kMaxNameBytes = 200;
constexpr std::uint64_t kMaxHeaderBytes = 8 << 20;

using Entry = SafetensorsEntry;

bool IsTensorName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxNameBytes &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 127; });
}

// Takes the header's JSON event by event and refuses at once what is not of the one form it may have, so that nothing
// is built for nested or repeated nonsense: {"name": {"dtype": "F32", "shape": [n], "data_offsets": [begin, end]}}.
class HeaderHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderHandler(int max_tensors) : max_tensors_(max_tensors) {}

  std::vector<Entry> TakeEntries() { return std::move(entries_); }
  // What is wrong, without the file's name; set when sax_parse returned false.
  const std::string& fault() const { return fault_; }

  bool null() override { return Unexpected("null"); }
  bool boolean(bool) override { return Unexpected("true or false"); }
  bool number_integer(number_integer_t) override { return Unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return Unexpected("a fraction or too large a number"); }
  bool binary(binary_t&) override { return Unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (list_ == nullptr) return Unexpected("a number");
    if (list_->size() == 2) return Fault(absl::StrCat(Where(), ": more than 2 numbers"));
    list_->push_back(value);
    return true;
  }

  bool string(string_t& value) override {
    if (in_metadata_ && depth_ == 2) return true;
    if (list_ != nullptr || depth_ != 2 || field_ != "dtype") return Unexpected("a string");
    entries_.back().dtype = value;
    return true;
  }

  bool start_object(std::size_t) override {
    if (list_ != nullptr || depth_ == 2) return Unexpected("an object");
    ++depth_;
    return true;
  }

  bool end_object() override {
    if (depth_ == 2 && !in_metadata_ && fields_.size() != 3) {
      return Fault(absl::StrCat("tensor ", entries_.back().name, " has no ", MissingField()));
    }
    --depth_;
    in_metadata_ = false;
    return true;
  }

  bool start_array(std::size_t) override {
    if (list_ != nullptr || depth_ != 2 || in_metadata_) return Unexpected("a list");
    if (field_ == "shape") list_ = &entries_.back().shape;
    if (field_ == "data_offsets") list_ = &entries_.back().offsets;
    return list_ != nullptr || Unexpected("a list");
  }

  bool end_array() override {
    list_ = nullptr;
    return true;
  }

  bool key(string_t& value) override {
    if (depth_ == 1) return TensorKey(value);
    if (in_metadata_) return true;
    if (value != "dtype" && value != "shape" && value != "data_offsets") {
      return Fault(absl::StrCat("tensor ", entries_.back().name, " has an unknown field ", Quote(value)));
    }
    field_ = value;
    return fields_.insert(value).second ||
           Fault(absl::StrCat("tensor ", entries_.back().name, " has ", value, " twice"));
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    return Fault(absl::StrCat("not JSON at byte ", position));
  }

 private:
  bool TensorKey(const std::string& name) {
    field_.clear();
    if (name == "__metadata__") {
      in_metadata_ = true;
      return true;
    }
    if (!IsTensorName(name)) {
      return Fault(absl::StrCat("tensor name ", Quote(name), " is not 1 to ", kMaxNameBytes, " printable characters"));
    }
    if (!names_.insert(name).second) return Fault(absl::StrCat("tensor ", name, " stands twice"));
    if (names_.size() > static_cast<std::size_t>(max_tensors_)) {
      return Fault(absl::StrCat("more than ", max_tensors_, " tensors"));
    }
    fields_.clear();
    entries_.push_back({.name = name});
    return true;
  }

  const char* MissingField() const {
    for (const char* field : {"dtype", "shape", "data_offsets"}) {
      if (!fields_.contains(field)) return field;
    }
    return "";
  }

  std::string Where() const {
    if (in_metadata_) return "__metadata__";
    if (entries_.empty()) return "the header";
    return absl::StrCat("tensor ", entries_.back().name, field_.empty() ? "" : ": ", field_);
  }

  bool Unexpected(const char* what) { return Fault(absl::StrCat(Where(), ": did not expect ", what)); }

  bool Fault(std::string what) {
    fault_ = std::move(what);
    return false;
  }

  const int max_tensors_;
  std::vector<Entry> entries_;
  std::set<std::string> names_;
  std::set<std::string> fields_;  // that the last entry has
  std::string field_;             // its current one
  std::vector<std::uint64_t>* list_ = nullptr;
  int depth_ = 0;
  bool in_metadata_ = false;
  std::string fault_;
};

absl::StatusOr<std::vector<Entry>> ParseHeader(absl::string_view file, absl::string_view header, int max_tensors) {
  if (header.empty() || header[0] != '{') {
    return absl::InvalidArgumentError(absl::StrCat(file, ": header: expected JSON that starts with {"));
  }
  HeaderHandler handler(max_tensors);
  if (!nlohmann::json::sax_parse(header.begin(), header.end(), &handler)) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": header: ", handler.fault()));
  }
  return handler.TakeEntries();
}

// Checks one entry against the data area by itself: after this, offsets.size() == 2 and the shape's bytes lie inside.
absl::Status CheckEntry(absl::string_view file, const Entry& entry, std::uint64_t data_bytes) {
  const auto fault = [&](const auto&... what) { return TensorFault(file, entry.name, what...); };
  const std::uint64_t element_bytes = entry.ElementBytes();
  if (element_bytes == 0) return fault("dtype is ", Quote(entry.dtype), ", expected F32, BF16 or I8");
  if (entry.shape.empty()) return fault("shape has no dimensions, expected 1 or 2");
  if (entry.IsInt8() && entry.shape.size() != 2) return fault("is int8 of 1 dimension, expected 2");
  std::uint64_t bytes = element_bytes;
  for (const std::uint64_t n : entry.shape) {
    if (n < 1 || n > kMaxDimension) return fault("dimension ", n, " is not 1 to ", kMaxDimension);
    bytes *= n;  // two dimensions of 2^30 and 4 bytes an element: at most 2^62
  }
  if (entry.offsets.size() != 2) return fault("data_offsets: expected 2 numbers");
  const std::uint64_t begin = entry.offsets[0];
  const std::uint64_t end = entry.offsets[1];
  if (begin > end || end > data_bytes) {
    return fault("data_offsets [", begin, ",", end, "] lie outside the ", data_bytes, " bytes of data");
  }
  if (begin % element_bytes != 0) return fault("data_offsets begin at ", begin, ", no multiple of ", element_bytes);
  if (end - begin != bytes) {
    return fault("shape [", absl::StrJoin(entry.shape, ","), "] takes ", bytes, " bytes, data_offsets give ",
                 end - begin);
  }
  return absl::OkStatus();
}

// `entries` sorted by offset must follow each other from 0 to the end of the data.
absl::Status CheckCoverage(absl::string_view file, const std::vector<Entry>& entries, std::uint64_t data_bytes) {
  std::uint64_t covered = 0;
  for (const Entry& entry : entries) {
    const std::uint64_t begin = entry.offsets[0];
    if (begin < covered) {
      return absl::InvalidArgumentError(absl::StrCat(file, ": tensor ", entry.name, ": begins at ", begin,
                                                     ", inside the tensor before it, which ends at ", covered));
    }
    if (begin > covered) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ": bytes ", covered, " to ", begin, " of the data belong to no tensor"));
    }
    covered = entry.offsets[1];
  }
  if (covered != data_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": bytes ", covered, " to ", data_bytes, " of the data belong to no tensor"));
  }
  return absl::OkStatus();
}

}  // namespace

std::uint64_t SafetensorsEntry::ElementBytes() const {
  if (dtype == "F32") return 4;
  if (dtype == "BF16") return 2;
  return dtype == "I8" ? 1 : 0;
}

absl::StatusOr<SafetensorsContents> ParseSafetensorsHeader(absl::string_view file, absl::string_view bytes,
                                                           int max_tensors) {
  if (bytes.size() < kLengthBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": ", bytes.size(), " bytes, expected at least the ", kLengthBytes, " of a header length"));
  }
  std::uint64_t header_bytes;
  std::memcpy(&header_bytes, bytes.data(), kLengthBytes);
  bytes.remove_prefix(kLengthBytes);
  if (header_bytes > bytes.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": header length is ", header_bytes, ", but only ", bytes.size(), " bytes follow"));
  }
  if (header_bytes > kMaxHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": header length is ", header_bytes, ", more than the bound of ", kMaxHeaderBytes));
  }
  HEED_ASSIGN_OR_RETURN(std::vector<Entry> entries, ParseHeader(file, bytes.substr(0, header_bytes), max_tensors));
  bytes.remove_prefix(header_bytes);

  for (const Entry& entry : entries) HEED_RETURN_IF_ERROR(CheckEntry(file, entry, bytes.size()));
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.offsets[0] < b.offsets[0]; });
  HEED_RETURN_IF_ERROR(CheckCoverage(file, entries, bytes.size()));
  return SafetensorsContents{std::move(entries), bytes};
}

}  // namespace heed
