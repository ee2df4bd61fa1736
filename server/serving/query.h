// Questions about the server itself: nothing in them waits, so they are answered where they are asked.
//
// Plain functions, thread-safe.
#pragma once

#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "heed/v1/model.pb.h"
#include "server/admission/admission.h"
#include "server/metrics/metrics.h"

namespace heed {

struct Core;

// The stage that answers one kind of question: `asked` becomes the model that it is about, if it is about one.
template <typename Question, typename Answer>
using QueryStage = absl::StatusOr<Answer> (*)(const Core& core, const Question& question, ModelHandle* asked);

absl::StatusOr<v1::ListModelsResponse> ListModels(const Core& core, const v1::ListModelsRequest& question,
                                                  ModelHandle* asked);
// INVALID_ARGUMENT (no name; several versions), NOT_FOUND.
absl::StatusOr<v1::GetModelResponse> GetModel(const Core& core, const v1::GetModelRequest& question,
                                              ModelHandle* asked);

struct Query {
  Rpc rpc = Rpc::kListModels;  // what it is counted as
  // Parses the question, answers it and keeps the answer for the sink's End.
  std::function<absl::Status(const Core& core, ModelHandle* asked)> answer;
};

// `parse`: the transport's, INVALID_ARGUMENT where it is no such question; `keep` takes the answer.
template <typename Question, typename Answer>
Query MakeQuery(Rpc rpc, QueryStage<Question, Answer> stage, std::function<absl::StatusOr<Question>()> parse,
                std::function<absl::Status(const Answer&)> keep) {
  return {rpc, [stage, parse = std::move(parse), keep = std::move(keep)](const Core& core, ModelHandle* asked) {
            const absl::StatusOr<Question> question = parse();
            if (!question.ok()) return question.status();
            const absl::StatusOr<Answer> answer = stage(core, *question, asked);
            return answer.ok() ? keep(*answer) : answer.status();
          }};
}

}  // namespace heed
