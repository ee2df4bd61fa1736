// A request's way in: bytes to a message, a message through admission, and where the input says so the whole way, a few
// steps of a real engine and the reply. No bytes crash it, what admission lets through is within its bounds, and what
// it refuses it refuses in one line.
//
// An input: a byte for the RPC and how it is sent, then the message.
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "heed/v1/model.pb.h"
#include "heed/v1/summarization.pb.h"
#include "heed/v1/translation.pb.h"
#include "server/admission/admission.h"
#include "server/admission/work.h"
#include "server/models/loader.h"
#include "server/models/registry.h"
#include "server/reply/reply.h"
#include "server/rpc/message.h"
#include "server/rpc/status.h"
#include "server/serving/text_request.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/attention_models.h"
#include "tests/support/shortlist_file.h"
#include "tests/support/test_models.h"

namespace heed::fuzz {
namespace {

constexpr int kRpcMask = 7, kTwoSlices = 8, kWholeWay = 16;

constexpr int kSize = 23;  // of both vocabularies of every model
constexpr EngineOptions kEngine = {.max_rows = 16, .max_source_tokens = 40, .max_target_tokens = 24};
// Small, so that small inputs reach them.
constexpr AdmissionLimits kLimits = {.max_texts = 6,
                                     .max_text_bytes = 300,
                                     .max_segments = 8,
                                     .max_target_tokens = 24,
                                     .default_reply_bytes = 20000,
                                     .max_reply_bytes = 100000};

// Serves a small model as `name`, its vocabularies 23 words or characters.
std::unique_ptr<ServedModel> Serve(BundleBuilder builder, const std::string& name, const std::string& changes) {
  builder.spec().set_name(name);
  for (model::v1::Vocabulary* side : {builder.spec().mutable_source(), builder.spec().mutable_target()}) {
    side->clear_sentencepiece();
    side->set_pieces("pieces.json");
  }
  builder.Merge(changes);
  Bundle bundle = builder.Build();
  bundle.files["pieces.json"] =
      R"(["<unk>","<s>","</s>","a","b","c","d","e","안","녕","▁",".","hello","wor@@","ld","A","￭,","￭.","1","-","é","@@","x"])";
  if (bundle.spec.has_shortlist()) {
    const std::string lists = ShortlistBytes(4, std::vector<std::vector<std::uint32_t>>(kSize, {5, 9, 12}));
    bundle.shortlist = Shortlist::Parse("lex.bin", lists, kSize, kSize, true).value();
  }
  auto model = std::make_unique<ServedModel>();
  const absl::Status status = ServeBundle(std::move(bundle), kEngine, model.get());
  Require(status.ok(), "the models of this fuzzer load", status.ToString());
  return model;
}

const Registry& Models() {
  static const Registry* const registry = [] {
    const TestSizes sizes = {.target_vocabulary = kSize};
    const std::string words = R"("source": {"words": {}}, "target": {"words": {}})";
    const std::string characters = R"("source": {"characters": {}}, "target": {"characters": {}})";
    std::vector<std::unique_ptr<ServedModel>> models;
    models.push_back(Serve(LuongLstm(sizes), "luong", "{" + words + R"(, "segmentation": "SEGMENTATION_SENTENCE"})"));
    models.push_back(Serve(CopyAttention(true, sizes), "copy", "{" + characters + "}"));
    models.push_back(Serve(Shortlisted(sizes), "short", "{" + characters + R"(, "source_language": "de"})"));
    models.push_back(Serve(NoAttention(sizes), "plain", "{" + words + R"(, "target_language": "zh"})"));
    models.push_back(
        Serve(PointerGenerator(sizes), "summary",
              R"({"task": "TASK_SUMMARIZE", "target_language": "ko", "segmentation": "SEGMENTATION_SENTENCE",
            "source": {"opennmt": {"mode": "OPEN_NMT_MODE_AGGRESSIVE", "joiner_annotate": true}, "lowercase": true},
            "target": {"opennmt": {"mode": "OPEN_NMT_MODE_SPACE", "spacer_annotate": true}}})"));
    return new Registry(std::move(models), {});
  }();
  return *registry;
}

grpc::ByteBuffer BytesOf(const std::string& message, bool two_slices) {
  const std::size_t first = two_slices ? message.size() / 2 : message.size();
  const std::vector<grpc::Slice> slices = {grpc::Slice(message.substr(0, first)), grpc::Slice(message.substr(first))};
  return {slices.data(), slices.size()};
}

void RequireRefusal(const absl::Status& status) {
  RequireOneLine(status);
  const absl::StatusCode code = status.code();
  Require(code == absl::StatusCode::kInvalidArgument || code == absl::StatusCode::kNotFound ||
              code == absl::StatusCode::kFailedPrecondition || code == absl::StatusCode::kResourceExhausted,
          "a refusal has one of admission's codes", status.ToString());
  Require(ToGrpcStatus(status).error_details().size() < 10000, "a refusal's details are bounded");
}

void RequireJob(const DecodeJob& job, const ServedModel& model) {
  const auto is_id = [](TokenId id) { return id >= 0 && id < kSize; };
  Require(!job.source.empty() && std::all_of(job.source.begin(), job.source.end(), is_id),
          "source ids are the model's");
  Require(static_cast<int>(job.source.size()) <= model.summary.max_source_tokens(), "a source has a bounded length");
  Require(job.search.beam_size >= 1 && job.search.beam_size <= kLimits.max_beam_size, "a beam has a bounded size");
  Require(job.search.n_best >= 1 && job.search.n_best <= job.search.beam_size, "n_best is within the beam");
  Require(job.search.max_length >= 1 && job.search.max_length <= kLimits.max_target_tokens, "max_length is bounded");
  Require(!model.plan->copies() || ValidCopyIds(job.copy_ids, job.source.size(), kSize), "copy ids are valid");
  Require(std::all_of(job.shortlist.begin(), job.shortlist.end(), is_id), "a shortlist has the model's ids");
  for (const int attend : job.capture.attends) {
    Require(attend >= 0 && attend < static_cast<int>(model.plan->attends().size()), "captured attends exist");
  }
}

void RequireSegments(const AdmittedText& text, const AdmittedRequest& admitted) {
  int last = 0;
  for (const AdmittedSegment& segment : text.segments) {
    const ByteRange& range = segment.range;
    Require(last <= range.begin && range.begin <= range.end && range.end <= static_cast<int>(text.text.size()),
            "segments lie in their text, in order");
    Require(IsValidUtf8(std::string_view(text.text).substr(range.begin, range.end - range.begin)),
            "segments are whole characters");
    Require(segment.job < static_cast<int>(admitted.jobs.size()), "a segment's job exists");
    if (segment.job >= 0) {
      Require(segment.source_tokens.size() == admitted.jobs[segment.job].source.size(), "a job's source is its tokens");
    }
    for (const v1::Token& token : segment.source_tokens) {
      Require(range.begin <= token.begin() && token.begin() <= token.end() && token.end() <= range.end,
              "a token lies in its segment");
    }
    last = range.end;
  }
}

// A few steps, as a scheduler would make them, and what is there by then as the reply.
void Answer(AdmittedRequest* admitted) {
  const std::unique_ptr<WorkItem> work = MakeWork(admitted, absl::FromUnixSeconds(1000), /*streamed=*/false);
  std::vector<DecodeResult> results;
  for (const DecodeJob& job : work->jobs) {
    if (results.size() >= 2) {  // each takes its time
      results.emplace_back();
      continue;
    }
    const std::unique_ptr<StepEngine> engine = admitted->model->plan->MakeEngine().value();
    engine->Admit(1, &job);
    StepReport report;
    for (int steps = 0; steps < 6 && report.finished.empty(); ++steps) engine->Step(&report);
    results.push_back(report.finished.empty() ? engine->Finish(1) : engine->Take(1));
  }
  const auto reply = MakeReply(*admitted, std::move(results));
  if (!reply.ok()) return RequireRefusal(reply.status());
  Require(reply->results.size() == admitted->texts.size(), "every text has its result");
  for (const v1::TextResult& result : reply->results) {
    Require(IsValidUtf8(result.output().text()), "a reply's text is UTF-8", result.output().text());
  }
}

void TryText(TextRequest request, bool whole_way) {
  const std::size_t texts = request.texts.size();
  auto admitted = Admission(&Models(), kLimits).Admit(std::move(request));
  if (!admitted.ok()) return RequireRefusal(admitted.status());
  Require(admitted->texts.size() == texts && texts <= static_cast<std::size_t>(kLimits.max_texts), "texts are bounded");
  Require(admitted->reply_bytes_estimate <= admitted->max_reply_bytes, "a reply's size is bounded");
  Require(admitted->max_reply_bytes <= kLimits.max_reply_bytes, "a reply's bound is bounded");
  std::size_t segments = 0;
  for (const AdmittedText& text : admitted->texts) {
    RequireSegments(text, *admitted);
    segments += text.segments.size();
    Require(!text.error.has_value() || text.segments.empty(), "a text has an error or segments");
  }
  Require(segments <= static_cast<std::size_t>(kLimits.max_segments), "segments are bounded");
  for (const DecodeJob& job : admitted->jobs) {
    RequireJob(job, *admitted->model);
    const std::int64_t bytes = admitted->model->plan->JobBytes(job);
    Require(bytes > 0 && bytes < (1 << 28), "a job's memory is known", absl::StrCat(bytes));
  }
  if (whole_way) Answer(&*admitted);
}

// Whether the bytes are a message; if not, that was said.
bool Parse(const grpc::ByteBuffer& bytes, google::protobuf::Message* message) {
  const absl::Status status = ParseMessage(bytes, MaxFields(kLimits), message);
  if (!status.ok()) RequireRefusal(status);
  return status.ok();
}

template <typename Request>
void TryTexts(const grpc::ByteBuffer& bytes, v1::Task task, bool whole_way) {
  Request message;
  if (Parse(bytes, &message)) TryText(ToTextRequest(task, &message), whole_way);
}

template <typename Request>
void TryStream(const grpc::ByteBuffer& bytes, v1::Task task, bool whole_way) {
  Request message;
  if (Parse(bytes, &message)) TryText(ToTextRequest(task, message.mutable_request()), whole_way);
}

void TryGetModel(const grpc::ByteBuffer& bytes) {
  v1::GetModelRequest message;
  if (!Parse(bytes, &message)) return;
  std::optional<std::string> version;
  if (message.has_version()) version = message.version();
  if (const auto model = Models().Find(message.name(), version); !model.ok()) RequireRefusal(model.status());
}

void Try(Input input) {
  const int how = input.Byte();
  const grpc::ByteBuffer bytes = BytesOf(input.Rest(), (how & kTwoSlices) != 0);
  const bool whole_way = (how & kWholeWay) != 0;
  v1::ListModelsRequest list;
  switch (how & kRpcMask) {
    case 0:
    case 1:
      return TryTexts<v1::TranslateRequest>(bytes, v1::TASK_TRANSLATE, whole_way);
    case 2:
      return TryTexts<v1::SummarizeRequest>(bytes, v1::TASK_SUMMARIZE, whole_way);
    case 3:
      return TryStream<v1::StreamTranslateRequest>(bytes, v1::TASK_TRANSLATE, whole_way);
    case 4:
      return TryStream<v1::StreamSummarizeRequest>(bytes, v1::TASK_SUMMARIZE, whole_way);
    case 5:
      return TryGetModel(bytes);
    default:
      Parse(bytes, &list);
  }
}

}  // namespace
}  // namespace heed::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  heed::fuzz::SilenceProtobuf();
  heed::fuzz::Try(heed::fuzz::Input(data, size));
  return 0;
}
