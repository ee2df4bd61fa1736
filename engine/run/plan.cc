#include "engine/run/plan.h"

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/run/compile.h"
#include "engine/run/engine.h"

namespace heed {
namespace {

class CompiledPlan : public Plan {
 public:
  CompiledPlan(CompiledModel model, const EngineOptions& options)
      : model_(std::make_shared<const CompiledModel>(std::move(model))), options_(options) {
    for (std::size_t i = 0; i < model_->attend_names.size(); ++i) {
      attends_.push_back({model_->attend_names[i], model_->attend_heads[i], model_->attend_contexts[i]});
    }
  }

  // Makes an engine's primitives once, so that MakeEngine cannot fail where Make has not.
  absl::Status Try() const { return Engine::Make(model_, options_).status(); }

  const std::vector<AttendInfo>& attends() const override { return attends_; }
  bool copies() const override { return model_->copy.has_value(); }
  bool shortlists() const override { return model_->output_rows >= 0; }
  std::int64_t weight_bytes() const override { return model_->bytes; }
  std::int64_t JobBytes(const DecodeJob& job) const override { return LiveJob::Bytes(job, *model_); }
  std::unique_ptr<StepEngine> MakeEngine() const override { return Engine::Make(model_, options_).value(); }

 private:
  const std::shared_ptr<const CompiledModel> model_;
  const EngineOptions options_;
  std::vector<AttendInfo> attends_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Plan>> Plan::Make(const Bundle& bundle, const CheckedProgram& program,
                                                       const EngineOptions& options) {
  const auto& target = bundle.spec.target();
  const CompileOptions compile{target.eos_id(), target.unk_id(), bundle.spec.has_shortlist(), options.max_table_bytes,
                               std::max(options.max_source_tokens, options.max_target_tokens)};
  HEED_ASSIGN_OR_RETURN(CompiledModel model, Compile(program, compile));
  auto plan = std::make_shared<const CompiledPlan>(std::move(model), options);
  HEED_RETURN_IF_ERROR(plan->Try());
  return plan;
}

}  // namespace heed
