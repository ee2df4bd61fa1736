// The messages that ask for text, made into what admission takes: the same for a message that came as protobuf and for
// one that was parsed from JSON.
//
// Plain functions, thread-safe.
#pragma once

#include <iterator>
#include <utility>

#include "server/admission/admission.h"

namespace heed {

inline ModelChoice ToModelChoice(v1::ModelSelector* message) {
  ModelChoice choice;
  if (message->has_name()) choice.name = std::move(*message->mutable_name());
  if (message->has_version()) choice.version = std::move(*message->mutable_version());
  if (message->has_source_language()) choice.source_language = std::move(*message->mutable_source_language());
  if (message->has_target_language()) choice.target_language = std::move(*message->mutable_target_language());
  return choice;
}

inline AttentionRequest ToAttentionRequest(v1::AttentionOptions* message) {
  AttentionRequest request;
  for (const int component : message->components()) {
    request.components.push_back(static_cast<v1::AttentionComponent>(component));
  }
  request.unit = message->unit();
  request.attends.assign(std::make_move_iterator(message->mutable_attends()->begin()),
                         std::make_move_iterator(message->mutable_attends()->end()));
  return request;
}

// `message` is a TranslateRequest or a SummarizeRequest, or a stream's request with one in it, and is taken apart.
template <typename Request>
TextRequest ToTextRequest(v1::Task task, Request* message) {
  if constexpr (requires { message->mutable_request(); }) {
    return ToTextRequest(task, message->mutable_request());
  } else {
    TextRequest request;
    request.task = task;
    request.model = ToModelChoice(message->mutable_model());
    request.texts.assign(std::make_move_iterator(message->mutable_texts()->begin()),
                         std::make_move_iterator(message->mutable_texts()->end()));
    request.search = message->search();
    request.too_long = message->too_long();
    if (message->has_attention()) request.attention = ToAttentionRequest(message->mutable_attention());
    if (message->has_shortlist()) request.shortlist = message->shortlist();
    if (message->has_max_reply_bytes()) request.max_reply_bytes = message->max_reply_bytes();
    request.priority = message->priority();
    if (message->has_time_budget()) request.time_budget = message->time_budget();
    return request;
  }
}

}  // namespace heed
