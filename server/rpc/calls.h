// The calls themselves, one function per kind: each awaits an RPC's calls, one after another, until the server shuts
// down.
//
// Before the queue's start, which they outlive as `core` and `ask` do.
#pragma once

#include "server/rpc/call.h"

namespace heed {

// Translate and Summarize.
void AwaitTextCalls(Rpc rpc, Core* core, CallQueue* queue, const AskUnary* ask);
// StreamTranslate and StreamSummarize.
void AwaitStreamCalls(Rpc rpc, Core* core, CallQueue* queue, const AskStream* ask);
// ListModels and GetModel.
void AwaitModelCalls(Rpc rpc, Core* core, CallQueue* queue, const AskUnary* ask);

}  // namespace heed
