#include "server/models/loader.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/clock.h"
#include "engine/base/no_memory.h"
#include "engine/base/quote.h"
#include "engine/base/saturating.h"
#include "engine/base/status_macros.h"
#include "engine/model/checker.h"
#include "server/text/tokenizer_bytes.h"
#include "server/text/utf8.h"

namespace heed {
namespace {

namespace fs = std::filesystem;

constexpr char kSpecFile[] = "model.json";
constexpr int kDefaultMaxSourceTokens = 512;

v1::Task ApiTask(model::v1::Task task) {
  switch (task) {
    case model::v1::TASK_TRANSLATE:
      return v1::TASK_TRANSLATE;
    case model::v1::TASK_SUMMARIZE:
      return v1::TASK_SUMMARIZE;
    default:
      return v1::TASK_UNSPECIFIED;
  }
}

std::string FileOr(const Bundle& bundle, const std::string& name) {
  auto found = bundle.files.find(name);
  return found == bundle.files.end() ? "" : found->second;
}

// Folders with a model.json, by name. A model.json is what makes a folder a bundle, so notes and caches beside the
// bundles are no faults. A folder that is a bundle itself is the only one.
absl::StatusOr<std::vector<fs::path>> BundleFolders(const std::string& folder) {
  std::error_code error;
  if (fs::is_regular_file(fs::path(folder) / kSpecFile, error)) {
    // Absolute, for "." has no name, and without a slash at its end.
    const fs::path whole = fs::absolute(folder, error).lexically_normal();
    return std::vector<fs::path>{whole.has_filename() ? whole : whole.parent_path()};
  }
  fs::directory_iterator entries(folder, error);
  if (error) return absl::NotFoundError(absl::StrCat("models folder ", folder, ": ", error.message()));
  std::vector<fs::path> folders;
  for (; entries != fs::directory_iterator(); entries.increment(error)) {
    if (error) return absl::NotFoundError(absl::StrCat("models folder ", folder, ": ", error.message()));
    if (fs::exists(entries->path() / kSpecFile, error)) folders.push_back(entries->path());
  }
  if (folders.empty()) {
    return absl::NotFoundError(
        absl::StrCat("models folder ", folder, ": holds no bundle (a folder with a ", kSpecFile, ")"));
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

void FillSummary(const Bundle& bundle, const EngineOptions& options, v1::ModelSummary* summary) {
  const model::v1::ModelSpec& spec = bundle.spec;
  summary->set_name(spec.name());
  summary->set_version(spec.version());
  summary->set_task(ApiTask(spec.task()));
  summary->set_source_language(spec.source_language());
  summary->set_target_language(spec.target_language());
  summary->set_description(spec.description());
  summary->set_license(spec.license());
  summary->set_bundle_digest(bundle.digest);
  std::int64_t parameters = 0;
  for (const auto& [name, tensor] : bundle.tensors) parameters += tensor.elements();
  summary->set_parameters(parameters);
  const int own_bound =
      spec.limits().has_max_source_tokens() ? spec.limits().max_source_tokens() : kDefaultMaxSourceTokens;
  summary->set_max_source_tokens(std::min(own_bound, options.max_source_tokens));
  summary->set_source_vocabulary_size(spec.source().size());
  summary->set_target_vocabulary_size(spec.target().size());
  summary->set_precision(std::string(PrecisionName(options.precision)));
}

// What all models of a server are loaded by.
struct LoadRules {
  const EngineOptions& options;
  const PrecisionSettings& precisions;
  const MachinePrecision machine = MachinePrecision::Here();
};

// Loads one bundle into `model`, whose summary says what was learnt before a failure. `misset` is not OK where the
// failure is that of the settings, which no other bundle makes up for.
absl::Status LoadModel(const fs::path& folder, const LoadRules& rules, const LoadLimits& limits, ServedModel* model,
                       absl::Status* misset) {
  return CatchNoMemory([&]() -> absl::Status {
    HEED_ASSIGN_OR_RETURN(Bundle bundle, ReadBundle(folder.string(), {.max_bytes = limits.max_bytes}));
    absl::StatusOr<ChosenPrecision> chosen = ChoosePrecision(bundle.spec, rules.precisions, rules.machine);
    if (!chosen.ok()) return *misset = chosen.status();
    EngineOptions options = rules.options;
    options.precision = chosen->precision;
    model->precision_note = std::move(chosen->note);
    return ServeBundle(std::move(bundle), options, model, limits);
  });
}

// Each setting is of a bundle that there is; which those are is not known where one's name could not be read.
absl::Status CheckSettings(const PrecisionSettings& settings, const std::vector<v1::ModelSummary>& found) {
  std::set<std::string> names;
  for (const v1::ModelSummary& summary : found) {
    if (summary.name().empty()) return absl::OkStatus();
    names.insert(absl::StrCat(summary.name(), " ", summary.version()));
  }
  for (std::size_t i = 0; i < settings.models.size(); ++i) {
    const ModelSetting& setting = settings.models[i];
    const auto is_of = [&setting](const v1::ModelSummary& summary) {
      return summary.name() == setting.name && (!setting.version.has_value() || summary.version() == setting.version);
    };
    if (std::any_of(found.begin(), found.end(), is_of)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("--model_settings ", settings.file, ": models[", i, "] is of ", Quote(setting.name),
                     setting.version.has_value() ? absl::StrCat(" version ", Quote(*setting.version)) : "",
                     "; it must be of a bundle of --models: ", absl::StrJoin(names, ", ")));
  }
  return absl::OkStatus();
}

// What GetModel returns is checked here once, so that no reply can fail to parse.
absl::Status CheckTexts(const Bundle& bundle) {
  for (const char* name : {kSpecFile, "README.md", "parity.json"}) {
    const auto file = bundle.files.find(name);
    if (file != bundle.files.end() && !IsValidUtf8(file->second)) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": is not valid UTF-8"));
    }
  }
  if (!IsValidUtf8(bundle.spec.description())) {
    return absl::InvalidArgumentError(absl::StrCat(kSpecFile, ": description is not valid UTF-8"));
  }
  return absl::OkStatus();
}

// Adds up what the bundle takes before its tokenisers and its plan are made. RESOURCE_EXHAUSTED over the limit.
absl::Status CheckMemory(const Bundle& bundle, const CheckedProgram& program, const EngineOptions& options,
                         const LoadLimits& limits, ServedModel* model) {
  HEED_ASSIGN_OR_RETURN(const PlanMemory plan, Plan::Measure(bundle, program, options));
  std::int64_t files = 0, tensors = 0;
  for (const auto& [name, file] : bundle.files) files = SaturatingAdd(files, Saturated(file.size()));
  for (const auto& [name, tensor] : bundle.tensors) tensors = SaturatingAdd(tensors, tensor.bytes());
  // Texts that replies hold, model.json as a message, the shortlist.
  std::int64_t kept = SpecBytes(Saturated(FileOr(bundle, kSpecFile).size()));
  for (const std::string& name :
       {std::string(kSpecFile), std::string("README.md"), std::string("parity.json"), bundle.spec.shortlist().file()}) {
    kept = SaturatingAdd(kept, Saturated(FileOr(bundle, name).size()));
  }
  // With a byte for each piece, which says whether it is of the model's scripts.
  const std::int64_t tokenizers =
      SaturatingAdd(bundle.spec.source().size(), TokenizerBytes(bundle.spec.source(), bundle.files),
                    TokenizerBytes(bundle.spec.target(), bundle.files));
  const std::int64_t engines = SaturatingMultiply(limits.engines, plan.engine);
  // Loading makes one engine, to see whether it can be made.
  const std::int64_t loading = SaturatingAdd(files, tensors, plan.making, plan.engine);
  const std::int64_t weights = SaturatingAdd(plan.weights, plan.code);
  const std::int64_t sum = SaturatingAdd(weights, tokenizers, kept, std::max(loading, engines));
  if (sum > limits.max_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat("needs ", sum, " bytes of memory, more than the bound of ",
                                                     limits.max_bytes, ": weights ", weights, ", tokenizers ",
                                                     tokenizers, ", texts ", kept, ", ", limits.engines, " engines of ",
                                                     plan.engine, ", or while it is loaded ", loading));
  }
  model->memory_bytes = SaturatingAdd(weights, tokenizers, kept, engines);
  model->engine_bytes = plan.engine;
  return absl::OkStatus();
}

}  // namespace

