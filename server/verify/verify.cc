#include "server/verify/verify.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "engine/kernels/instruction_set.h"
#include "engine/model/spec.h"
#include "server/admission/search_fields.h"
#include "server/admission/source.h"
#include "server/errors/errors.h"
#include "server/models/loader.h"
#include "server/reply/typed.h"
#include "server/verify/tolerance.h"

namespace heed {
namespace {

constexpr char kFile[] = "parity.json";
constexpr int kMaxBeam = 1024;
// Where search gives more: a case that runs away ends here, unless it is longer itself.
constexpr int kMaxTargetTokens = 4096;

template <typename... Args>
absl::Status Fault(const Args&... what) {
  return absl::InvalidArgumentError(absl::StrCat(kFile, ": ", what...));
}

EngineOptions OptionsFor(const Certificate& certificate, Precision precision) {
  EngineOptions options;
  options.precision = precision;
  options.max_rows = std::max(options.max_rows, certificate.search.beam_size());
  for (const CertifiedCase& example : certificate.cases) {
    options.max_source_tokens = std::max(options.max_source_tokens, static_cast<int>(example.source_ids.size()));
    options.max_target_tokens = std::max(options.max_target_tokens, static_cast<int>(example.target_ids.size()));
  }
  options.max_target_tokens = std::max(options.max_target_tokens, kMaxTargetTokens);
  return options;
}

class Verifier {
 public:
  Verifier(const ServedModel& model, const Certificate& certificate, Precision precision);

  // Checks each case against the model and makes its two jobs.
  absl::Status MakeJobs();
  absl::StatusOr<VerifyReport> Run() &&;

 private:
  absl::Status CheckIds(const std::string& path, const std::vector<TokenId>& ids, TokenId bound) const;
  // The case's source: as its text is tokenised, if that gives the case's ids.
  SourceTokens SourceOf(const CertifiedCase& example) const;
  // The bound of target ids, with those that the source tokens have of their own.
  absl::StatusOr<TokenId> CheckCopyIds(const std::string& path, const CertifiedCase& example) const;
  absl::Status SetCopying(const std::string& path, const CertifiedCase& example, DecodeJob* job) const;
  absl::StatusOr<Capture> CheckAttentions(const std::string& path, const CertifiedCase& example) const;
  absl::Status MakeJob(int number);

  void CompareFree(int number);
  // Whether parting from the target ids at this step is a tie.
  bool IsTie(int number, std::size_t parted) const;
  void CompareForced(int number, const DecodedHypothesis& got);
  void CompareSource(int number);
  void CompareOutput(int number, const DecodedHypothesis& got);
  void CompareMatrix(const std::string& name, double tolerance, const std::string& where, const CertifiedMatrix& wanted,
                     const AttentionMatrix* got);
  void Compare(const std::string& name, double tolerance, double got, double wanted, const std::string& where, int step,
               int position = -1);
  template <typename... Args>
  void Say(const Args&... what) {
    report_.faults.push_back(absl::StrCat(what...));
  }

