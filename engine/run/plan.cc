#include "engine/run/plan.h"

#include <algorithm>
#include <set>
#include <utility>

#include "engine/base/no_memory.h"
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

  // Makes an engine's primitives once, so that a bundle that oneDNN refuses is known at loading.
  absl::Status Try() const { return Engine::Make(model_, options_).status(); }

  const std::vector<AttendInfo>& attends() const override { return attends_; }
  bool copies() const override { return model_->copy.has_value(); }
  bool shortlists() const override { return model_->output_rows >= 0; }
  std::int64_t weight_bytes() const override { return model_->bytes; }
  std::int64_t JobBytes(const DecodeJob& job) const override { return LiveJob::Bytes(job, *model_); }
  absl::StatusOr<std::unique_ptr<StepEngine>> MakeEngine() const override {
    return CatchNoMemory([this]() -> absl::StatusOr<std::unique_ptr<StepEngine>> {
      HEED_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine, Engine::Make(model_, options_));
      return engine;
    });
  }

 private:
  const std::shared_ptr<const CompiledModel> model_;
  const EngineOptions options_;
  std::vector<AttendInfo> attends_;
};

CompileOptions CompileOptionsFor(const Bundle& bundle, const EngineOptions& options) {
  const auto& target = bundle.spec.target();
  return {target.eos_id(),
          target.unk_id(),
          bundle.spec.has_shortlist(),
          options.max_table_bytes,
          std::max(options.max_source_tokens, options.max_target_tokens),
          options.precision};
}

}  // namespace

std::unique_ptr<CoreTeam> MakeCoreTeam(int threads) { return std::make_unique<CoreTeam>(threads, Gemm::StartThread); }

absl::StatusOr<PlanMemory> Plan::Measure(const Bundle& bundle, const CheckedProgram& program,
                                         const EngineOptions& options) {
  HEED_RETURN_IF_ERROR(CheckPrecision(options.precision));
  HEED_ASSIGN_OR_RETURN(CompiledModel outline, Outline(program, CompileOptionsFor(bundle, options)));
  const std::set<Packing> packings(outline.packings.begin(), outline.packings.end());
  const std::int64_t code = SaturatingAdd(
      SaturatingMultiply(static_cast<std::int64_t>(packings.size()), Gemm::CodeBytes(Engine::Block(options))),
      options.team == nullptr ? 0 : Gemm::CodeBytes(Gemm::kSharedRows));
  PlanMemory memory{
      .weights = outline.bytes, .code = SaturatingAdd(code, outline.table_code_bytes), .making = outline.making_bytes};
  HEED_ASSIGN_OR_RETURN(memory.engine, Engine::Bytes(std::move(outline), options));
  return memory;
}

absl::StatusOr<std::shared_ptr<const Plan>> Plan::Make(const Bundle& bundle, const CheckedProgram& program,
                                                       const EngineOptions& options) {
  HEED_RETURN_IF_ERROR(CheckPrecision(options.precision));
  HEED_ASSIGN_OR_RETURN(CompiledModel model, Compile(program, CompileOptionsFor(bundle, options)));
  auto plan = std::make_shared<const CompiledPlan>(std::move(model), options);
  HEED_RETURN_IF_ERROR(plan->Try());
  return plan;
}

}  // namespace heed
