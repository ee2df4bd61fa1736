#include "client/bench/prepare.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "heed/v1/summarization.pb.h"

namespace heed::bench {
namespace {

bool Summarizes(Rpc rpc) { return rpc == Rpc::kSummarize || rpc == Rpc::kStreamSummarize; }

std::string Serialized(Rpc rpc, const v1::TranslateRequest& request) {
  std::string bytes = request.SerializeAsString();
  if (rpc == Rpc::kTranslate) return bytes;
  if (rpc == Rpc::kStreamTranslate) {
    v1::StreamTranslateRequest stream;
    *stream.mutable_request() = request;
    return stream.SerializeAsString();
  }
  v1::SummarizeRequest summarize;  // has the fields of TranslateRequest
  summarize.ParseFromString(bytes);
  if (rpc == Rpc::kSummarize) return summarize.SerializeAsString();
  v1::StreamSummarizeRequest stream;
  *stream.mutable_request() = std::move(summarize);
  return stream.SerializeAsString();
}

}  // namespace

absl::StatusOr<std::vector<std::pair<Rpc, double>>> ParseMix(const std::string& text) {
  std::vector<std::pair<Rpc, double>> mix;
  double sum = 0;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<std::string, std::string> split = absl::StrSplit(part, absl::MaxSplits('=', 1));
    double share = 0;
    bool known = false;
    for (Rpc rpc : {Rpc::kTranslate, Rpc::kSummarize, Rpc::kStreamTranslate, Rpc::kStreamSummarize}) {
      if (split.first != Name(rpc) || !absl::SimpleAtod(split.second, &share)) continue;
      known = share > 0 && share <= 1e6;
      mix.emplace_back(rpc, share);
    }
    if (!known) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", part, "' is no share; it must be RPC=SHARE with translate, summarize, stream_translate or ",
                       "stream_summarize and a share above 0"));
    }
    sum += share;
  }
  for (auto& [rpc, share] : mix) share /= sum;
  return mix;
}

std::vector<Prepared> Prepare(const PrepareOptions& options, std::size_t least) {
  std::mt19937_64 random(options.seed);
  std::vector<std::string> texts = options.texts;
  if (options.shuffle) std::shuffle(texts.begin(), texts.end(), random);
  const auto each = static_cast<std::size_t>(options.texts_per_request);
  const std::size_t count = std::max(least, (texts.size() + each - 1) / each);
  std::vector<double> shares;
  for (const auto& [rpc, share] : options.mix) shares.push_back(share);
  std::discrete_distribution<std::size_t> pick(shares.begin(), shares.end());
  std::bernoulli_distribution batch(options.batch_fraction);
  std::vector<Prepared> prepared;
  prepared.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Rpc rpc = options.mix[pick(random)].first;
    v1::TranslateRequest request = options.request;
    if (Summarizes(rpc)) {
      request.clear_model();
      if (!options.summarize_model.empty()) request.mutable_model()->set_name(options.summarize_model);
    }
    for (std::size_t t = 0; t < each; ++t) request.add_texts(texts[(i * each + t) % texts.size()]);
    const bool is_batch = batch(random);
    if (is_batch) request.set_priority(v1::PRIORITY_BATCH);
    prepared.push_back({rpc, is_batch, Serialized(rpc, request)});
  }
  return prepared;
}

}  // namespace heed::bench
