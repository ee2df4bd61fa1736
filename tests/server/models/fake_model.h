// A served model without a bundle: a tokeniser of known words, an engine that echoes its source, attends of any name.
// Small working versions of the real seams, so that the server's layers are tested without weights.
//
// Echo: a job of source ids s_1..s_n (</s> last) takes n steps and answers s_1..s_n, each token with log-probability
// -0.5, n_best times; attention weights are the identity matrix, energies ten times that, the context of step t is
// (t, t + 0.25, t + 0.5).
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/run/plan.h"
#include "server/admission/admission.h"
#include "server/models/registry.h"
#include "server/text/text_decoder.h"

namespace heed {

// Pieces are matched longest first; one that starts with "_" starts a word ("_" stands for the space before it). Bytes
// that no piece matches are unk, one by one. Ids 0, 1, 2 are <unk>, <s>, </s>.
class FakeTokenizer : public Tokenizer {
 public:
  explicit FakeTokenizer(std::vector<std::string> pieces) : pieces_({"<unk>", "<s>", "</s>"}) {
    pieces_.insert(pieces_.end(), pieces.begin(), pieces.end());
  }

  EncodedText Encode(std::string_view text) const override {
    EncodedText encoded;
    bool word_start = true;
    for (std::size_t at = 0; at < text.size();) {
      if (IsSpace(text[at]) || text[at] == '\0') {  // a NUL is a control character: it yields no piece
        word_start = IsSpace(text[at]);
        ++at;
        continue;
      }
      TokenId best = 0;
      std::size_t length = 1;
      for (std::size_t id = 3; id < pieces_.size(); ++id) {
        std::string_view piece = pieces_[id];
        if ((piece[0] == '_') != word_start) continue;
        if (word_start) piece.remove_prefix(1);
        if (text.substr(at, piece.size()) == piece && (best == 0 || piece.size() > length)) {
          best = static_cast<TokenId>(id);
          length = piece.size();
        }
      }
      encoded.ids.push_back(best);
      encoded.spellings.push_back(best != 0 ? pieces_[static_cast<std::size_t>(best)]
                                            : (word_start ? "_" : "") + std::string(text.substr(at, length)));
      encoded.ranges.push_back({static_cast<int>(at), static_cast<int>(at + length)});
      at += length;
      word_start = false;
    }
    return encoded;
  }

  std::unique_ptr<TextDecoder> StartDecoding() const override {
    class Decoder : public TextDecoder {
     public:
      explicit Decoder(const FakeTokenizer& tokenizer) : tokenizer_(tokenizer) {}
      void Add(TokenId id) override {
        if (tokenizer_.IsSpecial(id)) return AppendSpecial();
        Write(id == 0 ? "?" : tokenizer_.pieces_[static_cast<std::size_t>(id)]);
      }
      void Add(const GivenToken& given) override {
        Write((given.spelling.starts_with('_') ? "_" : "") + std::string(given.text));
      }

     private:
      void Write(std::string piece) {
        if (piece.starts_with('_')) {
          piece.erase(0, 1);
          if (!decoded().text.empty()) AppendSpace();
        }
        Append(piece);
      }
      const FakeTokenizer& tokenizer_;
    };
    return std::make_unique<Decoder>(*this);
  }

  std::optional<TokenId> Find(std::string_view spelling) const override {
    const auto found = std::find(pieces_.begin() + 3, pieces_.end(), spelling);
    if (found == pieces_.end()) return std::nullopt;
    return static_cast<TokenId>(found - pieces_.begin());
  }
  std::string_view Piece(TokenId id) const override { return pieces_[static_cast<std::size_t>(id)]; }
  bool IsSpecial(TokenId id) const override { return id == 1 || id == 2; }

