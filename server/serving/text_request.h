// The messages that ask for text, made into what admission takes: the same for a message that came as protobuf and for
// one that was parsed from JSON.
//
// Plain functions, thread-safe.
#pragma once

#include <iterator>
#include <utility>

#include "server/admission/admission.h"

namespace heed {

// `message` is a TranslateRequest or a SummarizeRequest, or a stream's request with one in it, and is taken apart.
template <typename Request>
TextRequest ToTextRequest(v1::Task task, Request* message) {
  if constexpr (requires { message->mutable_request(); }) {
    return ToTextRequest(task, message->mutable_request());
  } else {
    TextRequest request;
    request.task = task;
    request.model = std::move(*message->mutable_model());
    request.texts.assign(std::make_move_iterator(message->mutable_texts()->begin()),
                         std::make_move_iterator(message->mutable_texts()->end()));
    request.search = message->search();
    request.too_long = message->too_long();
    if (message->has_attention()) request.attention = message->attention();
    if (message->has_shortlist()) request.shortlist = message->shortlist();
    if (message->has_max_reply_bytes()) request.max_reply_bytes = message->max_reply_bytes();
    request.priority = message->priority();
    if (message->has_time_budget()) request.time_budget = message->time_budget();
    return request;
  }
}

}  // namespace heed
