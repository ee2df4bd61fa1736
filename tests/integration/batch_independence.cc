#include "tests/integration/batch_independence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"

namespace heed {
namespace {

// One string per text of the request. Serialised messages without maps compare as their fields do, floats by their
// bits.
template <typename Response>
std::vector<std::string> ResultsOf(const AnswerOf<Response>& answer, std::size_t count) {
  std::vector<std::string> results;
  for (const v1::TextResult& result : answer.response.results()) results.push_back(result.SerializeAsString());
  // Whoever compares sees the error where it expected a result.
  if (!answer.ok()) results.assign(count, answer.ToString());
  return results;
}

std::vector<std::string> Results(Caller& caller, const BatchCheck& check, const std::vector<std::string>& texts) {
  if (!check.summarize) {
    v1::TranslateRequest request = check.options;
    for (const std::string& text : texts) request.add_texts(text);
    return ResultsOf(caller.Translate(request), texts.size());
  }
  v1::SummarizeRequest request;
  *request.mutable_model() = check.options.model();
  *request.mutable_search() = check.options.search();
  if (check.options.has_attention()) *request.mutable_attention() = check.options.attention();
  request.set_max_reply_bytes(check.options.max_reply_bytes());
  for (const std::string& text : texts) request.add_texts(text);
  return ResultsOf(caller.Summarize(request), texts.size());
}

// Asks for all texts, from the `first`th on and round, in requests of 1, 2, 3, ... texts; where a result differs from
// `expected`, its index is returned.
std::vector<std::size_t> Differences(Caller& caller, const BatchCheck& check, const std::vector<std::string>& expected,
                                     std::size_t first) {
  std::vector<std::size_t> different;
  const std::size_t count = check.texts.size();
  std::size_t size = 1 + first % 5;
  for (std::size_t done = 0; done < count; done += size++) {
    std::vector<std::string> texts;
    for (std::size_t i = done; i < std::min(count, done + size); ++i) texts.push_back(check.texts[(first + i) % count]);
    const std::vector<std::string> results = Results(caller, check, texts);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const std::size_t text = (first + done + i) % count;
      if (results[i] != expected[text]) different.push_back(text);
    }
  }
  return different;
}

v1::TranslateRequest Options(const std::string& model, int beam, bool attention) {
  v1::TranslateRequest options = TranslateTexts({}, model);
  options.mutable_search()->set_beam_size(beam);
  options.mutable_search()->set_n_best(beam);
  options.mutable_search()->set_max_length(24);
  if (attention) {
    options.mutable_attention()->add_components(v1::ATTENTION_COMPONENT_WEIGHTS);
    options.mutable_attention()->add_components(v1::ATTENTION_COMPONENT_ENERGIES);
    options.mutable_attention()->add_components(v1::ATTENTION_COMPONENT_CONTEXTS);
  }
  options.set_max_reply_bytes(64 << 20);
  return options;
}

}  // namespace

v1::TranslateRequest GreedyOptions(const std::string& model, bool attention) { return Options(model, 1, attention); }
v1::TranslateRequest BeamOptions(const std::string& model, bool attention) { return Options(model, 5, attention); }

void ExpectBatchIndependence(RunningServer& server, const BatchCheck& check) {
  Caller caller(server.port(), 80 << 20);
  const std::vector<std::string> together = Results(caller, check, check.texts);
  ASSERT_EQ(together.size(), check.texts.size());
  v1::TextResult first;
  ASSERT_TRUE(first.ParseFromString(together[0]) && !first.output().text().empty()) << together[0];

  const std::size_t alone = check.alone > 0 ? static_cast<std::size_t>(check.alone) : check.texts.size();
  for (std::size_t i = 0; i < alone; ++i) {
    EXPECT_TRUE(Results(caller, check, {check.texts[i]})[0] == together[i])
        << "text " << i << " differs alone: " << check.texts[i];
  }

  std::vector<std::vector<std::size_t>> different(static_cast<std::size_t>(check.clients));
  std::vector<std::thread> clients;
  for (std::size_t client = 0; client < different.size(); ++client) {
    clients.emplace_back([&, client] {
      Caller own(server.port(), 80 << 20);
      ASSERT_TRUE(own.Connect());
      different[client] = Differences(own, check, together, client * 7);
    });
  }
  for (std::thread& client : clients) client.join();
  for (std::size_t client = 0; client < different.size(); ++client) {
    for (std::size_t text : different[client]) {
      ADD_FAILURE() << "text " << text << " differs for client " << client << ": " << check.texts[text];
    }
  }
}

}  // namespace heed