 private:
  static bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\t'; }
  std::vector<std::string> pieces_;
};

inline constexpr int kFakeContext = 3;  // numbers of each attend's context

class EchoEngine : public StepEngine {
 public:
  EchoEngine(int rows, int max_target_tokens) : rows_(rows), max_target_tokens_(max_target_tokens) {}
  int free_rows() const override {
    int free = rows_;
    for (const auto& [id, live] : jobs_) free -= std::max(1, live.job->search.beam_size);
    return free;
  }
  int max_rows() const override { return rows_; }
  int live_jobs() const override { return static_cast<int>(jobs_.size()); }
  void Admit(JobId id, const DecodeJob* job) override { jobs_[id] = {job, 0}; }
  void Release(JobId id) override { jobs_.erase(id); }
  void Step(StepReport* report) override {
    for (auto& [id, live] : jobs_) {
      report->rows += live.job->search.beam_size;
      if (live.steps == 0) {
        report->encoded_positions += static_cast<int>(live.job->source.size());
        report->first_token.push_back(id);
      }
      if (live.job->progress) report->progressed.push_back(id);
      if (++live.steps == Length(*live.job)) report->finished.push_back(id);
    }
  }
  DecodeResult Take(JobId id) override {
    const DecodeJob& job = *jobs_.at(id).job;
    DecodeResult result;
    for (int n = 0; n < job.search.n_best; ++n) result.hypotheses.push_back(Echo(job));
    jobs_.erase(id);
    return result;
  }
  DecodeResult Finish(JobId id) override {
    const Live live = jobs_.at(id);
    DecodeResult result;
    if (live.steps > 0) result.hypotheses.push_back(Part(*live.job, 0, live.steps));
    jobs_.erase(id);
    return result;
  }
  DecodedHypothesis TakeProgress(JobId id) override {
    Live& live = jobs_.at(id);
    return Part(*live.job, std::exchange(live.told, live.steps), live.steps);
  }

 private:
  struct Live {
    const DecodeJob* job = nullptr;
    int steps = 0;
    int told = 0;
  };

  int Length(const DecodeJob& job) const {
    return std::min({static_cast<int>(job.source.size()), job.search.max_length, max_target_tokens_});
  }

  DecodedHypothesis Echo(const DecodeJob& job) const {
    const int length = Length(job);
    DecodedHypothesis hypothesis = Part(job, 0, length);
    hypothesis.finish = length == static_cast<int>(job.source.size()) ? FinishReason::kEos : FinishReason::kLength;
    return hypothesis;
  }

  // Steps `begin` to `end` of a job that is stopped there.
  static DecodedHypothesis Part(const DecodeJob& job, int begin, int end) {
    const int length = end - begin;
    const int columns = static_cast<int>(job.source.size());
    DecodedHypothesis hypothesis;
    hypothesis.tokens.assign(job.source.begin() + begin, job.source.begin() + end);
    hypothesis.log_probabilities.assign(static_cast<std::size_t>(length), -0.5F);
    hypothesis.log_probability = hypothesis.score = -0.5F * static_cast<float>(length);
    hypothesis.finish = FinishReason::kStopped;
    using Component = AttentionMatrix::Component;
    for (int attend : job.capture.attends) {
      for (const auto& [component, wanted] :
           {std::pair{Component::kWeights, job.capture.weights}, std::pair{Component::kEnergies, job.capture.energies},
            std::pair{Component::kContexts, job.capture.contexts}}) {
        if (!wanted) continue;
        const bool context = component == Component::kContexts;
        AttentionMatrix matrix{
            .attend = attend, .component = component, .rows = length, .columns = context ? kFakeContext : columns};
        matrix.values.assign(static_cast<std::size_t>(length) * matrix.columns, 0.0F);
        for (int i = 0; i < length; ++i) {
          float* const row = &matrix.values[static_cast<std::size_t>(i) * matrix.columns];
          if (!context) row[begin + i] = component == Component::kEnergies ? 10 : 1;
          for (int j = 0; context && j < kFakeContext; ++j) {
            row[j] = static_cast<float>(begin + i) + 0.25F * static_cast<float>(j);
          }
        }
        hypothesis.attentions.push_back(std::move(matrix));
      }
    }
    return hypothesis;
  }

