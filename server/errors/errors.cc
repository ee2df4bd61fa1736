#include "server/errors/errors.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "google/rpc/error_details.pb.h"
#include "server/text/utf8.h"

namespace heed {
namespace {

constexpr char kTypePrefix[] = "type.googleapis.com/";
constexpr char kRetryDelayUrl[] = "heed/retry-delay-ms";
constexpr char kDomain[] = "heed";
constexpr std::size_t kMaxQuotedBytes = 64;
constexpr std::size_t kMaxListed = 10;

void Attach(const google::protobuf::Message& detail, absl::Status* status) {
  status->SetPayload(absl::StrCat(kTypePrefix, detail.GetDescriptor()->full_name()),
                     absl::Cord(detail.SerializeAsString()));
}

}  // namespace

absl::Status InvalidField(absl::string_view field, absl::string_view value, absl::string_view bound) {
  absl::Status status = ErrorWithInfo(
      absl::StatusCode::kInvalidArgument, absl::StrCat(field, " is ", value, "; it must be ", bound), "INVALID_FIELD",
      {{"field", std::string(field)}, {"value", std::string(value)}, {"bound", std::string(bound)}});
  google::rpc::BadRequest bad_request;
  google::rpc::BadRequest::FieldViolation* violation = bad_request.add_field_violations();
  violation->set_field(std::string(field));
  violation->set_description(absl::StrCat("is ", value, "; it must be ", bound));
  Attach(bad_request, &status);
  return status;
}

absl::Status ErrorWithInfo(absl::StatusCode code, absl::string_view message, absl::string_view reason,
                           const std::map<std::string, std::string>& metadata) {
  absl::Status status(code, message);
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain(kDomain);
  for (const auto& [key, value] : metadata) (*info.mutable_metadata())[key] = value;
  Attach(info, &status);
  return status;
}

absl::Status WithRetryDelay(absl::Status status, absl::Duration delay) {
  status.SetPayload(kRetryDelayUrl, absl::Cord(absl::StrCat(absl::ToInt64Milliseconds(delay))));
  return status;
}

std::optional<absl::Duration> RetryDelay(const absl::Status& status) {
  auto payload = status.GetPayload(kRetryDelayUrl);
  std::int64_t milliseconds = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &milliseconds)) return std::nullopt;
  return absl::Milliseconds(milliseconds);
}

std::string Quoted(absl::string_view text) {
  // Never cut inside a code point: a status message must stay valid UTF-8.
  const std::size_t length = CodePointStart({text.data(), text.size()}, std::min(text.size(), kMaxQuotedBytes));
  return absl::StrCat("\"", absl::Utf8SafeCEscape(text.substr(0, length)), length < text.size() ? "..." : "", "\"");
}

std::string Listed(const std::vector<std::string>& items, absl::string_view none) {
  if (items.empty()) return std::string(none);
  if (items.size() == 1) return items[0];
  const std::size_t shown = std::min(items.size() - 1, kMaxListed);
  const std::string head = absl::StrJoin(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(shown), ", ");
  if (shown + 1 == items.size()) return absl::StrCat(head, " and ", items.back());
  return absl::StrCat(head, " and ", items.size() - shown, " more");
}

}  // namespace heed
