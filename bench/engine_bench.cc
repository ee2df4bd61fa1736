// How fast the engine decodes, driven directly: one thread, no server in between.
//
//   engine_bench --bundle=models/pydocs-ko-en --texts=test.src --rows=1,8,64
//
// Sentences come in the file's order, taken evenly; a job is admitted as soon as the engine has room. Counted are
// target tokens, </s> included; the time is encoding and decoding, not loading or tokenising. Prints one JSON object.
//
//   engine_bench --bundle=models/pydocs-ko-en --texts=test.src --rows=1,8,32 --joining_tokens=1000
//
// measures instead how long a source of so many tokens, which is encoded while --rows others decode, holds up a step.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "engine/base/buffer.h"
#include "engine/kernels/instruction_set.h"
#include "engine/model/bundle.h"
#include "engine/model/checker.h"
#include "engine/run/plan.h"
#include "server/text/tokenizer.h"

ABSL_FLAG(std::string, bundle, "models/pydocs-ko-en", "bundle folder");
ABSL_FLAG(std::string, texts, "", "source sentences, a line each");
ABSL_FLAG(std::vector<std::string>, rows, std::vector<std::string>({"1", "8", "64"}), "rows that the engine steps");
ABSL_FLAG(int, sentences, 1024, "sentences per run; with 1 row an eighth of them");
ABSL_FLAG(int, warmup_sentences, 0, "sentences of the run that is not counted; 0: all");
ABSL_FLAG(int, concurrency, 0, "most sentences inside the engine at once; 0: as many as it takes in");
ABSL_FLAG(int, repeats, 3, "runs that are counted, after one that is not");
ABSL_FLAG(int, beam_size, 1, "hypotheses per sentence");
ABSL_FLAG(double, max_length_a, 2, "most target tokens: max_length_a * n + max_length_b of n source ids");
ABSL_FLAG(double, max_length_b, 20, "see max_length_a");
ABSL_FLAG(bool, exact_length, false, "every target has as many tokens, none ends before");
ABSL_FLAG(absl::Duration, encode_time_per_step, heed::EngineOptions().encode_time_per_step, "see EngineOptions");
ABSL_FLAG(std::int64_t, max_table_bytes, heed::EngineOptions().max_table_bytes, "see EngineOptions");
ABSL_FLAG(std::string, precision, "float32", "float32, bfloat16 or int8");
ABSL_FLAG(int, helpers, 0, "idle cores that share the output product of few rows");
ABSL_FLAG(bool, attention, false, "record every attention weight");
ABSL_FLAG(bool, parts, false,
          "say how much of the time each part of a step takes, in us a token; measuring costs 1 to 3 %");
ABSL_FLAG(int, joining_tokens, 0, "length of a source that joins rows which decode; 0: measure throughput");
ABSL_FLAG(int, joins, 20, "with --joining_tokens: how often one joins");

