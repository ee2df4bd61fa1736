#include "server/rpc/call.h"

#include <chrono>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "server/rpc/bridge.h"
#include "server/rpc/status.h"

namespace heed {
namespace {

constexpr char kRequestIdKey[] = "x-request-id";

// How long the client still waits; none where it has no deadline, for which gRPC gives its far future. gRPC's deadlines
// are dates, ours are not: the date may be set meanwhile. The edge lets none pass that is further than --max_deadline.
std::optional<absl::Duration> TimeLeft(const grpc::ServerContextBase& context) {
  const std::chrono::system_clock::time_point deadline = context.deadline();
  if (deadline - std::chrono::system_clock::now() > std::chrono::hours(24 * 365)) return std::nullopt;
  return absl::FromChrono(deadline) - absl::Now();
}

std::string MetadataOf(const grpc::ServerContextBase& context, const char* key) {
  const auto found = context.client_metadata().find(key);
  return found == context.client_metadata().end() ? "" : std::string(found->second.data(), found->second.size());
}

}  // namespace

std::string Call::peer_address() const { return MetadataOf(context(), kPeerAddressKey); }
std::string Call::identity() const { return MetadataOf(context(), kPeerIdentityKey); }
bool Call::wants_gzip() const { return !MetadataOf(context(), kWantsGzipKey).empty(); }

RequestContext Call::MakeContext() {
  request_id_ = RequestIdOf(MetadataOf(*context(), kRequestIdKey));
  RequestContext made;
  made.address = peer_address();
  made.identity = identity();
  made.request_id = request_id_;
  made.traceparent = MetadataOf(*context(), "traceparent");
  made.time_left = TimeLeft(*context());
  made.cancelled = cancelled_;
  made.executor = queue();
  return made;
}

grpc::Status Call::Close(const absl::Status& status, Receipt receipt) {
  receipt_ = std::move(receipt);
  AddTrailers(status, context());
  context()->AddTrailingMetadata(kRequestIdKey, request_id_);
  return ToGrpcStatus(status);
}

void UnaryCall::Finish(const absl::Status& status, Receipt receipt) {
  // What the client hears of it is made here, which takes its time; gRPC is told on its own thread.
  if (reply_.gzipped()) context()->AddInitialMetadata(kIsGzipKey, "1");
  told_ = reply_.Take();
  status_ = Close(status, std::move(receipt));
  queue()->Run([this] {
    if (status_.ok()) {
      writer_.Finish(told_, status_, answered());
    } else {
      writer_.FinishWithError(status_, answered());
    }
  });
}

}  // namespace heed