absl::Status ServeBundle(Bundle bundle, const EngineOptions& options, ServedModel* model, const LoadLimits& limits) {
  HEED_RETURN_IF_ERROR(CheckTexts(bundle));
  FillSummary(bundle, options, &model->summary);
  HEED_ASSIGN_OR_RETURN(CheckedProgram program, CheckProgram(bundle));
  HEED_RETURN_IF_ERROR(CheckMemory(bundle, program, options, limits, model));
  HEED_ASSIGN_OR_RETURN(model->source_tokenizer, Tokenizer::Make(bundle.spec.source(), bundle.files));
  HEED_ASSIGN_OR_RETURN(model->target_tokenizer, Tokenizer::Make(bundle.spec.target(), bundle.files));
  if (bundle.spec.segmentation() == model::v1::SEGMENTATION_SENTENCE) {
    HEED_ASSIGN_OR_RETURN(model->splitter,
                          SentenceSplitter::Make(bundle.spec.source_language(), &bundle.spec.sentence_lists()));
  }
  if (bundle.spec.has_source_scripts()) {
    HEED_ASSIGN_OR_RETURN(model->coverage, ScriptCoverage::Make(bundle.spec.source_scripts(), bundle.spec.source(),
                                                                *model->source_tokenizer));
  }
  HEED_ASSIGN_OR_RETURN(model->plan, Plan::Make(bundle, program, options));
  for (const AttendInfo& attend : model->plan->attends()) model->summary.add_attends(attend.name);
  model->summary.set_weight_bytes(model->plan->weight_bytes());
  model->spec_json = FileOr(bundle, kSpecFile);
  model->card = FileOr(bundle, "README.md");
  model->parity_json = FileOr(bundle, "parity.json");
  model->spec = std::move(bundle.spec);
  model->shortlist = std::move(bundle.shortlist);
  return absl::OkStatus();
}

