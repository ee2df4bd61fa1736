// The calls themselves, one function per kind: each starts an RPC and gives gRPC its reactor.
//
// Thread-safe.
#pragma once

#include "server/rpc/call.h"

namespace heed {

// Translate and Summarize.
grpc::ServerUnaryReactor* StartTextCall(Rpc rpc, Core* core, grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer* request, grpc::ByteBuffer* reply);
// StreamTranslate and StreamSummarize.
grpc::ServerWriteReactor<grpc::ByteBuffer>* StartStreamCall(Rpc rpc, Core* core, grpc::CallbackServerContext* context,
                                                            const grpc::ByteBuffer* request);
// ListModels and GetModel.
grpc::ServerUnaryReactor* StartModelCall(Rpc rpc, Core* core, grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* request, grpc::ByteBuffer* reply);

}  // namespace heed
