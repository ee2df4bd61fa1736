// The gRPC server: heed.v1's services, standard health and reflection, on one address.
//
// Health: the whole and ModelService serve from Start to Drain; TranslationService and SummarizationService too, where
// some model does that task. Start, Drain and destruction belong to one thread.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "server/lifecycle/core.h"

namespace heed {

class RpcServer {
 public:
  // Serves `core`, which outlives it, at core->options.address. One-line errors: INVALID_ARGUMENT (a TLS file),
  // UNAVAILABLE (nothing can listen there, with the system's reason).
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(Core* core);
  virtual ~RpcServer() = default;

  // The port listened on.
  virtual int port() const = 0;
  // Reads the certificate, the key and the client CA again; the connections that there are keep theirs.
  virtual void ReloadCertificates() = 0;
  // Health turns NOT_SERVING for good; everything is served as before.
  virtual void StopServingHealth() = 0;
  // The same, and new calls get UNAVAILABLE, what was accepted finishes within options.drain_time, then the
  // connections close. Whether everything finished by itself. Idempotent.
  virtual bool Drain() = 0;
};

}  // namespace heed
