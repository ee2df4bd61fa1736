// How fast a running server answers: closed loop, CLIENTS callers that each send one text a request, one after the
// other, over one connection each.
//
//   serve_bench --address=127.0.0.1:8500 --texts=test.src --clients=32 --requests=1024
//
// Counted are target tokens of the best hypotheses, </s> included. Prints one JSON object.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "client/client.h"

ABSL_FLAG(std::string, address, "127.0.0.1:8500", "the server");
ABSL_FLAG(std::string, texts, "", "texts, a line each");
ABSL_FLAG(int, clients, 32, "callers at once");
ABSL_FLAG(int, requests, 1024, "requests in all, taken evenly from the texts");
ABSL_FLAG(int, beam_size, 1, "hypotheses per sentence");
ABSL_FLAG(std::string, model, "", "the model's name; empty: the only one that translates");
ABSL_FLAG(int, length, 0, "exactly this many target tokens a sentence; 0: as many as the model makes");

namespace heed {
namespace {

using Clock = std::chrono::steady_clock;

struct Tally {
  std::vector<double> seconds;  // of each answered request
  long tokens = 0, errors = 0;
};

// One caller: takes the next text until none is left.
Tally Call(const std::vector<std::string>& texts, std::atomic<std::size_t>& next) {
  Tally tally;
  const auto client = Client::Make({.address = absl::GetFlag(FLAGS_address)});
  if (!client.ok()) return ++tally.errors, tally;
  for (std::size_t i = next++; i < texts.size(); i = next++) {
    v1::TranslateRequest request;
    request.add_texts(texts[i]);
    request.mutable_search()->set_beam_size(absl::GetFlag(FLAGS_beam_size));
    if (!absl::GetFlag(FLAGS_model).empty()) request.mutable_model()->set_name(absl::GetFlag(FLAGS_model));
    if (const int length = absl::GetFlag(FLAGS_length); length > 0) {
      request.mutable_search()->set_min_length(length);
      request.mutable_search()->set_max_length(length);
    }
    const auto started = Clock::now();
    const auto reply = (*client)->Translate(request, absl::Now() + absl::Seconds(60));
    if (!reply.ok()) {
      ++tally.errors;
      continue;
    }
    tally.seconds.push_back(std::chrono::duration<double>(Clock::now() - started).count());
    for (const auto& segment : reply->results(0).output().segments()) {
      if (segment.hypotheses_size() > 0) tally.tokens += segment.hypotheses(0).tokens_size();
    }
  }
  return tally;
}

double Percentile(const std::vector<double>& sorted, double p) {
  return sorted.empty() ? 0 : sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(p * sorted.size()))];
}

int Main() {
  std::ifstream file(absl::GetFlag(FLAGS_texts));
  std::vector<std::string> lines, texts;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  if (lines.empty()) return std::cerr << "--texts: no lines in '" << absl::GetFlag(FLAGS_texts) << "'\n", 1;
  const std::size_t requests = absl::GetFlag(FLAGS_requests);
  for (std::size_t i = 0; i < requests; ++i) texts.push_back(lines[i * lines.size() / requests % lines.size()]);

  std::atomic<std::size_t> next{0};
  std::vector<Tally> tallies(absl::GetFlag(FLAGS_clients));
  const auto started = Clock::now();
  std::vector<std::thread> callers;
  for (Tally& tally : tallies) callers.emplace_back([&] { tally = Call(texts, next); });
  for (std::thread& caller : callers) caller.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - started).count();

  Tally all;
  for (const Tally& tally : tallies) {
    all.seconds.insert(all.seconds.end(), tally.seconds.begin(), tally.seconds.end());
    all.tokens += tally.tokens;
    all.errors += tally.errors;
  }
  std::sort(all.seconds.begin(), all.seconds.end());
  const nlohmann::json out = {{"clients", tallies.size()},
                              {"requests", texts.size()},
                              {"tokens", all.tokens},
                              {"errors", all.errors},
                              {"seconds", seconds},
                              {"requests_per_s", static_cast<double>(all.seconds.size()) / seconds},
                              {"tokens_per_s", static_cast<double>(all.tokens) / seconds},
                              {"ms_p50", 1e3 * Percentile(all.seconds, 0.5)},
                              {"ms_p97", 1e3 * Percentile(all.seconds, 0.97)},
                              {"ms_p99", 1e3 * Percentile(all.seconds, 0.99)}};
  std::cout << out.dump(1) << "\n";
  return all.errors == 0 ? 0 : 1;
}

}  // namespace
}  // namespace heed

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  return heed::Main();
}