  const int rows_;
  const int max_target_tokens_;
  std::map<JobId, Live> jobs_;
};

// What the echo engine answers to a request's jobs.
inline std::vector<DecodeResult> EchoAll(const AdmittedRequest& request) {
  std::vector<DecodeResult> results;
  for (const DecodeJob& job : request.jobs) {
    EchoEngine engine(64, 512);
    StepReport report;
    engine.Admit(1, &job);
    while (report.finished.empty()) engine.Step(&report);
    results.push_back(engine.Take(1));
  }
  return results;
}

class FakePlan : public Plan {
 public:
  explicit FakePlan(std::vector<std::string> attends, bool copies = false) : copies_(copies) {
    for (std::string& name : attends) attends_.push_back({std::move(name), 1, kFakeContext});
  }
  const std::vector<AttendInfo>& attends() const override { return attends_; }
  bool copies() const override { return copies_; }
  std::int64_t weight_bytes() const override { return 1000; }
  std::int64_t JobBytes(const DecodeJob& job) const override {
    return 1000 * static_cast<std::int64_t>(job.source.size());
  }
  absl::StatusOr<std::unique_ptr<StepEngine>> MakeEngine() const override {
    return std::make_unique<EchoEngine>(64, 512);
  }

 private:
  std::vector<AttendInfo> attends_;
  bool copies_;
};

struct FakeModelOptions {
  std::string name = "echo";
  std::string version = "1";
  v1::Task task = v1::TASK_TRANSLATE;
  std::string source_language = "ko";
  std::string target_language = "en";
  std::vector<std::string> attends = {"c"};
  bool split_sentences = false;
  int max_source_tokens = 16;
  bool copies = false;
};

inline std::vector<std::string> FakePieces() {
  return {"_hello", "_wor", "ld", "_good", "_day", ".", "_Hello", "_안녕", "하세요"};
}

inline std::unique_ptr<ServedModel> FakeModel(const FakeModelOptions& options = {}) {
  auto model = std::make_unique<ServedModel>();
  v1::ModelSummary& summary = model->summary;
  summary.set_name(options.name);
  summary.set_version(options.version);
  summary.set_folder(options.name);
  summary.set_task(options.task);
  summary.set_source_language(options.source_language);
  summary.set_target_language(options.target_language);
  summary.set_bundle_digest("d1ge57");
  summary.set_max_source_tokens(options.max_source_tokens);
  for (model::v1::Vocabulary* side : {model->spec.mutable_source(), model->spec.mutable_target()}) {
    side->set_size(static_cast<int>(FakePieces().size()) + 3);
    side->set_bos_id(1);
    side->set_eos_id(2);
    side->set_add_eos(true);
  }
  model->spec_json = "{}";
  model->card = "# Echo\n";
  model->source_tokenizer = std::make_unique<FakeTokenizer>(FakePieces());
  model->target_tokenizer = std::make_unique<FakeTokenizer>(FakePieces());
  if (options.split_sentences) model->splitter = *SentenceSplitter::Make("en");
  model->plan = std::make_shared<FakePlan>(options.attends, options.copies);
  return model;
}

// Of one model, made to the test's liking.
inline std::unique_ptr<Registry> RegistryOf(std::unique_ptr<ServedModel> model) {
  auto registry = std::make_unique<Registry>();
  EXPECT_TRUE(registry->Add(std::move(model)).ok());
  return registry;
}

inline std::unique_ptr<Registry> FakeRegistry(const std::vector<FakeModelOptions>& options,
                                              std::vector<v1::ModelSummary> failed = {}) {
  std::vector<std::unique_ptr<ServedModel>> models;
  for (const FakeModelOptions& model : options) models.push_back(FakeModel(model));
  return std::make_unique<Registry>(std::move(models), std::move(failed));
}

}  // namespace heed