  const ServedModel& model_;
  const Certificate& certificate_;
  const Tolerances tolerance_;
  const bool copies_;
  std::vector<DecodeJob> jobs_;  // two for each case: free, forced
  // By case, absent where the search found none; of forced ones no attention.
  std::vector<std::optional<DecodedHypothesis>> free_, forced_;
  VerifyReport report_;
};

std::string Path(int number) { return absl::StrCat("cases[", number, "]"); }

Verifier::Verifier(const ServedModel& model, const Certificate& certificate, Precision precision)
    : model_(model),
      certificate_(certificate),
      tolerance_(TolerancesOf(precision, certificate, Int8IsFine())),
      copies_(model.plan->copies()),
      free_(certificate.cases.size()),
      forced_(certificate.cases.size()) {
  report_.precision = precision;
  report_.margin = tolerance_.margin;
  report_.model = model.summary.name();
  report_.version = model.summary.version();
  report_.reference = certificate.reference;
  report_.toolkit = certificate.toolkit;
  report_.instruction_set = InstructionSet();
  report_.cases = static_cast<int>(certificate.cases.size());
}

SourceTokens Verifier::SourceOf(const CertifiedCase& example) const {
  const model::v1::Vocabulary& source = model_.spec.source();
  if (example.text.has_value()) {
    SourceTokens tokens =
        WithSpecials(source, model_.source_tokenizer->Encode(*example.text), static_cast<int>(example.text->size()));
    if (tokens.ids == example.source_ids) return tokens;
  }
  SourceTokens tokens{.ids = example.source_ids, .ranges = {}, .spellings = {}};
  for (const TokenId id : tokens.ids) tokens.spellings.emplace_back(model_.source_tokenizer->Piece(id));
  tokens.ranges.resize(tokens.ids.size());
  tokens.text_begin = source.has_bos_id() && tokens.ids.front() == source.bos_id() ? 1 : 0;
  tokens.text_end = static_cast<int>(tokens.ids.size());
  if (source.has_eos_id() && tokens.ids.back() == source.eos_id()) --tokens.text_end;
  return tokens;
}

absl::Status Verifier::CheckIds(const std::string& path, const std::vector<TokenId>& ids, TokenId bound) const {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < bound) continue;
    return Fault(path, "[", i, "] is ", ids[i], ", expected 0 to ", bound - 1);
  }
  return absl::OkStatus();
}

absl::StatusOr<TokenId> Verifier::CheckCopyIds(const std::string& path, const CertifiedCase& example) const {
  if (!copies_) return Fault(path, " is given, and the model does not copy");
  TokenId next = model_.spec.target().size();
  for (std::size_t i = 0; i < example.copy_ids.size(); ++i) {
    if (example.copy_ids[i] > next) {
      return Fault(path, "[", i, "] is ", example.copy_ids[i], ", expected at most ", next,
                   ": ids beyond the vocabulary are given in order of first occurrence");
    }
    if (example.copy_ids[i] == next) ++next;
  }
  return next;
}

absl::Status Verifier::SetCopying(const std::string& path, const CertifiedCase& example, DecodeJob* job) const {
  const TokenId size = model_.spec.target().size();
  TokenId bound = size;
  if (!example.copy_ids.empty()) {
    HEED_ASSIGN_OR_RETURN(bound, CheckCopyIds(path + ".copy_ids", example));
    job->copy_ids = example.copy_ids;
  } else if (copies_) {
    if (!example.text.has_value()) {
      return Fault(path, ".copy_ids is missing: the model copies, and there is no text to take them from");
    }
    for (const TokenId id : job->copy_ids) bound = std::max(bound, id + 1);
  }
  if (!example.copy_gates.empty() && !copies_) return Fault(path, ".copy_gates is given, and the model does not copy");
  return CheckIds(path + ".target_ids", example.target_ids, bound);
}

absl::StatusOr<Capture> Verifier::CheckAttentions(const std::string& path, const CertifiedCase& example) const {
  const std::vector<AttendInfo>& attends = model_.plan->attends();
  Capture capture;
  for (std::size_t i = 0; i < example.attentions.size(); ++i) {
    const CertifiedAttention& attention = example.attentions[i];
    const auto found = std::find_if(attends.begin(), attends.end(),
                                    [&](const AttendInfo& info) { return info.name == attention.attend; });
    const std::string at = absl::StrCat(path, ".attentions[", i, "]");
    if (found == attends.end()) {
      std::vector<std::string> names;
      for (const AttendInfo& info : attends) names.push_back(info.name);
      return Fault(at, ".attend is ", Quote(attention.attend), ", expected an attend of the model: ", Listed(names));
    }
    if (attention.head >= found->heads) {
      return Fault(at, ".head is ", attention.head, ", expected 0 to ", found->heads - 1);
    }
    capture.weights |= !attention.weights.empty();
    capture.energies |= !attention.energies.empty();
    capture.contexts |= !attention.contexts.empty();
    capture.attends.push_back(static_cast<int>(found - attends.begin()));
  }
  std::sort(capture.attends.begin(), capture.attends.end());
  capture.attends.erase(std::unique(capture.attends.begin(), capture.attends.end()), capture.attends.end());
  return capture;
}