std::int64_t LoadedModels::memory_bytes() const {
  std::int64_t sum = 0;
  for (const auto& model : models) sum = SaturatingAdd(sum, model->memory_bytes);
  return sum;
}

std::int64_t LoadedModels::engine_bytes() const {
  std::int64_t sum = 0;
  for (const auto& model : models) sum = SaturatingAdd(sum, model->engine_bytes);
  return sum;
}

absl::StatusOr<LoadedModels> LoadModels(const std::string& folder, const EngineOptions& options,
                                        const LoadLimits& limits, const PrecisionSettings& precisions) {
  HEED_ASSIGN_OR_RETURN(std::vector<fs::path> folders, BundleFolders(folder));
  LoadedModels loaded;
  std::set<std::pair<std::string, std::string>> taken;
  const LoadRules rules{.options = options, .precisions = precisions};
  LoadLimits left = limits;
  for (const fs::path& path : folders) {
    auto model = std::make_unique<ServedModel>();
    model->summary.set_folder(Printable(path.filename().string()));
    const absl::Time start = Clock::Real()->Now();
    absl::Status misset;
    absl::Status status = LoadModel(path, rules, left, model.get(), &misset);
    HEED_RETURN_IF_ERROR(misset);
    model->summary.set_load_seconds(absl::ToDoubleSeconds(Clock::Real()->Now() - start));
    if (status.ok() && !taken.emplace(model->summary.name(), model->summary.version()).second) {
      status = absl::AlreadyExistsError(absl::StrCat(kSpecFile, ": name ", model->summary.name(), " version ",
                                                     model->summary.version(), " is another bundle's already"));
    }
    if (status.ok()) {
      left.max_bytes -= model->memory_bytes;
      loaded.models.push_back(std::move(model));
    } else {
      model->summary.set_error(Printable(std::string(status.message())));
      loaded.failed.push_back(std::move(model->summary));
    }
  }
  if (loaded.models.empty()) {
    std::vector<std::string> reasons;
    for (const v1::ModelSummary& summary : loaded.failed) {
      reasons.push_back(absl::StrCat(summary.folder(), ": ", summary.error()));
    }
    return absl::FailedPreconditionError(
        absl::StrCat("models folder ", folder, ": no bundle loads: ", absl::StrJoin(reasons, "; ")));
  }
  std::vector<v1::ModelSummary> found = loaded.failed;
  for (const auto& model : loaded.models) found.push_back(model->summary);
  HEED_RETURN_IF_ERROR(CheckSettings(precisions, found));
  return loaded;
}

}  // namespace heed