namespace heed {
namespace {

using Clock = std::chrono::steady_clock;

Precision PrecisionFlag() {
  const auto precision = PrecisionNamed(absl::GetFlag(FLAGS_precision));
  if (precision.has_value()) return *precision;
  std::cerr << "--precision: '" << absl::GetFlag(FLAGS_precision) << "' is not float32, bfloat16 or int8\n";
  std::exit(1);
}

double CpuSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double Seconds(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }

std::vector<DecodeJob> ReadJobs(const Bundle& bundle, const Plan& plan) {
  const auto tokenizer = Tokenizer::Make(bundle.spec.source(), bundle.files);
  if (!tokenizer.ok()) {
    std::cerr << tokenizer.status() << "\n";
    std::exit(1);
  }
  std::ifstream file(absl::GetFlag(FLAGS_texts));
  std::vector<DecodeJob> jobs;
  for (std::string line; std::getline(file, line);) {
    DecodeJob job;
    job.source = (*tokenizer)->Encode(line).ids;
    if (bundle.spec.source().add_eos()) job.source.push_back(bundle.spec.source().eos_id());
    const int length = static_cast<int>(job.source.size());
    if (length == 0 || length > 200) continue;
    job.search.beam_size = absl::GetFlag(FLAGS_beam_size);
    job.search.max_length =
        static_cast<int>(absl::GetFlag(FLAGS_max_length_a) * length + absl::GetFlag(FLAGS_max_length_b));
    if (absl::GetFlag(FLAGS_exact_length)) job.search.min_length = job.search.max_length;
    job.capture.weights = absl::GetFlag(FLAGS_attention);
    for (std::size_t i = 0; i < plan.attends().size(); ++i) job.capture.attends.push_back(static_cast<int>(i));
    jobs.push_back(std::move(job));
  }
  return jobs;
}

std::vector<DecodeJob> TakeEvenly(const std::vector<DecodeJob>& jobs, std::size_t wanted) {
  wanted = std::min(wanted, jobs.size());
  std::vector<DecodeJob> taken;
  for (std::size_t i = 0; i < wanted; ++i) taken.push_back(jobs[i * jobs.size() / wanted]);
  return taken;
}

struct Run {
  double seconds = 0, cpu_seconds = 0;  // cpu: of the decoding thread, what a busy machine disturbs least
  long tokens = 0, steps = 0, rows = 0;
  std::vector<double> latencies;  // seconds inside the engine, of each sentence
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Run Decode(StepEngine& engine, const std::vector<DecodeJob>& jobs) {
  Run run;
  std::size_t next = 0, done = 0;
  const int concurrency = absl::GetFlag(FLAGS_concurrency);
  std::vector<Clock::time_point> admitted(jobs.size());
  StepReport report;
  const auto started = Clock::now();
  const double cpu_started = CpuSeconds();
  while (done < jobs.size()) {
    while (next < jobs.size() && engine.free_rows() >= jobs[next].search.beam_size &&
           (concurrency == 0 || engine.live_jobs() < concurrency)) {
      admitted[next] = Clock::now();
      engine.Admit(static_cast<JobId>(next), &jobs[next]);
      ++next;
    }
    report.Clear();
    engine.Step(&report);
    if (report.rows > 0) ++run.steps;
    run.rows += report.rows;
    for (const JobId id : report.finished) {
      run.tokens += static_cast<long>(engine.Take(id).hypotheses.at(0).tokens.size());
      run.latencies.push_back(Seconds(admitted[static_cast<std::size_t>(id)]));
      ++done;
    }
  }
  run.seconds = Seconds(started);
  run.cpu_seconds = CpuSeconds() - cpu_started;
  return run;
}

double Middle(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// Steps, in ms, while `rows` jobs decode, without and with a long source being taken in and encoded beside them.
nlohmann::json Join(const Bundle& bundle, const CheckedProgram& program, int rows) {
  EngineOptions options;
  options.max_rows = rows + 1;
  const int tokens = absl::GetFlag(FLAGS_joining_tokens), joins = absl::GetFlag(FLAGS_joins);
  options.max_source_tokens = std::max(options.max_source_tokens, tokens);
  options.precision = PrecisionFlag();
  options.encode_time_per_step = absl::GetFlag(FLAGS_encode_time_per_step);
  const auto plan = Plan::Make(bundle, program, options).value();
  const auto engine = plan->MakeEngine().value();
  std::vector<DecodeJob> jobs = TakeEvenly(ReadJobs(bundle, *plan), rows);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    // Longer than the measurement: it ends with the engine.
    jobs[i].search.max_length = jobs[i].search.min_length = 1 << 16;
    engine->Admit(static_cast<JobId>(i), &jobs[i]);
  }
  DecodeJob joining = jobs.at(0);
  joining.search.max_length = joining.search.min_length = 1;
  for (int i = 0; static_cast<int>(joining.source.size()) < tokens; ++i) joining.source.push_back(joining.source[i]);
  StepReport report;
  std::vector<double> alone, longest_alone, longest_joined, steps_joined;
  // One step and, where it is given, taking in `job` before it, which delays the same rows.
  const auto step = [&](const DecodeJob* job) {
    report.Clear();
    const auto started = Clock::now();
    if (job != nullptr) engine->Admit(-1, job);
    engine->Step(&report);
    return 1e3 * Seconds(started);
  };
  for (int i = 0; i < 100; ++i) step(nullptr);
  for (int join = 0; join < joins; ++join) {
    std::vector<double> times = {step(&joining)};
    while (report.finished.empty()) times.push_back(step(nullptr));
    engine->Take(-1);
    longest_joined.push_back(*std::max_element(times.begin(), times.end()));
    steps_joined.push_back(static_cast<double>(times.size()));
    for (double& time : times) time = step(nullptr);
    longest_alone.push_back(*std::max_element(times.begin(), times.end()));
    alone.insert(alone.end(), times.begin(), times.end());
  }
  const double median = Middle(alone), longest = Middle(longest_joined);
  return {{"rows", rows},
          {"step_ms", median},
          {"longest_step_ms_alone", Middle(longest_alone)},
          {"longest_step_ms_joined", longest},
          {"longest_over_median", longest / median},
          {"added_ms", longest - median},
          {"steps_to_join", Middle(steps_joined)}};
}

// GB/s at which one core reads `bytes` over and over: what bounds a step of one row.
double ReadBandwidth(std::size_t bytes) {
  Buffer buffer(bytes / sizeof(float));
  std::fill_n(buffer.data(), buffer.size(), 1.0f);
  double best = 0;
  float total = 0;
  for (int round = 0; round < 50; ++round) {
    const auto started = Clock::now();
    float sums[64] = {};
    for (std::size_t i = 0; i + 64 <= buffer.size(); i += 64) {
      for (int lane = 0; lane < 64; ++lane) sums[lane] += buffer.data()[i + lane];
    }
    best = std::max(best, static_cast<double>(bytes) / Seconds(started) / 1e9);
    total += std::accumulate(sums, sums + 64, 0.0f);
  }
  return total > 0 ? best : 0;
}

int Main() {
  const auto started = Clock::now();
  const auto bundle = ReadBundle(absl::GetFlag(FLAGS_bundle));
  if (!bundle.ok()) return std::cerr << bundle.status() << "\n", 1;
  const auto program = CheckProgram(*bundle);
  if (!program.ok()) return std::cerr << program.status() << "\n", 1;
  nlohmann::json results = nlohmann::json::array();
  double load_seconds = 0;
  std::int64_t weight_bytes = 0;
  for (const std::string& rows : absl::GetFlag(FLAGS_rows)) {
    if (absl::GetFlag(FLAGS_joining_tokens) > 0) {
      results.push_back(Join(*bundle, *program, std::stoi(rows)));
      continue;
    }
    EngineOptions options;
    options.max_rows = std::stoi(rows);
    options.encode_time_per_step = absl::GetFlag(FLAGS_encode_time_per_step);
    options.max_table_bytes = absl::GetFlag(FLAGS_max_table_bytes);
    options.precision = PrecisionFlag();
    const auto team = MakeCoreTeam(absl::GetFlag(FLAGS_helpers));
    team->Lend(team->threads());
    options.team = team.get();
    PartTimes parts;
    if (absl::GetFlag(FLAGS_parts)) options.parts = &parts;
    const auto plan = Plan::Make(*bundle, *program, options);
    if (!plan.ok()) return std::cerr << plan.status() << "\n", 1;
    if (load_seconds == 0) load_seconds = Seconds(started);
    weight_bytes = (*plan)->weight_bytes();
    const auto engine = (*plan)->MakeEngine().value();
    const int wanted = absl::GetFlag(FLAGS_sentences) / (options.max_rows == 1 ? 8 : 1);
    const std::vector<DecodeJob> jobs = TakeEvenly(ReadJobs(*bundle, **plan), wanted);
    if (jobs.empty()) return std::cerr << "--texts: no sentences in '" << absl::GetFlag(FLAGS_texts) << "'\n", 1;
    const int warmup = absl::GetFlag(FLAGS_warmup_sentences);
    Decode(*engine, TakeEvenly(jobs, warmup > 0 ? static_cast<std::size_t>(warmup) : jobs.size()));
    std::vector<double> rates, medians;
    double cpu_rate = 0;
    long counted = 0;
    parts.Clear();
    Run run;
    for (int i = 0; i < absl::GetFlag(FLAGS_repeats); ++i) {
      run = Decode(*engine, jobs);
      counted += run.tokens;
      rates.push_back(run.tokens / run.seconds);
      medians.push_back(Median(run.latencies));
      cpu_rate = std::max(cpu_rate, run.tokens / run.cpu_seconds);
    }
    results.push_back({{"rows", options.max_rows},
                       {"sentences", jobs.size()},
                       {"tokens", run.tokens},
                       {"tokens_per_s", Median(rates)},
                       {"tokens_per_s_best", *std::max_element(rates.begin(), rates.end())},
                       {"ms_p50", 1e3 * Median(medians)},
                       {"tokens_per_cpu_s_best", cpu_rate},
                       {"rows_per_step", static_cast<double>(run.rows) / run.steps},
                       {"ms_per_step", 1e3 * run.seconds / run.steps}});
    for (int part = 0; options.parts != nullptr && part < kParts; ++part) {
      const auto of = static_cast<StepPart>(part);
      results.back()["us_per_token"][std::string(PartName(of))] = 1e6 * parts.seconds(of) / counted;
    }
  }
  const nlohmann::json out = {{"bundle", absl::GetFlag(FLAGS_bundle)},
                              {"precision", absl::GetFlag(FLAGS_precision)},
                              {"instruction_set", InstructionSet()},
                              {"load_seconds", load_seconds},
                              {"weight_bytes", weight_bytes},
                              {"read_GB_per_s_13MB", ReadBandwidth(13 << 20)},
                              {"results", results}};
  std::cout << out.dump(1) << "\n";
  return 0;
}

}  // namespace
}  // namespace heed

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  return heed::Main();
}