absl::Status Verifier::MakeJob(int number) {
  const CertifiedCase& example = certificate_.cases[static_cast<std::size_t>(number)];
  const std::string path = Path(number);
  HEED_RETURN_IF_ERROR(CheckIds(path + ".source_ids", example.source_ids, model_.spec.source().size()));
  DecodeJob free;
  SetSource(SourceOf(example), model_, example.shortlist, &free);
  if (example.shortlist && free.shortlist.empty()) return Fault(path, ".shortlist is true, and the model has none");
  HEED_RETURN_IF_ERROR(SetCopying(path, example, &free));

  AdmissionLimits limits;
  limits.max_beam_size = kMaxBeam;
  limits.max_target_tokens = std::max(kMaxTargetTokens, static_cast<int>(example.target_ids.size()));
  const absl::StatusOr<ResolvedSearch> search = ResolveSearch({}, model_, limits);
  if (!search.ok()) return Fault(search.status().message());
  search->Apply(&free);
  DecodeJob forced = free;
  forced.forced = example.target_ids;
  HEED_ASSIGN_OR_RETURN(forced.capture, CheckAttentions(path, example));
  jobs_.push_back(std::move(free));
  jobs_.push_back(std::move(forced));
  return absl::OkStatus();
}

absl::Status Verifier::MakeJobs() {
  for (int i = 0; i < report_.cases; ++i) HEED_RETURN_IF_ERROR(MakeJob(i));
  return absl::OkStatus();
}

absl::StatusOr<VerifyReport> Verifier::Run() && {
  HEED_ASSIGN_OR_RETURN(const std::unique_ptr<StepEngine> engine, model_.plan->MakeEngine());
  StepReport step;
  std::size_t next = 0;
  while (next < jobs_.size() || engine->live_jobs() > 0) {
    for (; next < jobs_.size(); ++next) {
      const DecodeJob& job = jobs_[next];
      if (engine->free_rows() < (job.forced.empty() ? job.search.beam_size : 1)) break;
      engine->Admit(static_cast<JobId>(next), &job);
    }
    step.Clear();
    engine->Step(&step);
    for (const JobId id : step.finished) {
      DecodeResult result = engine->Take(id);
      const int number = static_cast<int>(id / 2);
      if (result.hypotheses.empty()) {
        Say(Path(number), ": the search found no hypothesis");
        continue;
      }
      DecodedHypothesis& got = result.hypotheses[0];
      if (id % 2 == 1) {
        CompareForced(number, got);
        got.attentions.clear();
      }
      (id % 2 == 0 ? free_ : forced_)[static_cast<std::size_t>(number)] = std::move(got);
    }
  }
  for (int i = 0; i < report_.cases; ++i) {
    CompareFree(i);
    CompareSource(i);
  }
  return std::move(report_);
}

bool Verifier::IsTie(int number, std::size_t parted) const {
  const CertifiedCase& example = certificate_.cases[static_cast<std::size_t>(number)];
  if (report_.precision == Precision::kFloat32 || certificate_.search.beam_size() > 1) {
    for (std::size_t t = 0; t <= parted && t < example.margins.size(); ++t) {
      if (example.margins[t] < tolerance_.margin) return true;
    }
    return false;
  }
  // Until there both say the same, so their log-probabilities there are of one distribution.
  const DecodedHypothesis& free = *free_[static_cast<std::size_t>(number)];
  const std::optional<DecodedHypothesis>& forced = forced_[static_cast<std::size_t>(number)];
  if (!forced.has_value() || parted >= free.tokens.size() || parted >= forced->tokens.size()) return false;
  return static_cast<double>(free.log_probabilities[parted] - forced->log_probabilities[parted]) < tolerance_.margin;
}

