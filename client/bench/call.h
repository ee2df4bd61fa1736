// One request of the load generator at gRPC's completion queue: it is the tag of its operations, of which one is under
// way at a time.
//
// Start by one thread, then Happen by the queue's. `context` may be cancelled by any thread in between.
#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/time/time.h"
#include "client/bench/prepare.h"
#include "client/bench/recorder.h"

namespace heed::bench {

class Call {
 public:
  static std::unique_ptr<Call> Make(const Prepared& prepared);
  virtual ~Call() = default;

  virtual void Start(grpc::GenericStub* stub, grpc::CompletionQueue* queue) = 0;
  // The operation under way has ended, at `now` since the start of the run. True: that was the last, `status` and what
  // `outcome` says of the reply are there; else the next has begun.
  bool Happen(bool ok, absl::Duration now) {
    (void)begun_.load(std::memory_order_acquire);
    return OnEvent(ok, now);
  }

  std::int64_t number = 0;  // of the run
  grpc::ClientContext context;
  Outcome outcome;
  grpc::Status status;

 protected:
  explicit Call(const Prepared& prepared);
  virtual bool OnEvent(bool ok, absl::Duration now) = 0;
  // The tag of the operation about to begin. What was written before is seen by its OnEvent.
  void* Begin() {
    begun_.store(true, std::memory_order_release);
    return this;
  }

  grpc::ByteBuffer request_;

 private:
  std::atomic<bool> begun_{false};
};

}  // namespace heed::bench