void Verifier::CompareFree(int number) {
  const CertifiedCase& example = certificate_.cases[static_cast<std::size_t>(number)];
  if (!free_[static_cast<std::size_t>(number)].has_value()) return;
  const DecodedHypothesis& got = *free_[static_cast<std::size_t>(number)];
  const auto [mine, wanted] =
      std::mismatch(got.tokens.begin(), got.tokens.end(), example.target_ids.begin(), example.target_ids.end());
  const std::ptrdiff_t parted = mine - got.tokens.begin();
  if (mine == got.tokens.end() && wanted == example.target_ids.end()) {
    if (got.finish == example.finish) {
      ++report_.same;
    } else {
      Say(Path(number), ".finish is ", example.finish == FinishReason::kEos ? "eos" : "length", ", here it is ",
          got.finish == FinishReason::kEos ? "eos" : "length");
    }
  } else if (IsTie(number, static_cast<std::size_t>(parted))) {
    ++report_.ties;
  } else if (wanted == example.target_ids.end()) {
    Say(Path(number), ".target_ids has ", example.target_ids.size(), " ids, decoding here goes on with ", *mine);
  } else if (mine == got.tokens.end()) {
    Say(Path(number), ".target_ids has ", example.target_ids.size(), " ids, decoding here ends after ", parted);
  } else {
    Say(Path(number), ".target_ids[", parted, "] is ", *wanted, ", decoding here gives ", *mine);
  }
}

void Verifier::Compare(const std::string& name, double tolerance, double got, double wanted, const std::string& where,
                       int step, int position) {
  auto value = std::find_if(report_.values.begin(), report_.values.end(),
                            [&](const VerifiedValue& known) { return known.name == name; });
  if (value == report_.values.end()) {
    report_.values.push_back({.name = name, .tolerance = tolerance});
    value = std::prev(report_.values.end());
  }
  double error = std::abs(got - wanted) / std::max(1.0, std::abs(wanted));
  if (std::isnan(error)) error = std::numeric_limits<double>::infinity();
  if (value->compared++ > 0 && error <= value->max_error) return;
  value->max_error = error;
  value->where = absl::StrCat(where, " step ", step, position < 0 ? "" : absl::StrCat(" position ", position));
}

void Verifier::CompareMatrix(const std::string& name, double tolerance, const std::string& where,
                             const CertifiedMatrix& wanted, const AttentionMatrix* got) {
  if (wanted.empty()) return;
  for (std::size_t t = 0; t < wanted.size(); ++t) {
    if (wanted[t].size() != static_cast<std::size_t>(got->columns)) {
      return Say(where, " ", name, " has rows of ", wanted[t].size(), ", here they are ", got->columns, " long");
    }
    for (std::size_t j = 0; j < wanted[t].size(); ++j) {
      const double here = static_cast<double>(got->values[t * wanted[t].size() + j]);
      Compare(name, tolerance, here, wanted[t][j], where, static_cast<int>(t), static_cast<int>(j));
    }
  }
}

void Verifier::CompareForced(int number, const DecodedHypothesis& got) {
  const CertifiedCase& example = certificate_.cases[static_cast<std::size_t>(number)];
  for (std::size_t t = 0; t < example.log_probabilities.size(); ++t) {
    Compare("log_probability", tolerance_.log_probability, static_cast<double>(got.log_probabilities[t]),
            example.log_probabilities[t], Path(number), static_cast<int>(t));
  }
  for (std::size_t t = 0; t < example.copy_gates.size(); ++t) {
    Compare("copy_gate", tolerance_.weight, static_cast<double>(got.copies[t].gate), example.copy_gates[t],
            Path(number), static_cast<int>(t));
  }
  using Component = AttentionMatrix::Component;
  for (const CertifiedAttention& attention : example.attentions) {
    const auto matrix = [&](Component component) -> const AttentionMatrix* {
      for (const AttentionMatrix& m : got.attentions) {
        const std::string& name = model_.plan->attends()[static_cast<std::size_t>(m.attend)].name;
        if (name == attention.attend && m.head == attention.head && m.component == component) return &m;
      }
      return nullptr;
    };
    const std::string where = attention.head == 0 ? Path(number) : absl::StrCat(Path(number), " head ", attention.head);
    CompareMatrix(attention.attend + ".weights", tolerance_.weight, where, attention.weights,
                  matrix(Component::kWeights));
    CompareMatrix(attention.attend + ".energies", tolerance_.energy, where, attention.energies,
                  matrix(Component::kEnergies));
    CompareMatrix(attention.attend, tolerance_.context, where, attention.contexts, matrix(Component::kContexts));
  }
  CompareOutput(number, got);
}

// Tokenising must give the source ids.
void Verifier::CompareSource(int number) {
  const CertifiedCase& example = certificate_.cases[static_cast<std::size_t>(number)];
  if (!example.text.has_value()) return;
  const std::vector<TokenId> ids =
      WithSpecials(model_.spec.source(), model_.source_tokenizer->Encode(*example.text), 0).ids;
  const auto [mine, wanted] =
      std::mismatch(ids.begin(), ids.end(), example.source_ids.begin(), example.source_ids.end());
  if (mine == ids.end() && wanted == example.source_ids.end()) return;
  Say(Path(number), ".source_ids: tokenising the text here gives ", ids.size(), " ids instead of ",
      example.source_ids.size(), ", and others from number ", mine - ids.begin(), " on");
}

// Detokenising must give the output: what is copied or replaced as it stands in the text.
void Verifier::CompareOutput(int number, const DecodedHypothesis& got) {
  const CertifiedCase& example = certificate_.cases[static_cast<std::size_t>(number)];
  if (!example.output.has_value()) return;
  const SourceTokens source = SourceOf(example);
  std::vector<TypedToken> typed;
  for (std::size_t i = 0; i < source.ids.size(); ++i) {
    const ByteRange range = source.ranges[i];
    const std::string_view all = example.text.has_value() ? *example.text : std::string_view();
    typed.push_back({source.spellings[i], all.substr(static_cast<std::size_t>(range.begin),
                                                     static_cast<std::size_t>(range.end - range.begin))});
  }
  const std::string text =
      model_.target_tokenizer->Decode(got.tokens, TypedTokens(got, model_.spec.target(), typed)).text;
  if (text == *example.output) return;
  Say(Path(number), ".output is ", Quote(*example.output), ", detokenising here gives ", Quote(text));
}

}  // namespace

bool VerifyReport::ok() const {
  return faults.empty() && std::all_of(values.begin(), values.end(), [](const VerifiedValue& v) { return v.ok(); });
}

absl::StatusOr<VerifyReport> Verify(Bundle bundle, Precision precision) {
  const auto file = bundle.files.find(kFile);
  if (file == bundle.files.end()) {
    ServedModel unproved;  // what is wrong with the bundle comes first: that it cannot be proved says that it loads
    HEED_RETURN_IF_ERROR(ServeBundle(std::move(bundle), OptionsFor(Certificate(), precision), &unproved));
    return absl::NotFoundError(absl::StrCat(kFile, ": the bundle has none: there is nothing to verify it by"));
  }
  HEED_ASSIGN_OR_RETURN(const Certificate certificate, ParseCertificate(file->second));
  // From here on the model's own defaults are those that the cases were decoded with.
  *bundle.spec.mutable_search() = certificate.search;
  if (const absl::Status status = CheckSpec(bundle.spec); !status.ok()) {
    return Fault(absl::StripPrefix(status.message(), "model.json: "));
  }
  ServedModel model;
  HEED_RETURN_IF_ERROR(ServeBundle(std::move(bundle), OptionsFor(certificate, precision), &model));
  Verifier verifier(model, certificate, precision);
  HEED_RETURN_IF_ERROR(verifier.MakeJobs());
  return std::move(verifier).Run();
}

}  // namespace heed
