// `heed bench`: loads a server and says how it answers. The machinery is in client/bench; here are the flags.
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <iterator>
#include <ostream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/bench/load.h"
#include "client/bench/prepare.h"
#include "client/bench/print.h"
#include "client/bench/rate_search.h"
#include "client/channel.h"
#include "client/cli/commands.h"
#include "client/cli/connection.h"
#include "client/cli/search_flags.h"
#include "client/cli/utf8.h"
#include "client/cli/width.h"

namespace heed::cli {
namespace {

constexpr char kUsage[] =
    "heed bench [FLAGS]: loads a server and says how it answers.\n"
    "heed bench plot --svg=FILE RUN.json...: draws the latencies of runs that --json wrote.\n"
    "\n"
    "Open loop (--rate or --arrivals): requests go out when they are due, whatever became of those before, and their\n"
    "latency counts from then. Closed loop (--concurrency): each of N callers waits for its answer.\n"
    "\n"
    "  heed bench --texts=korean.txt --rate=50 --duration=30s\n"
    "  heed bench --texts=korean.txt --concurrency=32 --duration=30s --json=run.json --svg=run.svg\n"
    "  heed bench --texts=korean.txt --find_rate --percentile=97 --limit=250ms\n";

struct Options {
  ConnectionOptions connection;
  bench::LoadOptions load;
  bench::PrepareOptions prepare;
  bench::RateSearchOptions search;
  double rate = 0;
  bool constant = false;
  std::vector<absl::Duration> arrivals;  // of arrivals_file
  std::string arrivals_file, texts_file, mix = "translate=1";
  absl::Duration duration, warmup;  // duration zero: not given
  absl::Duration interval = absl::Seconds(1);
  bool attention = false;
  std::int64_t length = 0;
  absl::Duration time_budget;
  bool find_rate = false;
  double percentile = 97;
  std::string json, svg, label;
};

std::atomic<bool> stop{false};

// A number within bounds; the flags of the server's own numbers leave bounds to the server.
Flag Number(std::string name, std::string help, double* target, double least, double most) {
  return {std::move(name), "X", std::move(help), [target, least, most](const std::string& value) {
            double number = 0;
            if (!absl::SimpleAtod(value, &number) || !(number >= least && number <= most)) {
              return absl::InvalidArgumentError(absl::StrCat("it must be a number from ", least, " to ", most));
            }
            *target = number;
            return absl::OkStatus();
          }};
}

Flag Count(std::string name, std::string help, int* target, std::int64_t least, std::int64_t most) {
  return IntFlag(
      std::move(name), std::move(help), [target](std::int64_t value) { *target = static_cast<int>(value); }, least,
      most);
}

FlagGroup PlanFlags(Options* o) {
  return {
      "Plan",
      {Number("rate", "open loop: requests a second", &o->rate, 1e-3, 1e6),
       ChoiceFlag("gaps", "between them (default poisson)", {"poisson", "constant"},
                  [o](const std::string& value) { o->constant = value == "constant"; }),
       StringFlag("arrivals", "FILE", "open loop: times in seconds at which requests are due, a line each",
                  &o->arrivals_file),
       Count("concurrency", "closed loop: callers at once", &o->load.concurrency, 1, 100000),
       DurationFlag("duration",
                    "in which requests are sent, warm-up included (default 10s; as long as it takes with\n"
                    "--requests or --arrivals)",
                    &o->duration),
       DurationFlag("warmup", "requests due before it do not count (default 0s)", &o->warmup, absl::ZeroDuration()),
       IntFlag(
           "requests", "at most so many (default: as many as the duration takes)",
           [o](std::int64_t value) { o->load.requests = value; }, 1, std::int64_t{1} << 40),
       Count("connections", "that requests take in turn (default 4)", &o->load.connections, 1, 1000),
       Count("max_in_flight",
             "open loop: a request that is due while so many are under way is not sent (default 20000)",
             &o->load.max_in_flight, 1, 1000000),
       Number("cancel_fraction", "of requests that are cancelled on purpose, 0 to 1", &o->load.cancel_fraction, 0, 1),
       DurationFlag("cancel_within", "at a random time until then (default 1s)", &o->load.cancel_within),
       IntFlag(
           "seed", "of gaps, mix and cancellations (default 1)",
           [o](std::int64_t value) { o->load.seed = o->prepare.seed = static_cast<std::uint64_t>(value); }, 0,
           std::int64_t{1} << 62)}};
}

FlagGroup RequestFlags(Options* o) {
  return {"Requests",
          {StringFlag("texts", "FILE", "required: texts, a line each, taken in order and again from the first",
                      &o->texts_file),
           BoolFlag("shuffle", "take them in random order", &o->prepare.shuffle),
           Count("texts_per_request", "(default 1)", &o->prepare.texts_per_request, 1, 4096),
           StringFlag("mix", "RPC=SHARE,...", "of translate, summarize, stream_translate, stream_summarize", &o->mix),
           StringFlag("model", "NAME", "that translates (default: the server's only one)",
                      [o](const std::string& name) { o->prepare.request.mutable_model()->set_name(name); }),
           StringFlag("summarize_model", "NAME", "that summarises (default: the server's only one)",
                      &o->prepare.summarize_model),
           Number("batch_fraction", "of requests with batch priority, 0 to 1", &o->prepare.batch_fraction, 0, 1),
           DurationFlag("time_budget", "of each request (default: none)", &o->time_budget, absl::Milliseconds(1),
                        absl::Hours(24)),
           BoolFlag("attention", "ask for attention weights", &o->attention),
           IntFlag(
               "length", "exactly so many target tokens a text (default: as many as the model makes)",
               [o](std::int64_t value) { o->length = value; }, 1, 1 << 20)}};
}

FlagGroup ReportFlags(Options* o) {
  return {"Report",
          {StringFlag("json", "FILE", "the report for programs (- is standard output, without the table)", &o->json),
           StringFlag("svg", "FILE", "a plot of latency over percentiles", &o->svg),
           StringFlag("label", "NAME", "of the run, in plots", &o->label),
           DurationFlag("interval",
                        "of the report's time series (default 1s; doubled where there would be\nmore than 3600)",
                        &o->interval, absl::Milliseconds(10)),
           BoolFlag("find_rate", "find the highest rate that keeps --percentile of latencies within --limit",
                    &o->find_rate),
           Number("percentile", "(default 97)", &o->percentile, 0, 100),
           DurationFlag("limit", "(default 250ms)", &o->search.limit),
           Number("first_rate", "to try (default 10)", &o->search.first_rate, 0.01, 1e6),
           Number("error_share", "of requests that may fail (default 0)", &o->search.max_error_share, 0, 1),
           Number("rate_tolerance", "part by which the rate found may be too low (default 0.03)", &o->search.tolerance,
                  0.001, 0.5)}};
}

absl::StatusOr<std::string> ReadFile(const std::string& flag, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file.is_open() || file.bad()) return absl::InvalidArgumentError(absl::StrCat(flag, ": cannot read ", path));
  return text;
}

absl::Status WriteFile(const std::string& flag, const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text << std::flush;
  if (!file) return absl::InvalidArgumentError(absl::StrCat(flag, ": cannot write ", path));
  return absl::OkStatus();
}

// Before the run, which may be long.
absl::Status CheckWritable(const std::string& flag, const std::string& path) {
  if (path.empty() || path == "-" || std::ofstream(path, std::ios::app)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(flag, ": cannot write ", path));
}

absl::Status ReadTexts(Options* o) {
  const auto texts = ReadFile("--texts", o->texts_file);
  if (!texts.ok()) return texts.status();
  int number = 0;
  for (absl::string_view line : absl::StrSplit(*texts, '\n')) {
    ++number;
    line = absl::StripSuffix(line, "\r");
    if (line.empty()) continue;
    o->prepare.texts.emplace_back(line);
    if (const auto bad = FirstInvalidUtf8(o->prepare.texts.back())) {
      return absl::InvalidArgumentError(
          absl::StrCat("--texts: ", o->texts_file, ": line ", number, ", byte ", *bad, " is not valid UTF-8"));
    }
  }
  if (o->prepare.texts.empty()) return absl::InvalidArgumentError("--texts: no lines in " + o->texts_file);
  return absl::OkStatus();
}

absl::Status ReadArrivals(Options* o) {
  if (o->arrivals_file.empty()) return absl::OkStatus();
  const auto text = ReadFile("--arrivals", o->arrivals_file);
  if (!text.ok()) return text.status();
  auto times = bench::ParseArrivals(*text);
  if (!times.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--arrivals: ", o->arrivals_file, ": ", times.status().message()));
  }
  o->arrivals = *std::move(times);
  return absl::OkStatus();
}

// What --duration leaves out: files and counts have an end of their own.
absl::Duration DurationOf(const Options& o) {
  if (o.duration > absl::ZeroDuration()) return o.duration;
  return o.load.requests > 0 || !o.arrivals_file.empty() ? absl::Hours(24 * 365) : absl::Seconds(10);
}

// Reads the files and checks what no flag can alone.
absl::Status Complete(Options* o) {
  const int plans = static_cast<int>(o->rate > 0) + static_cast<int>(!o->arrivals_file.empty()) +
                    static_cast<int>(o->load.concurrency > 0) + static_cast<int>(o->find_rate);
  if (plans != 1) {
    return absl::InvalidArgumentError("give one of --rate, --arrivals, --concurrency and --find_rate");
  }
  if (o->texts_file.empty()) return absl::InvalidArgumentError("--texts is missing");
  o->load.duration = DurationOf(*o);
  if (o->load.duration <= o->warmup) return absl::InvalidArgumentError("--duration must be longer than --warmup");
  if (o->find_rate && !o->svg.empty()) return absl::InvalidArgumentError("--svg draws one run, not a --find_rate");
  auto client = ClientOptionsOf(o->connection);
  if (!client.ok()) return client.status();
  o->load.client = *std::move(client);
  o->load.client.max_receive_bytes = 128 << 20;  // a reply that is too large is the server's to refuse
  o->load.timeout = o->connection.timeout;
  for (const absl::Status& status :
       {MakeChannel(o->load.client, /*own_connection=*/false).status(), ReadTexts(o), ReadArrivals(o),
        CheckWritable("--json", o->json), CheckWritable("--svg", o->svg)}) {
    if (!status.ok()) return status;
  }
  absl::StatusOr<std::vector<std::pair<bench::Rpc, double>>> mix = bench::ParseMix(o->mix);
  if (!mix.ok()) return absl::InvalidArgumentError(absl::StrCat("--mix: ", mix.status().message()));
  o->prepare.mix = *std::move(mix);
  v1::TranslateRequest& request = o->prepare.request;
  if (o->attention) request.mutable_attention()->add_components(v1::ATTENTION_COMPONENT_WEIGHTS);
  if (o->length > 0) {
    request.mutable_search()->set_min_length(static_cast<int>(o->length));
    request.mutable_search()->set_max_length(static_cast<int>(o->length));
  }
  if (o->time_budget > absl::ZeroDuration()) {
    const std::int64_t ns = absl::ToInt64Nanoseconds(o->time_budget);
    request.mutable_time_budget()->set_seconds(ns / 1'000'000'000);
    request.mutable_time_budget()->set_nanos(static_cast<int>(ns % 1'000'000'000));
  }
  return absl::OkStatus();
}

bench::Arrivals ArrivalsOf(const Options& o, double rate) {
  if (!o.arrivals.empty()) return bench::Arrivals::Recorded(o.arrivals);
  if (o.load.concurrency > 0) rate = 1;  // not read
  return o.constant ? bench::Arrivals::Constant(rate) : bench::Arrivals::Poisson(rate, o.load.seed);
}

absl::StatusOr<bench::Report> RunOnce(const Options& o, double rate) {
  bench::Recorder recorder({.warmup = o.warmup, .interval = o.interval});
  // Several requests per text where the mix needs them to come out in its shares.
  const std::vector<bench::Prepared> prepared = bench::Prepare(o.prepare, 4096);
  const absl::Status run = bench::RunLoad(o.load, ArrivalsOf(o, rate), prepared, stop, &recorder);
  if (!run.ok()) return run;
  return recorder.report();
}

// An error that the rate has nothing to do with: exit codes 3 and 4.
bool IsOfTheRequest(const absl::Status& error) {
  const ExitCode code = ExitCodeOf(error);
  return code == kExitRequest || code == kExitPermission;
}

// One run of the search, told on standard error.
absl::StatusOr<bench::Probe> RunProbe(const Options& o, double rate, const Console& console) {
  if (stop) return absl::CancelledError("interrupted");
  const auto report = RunOnce(o, rate);
  if (!report.ok()) return report.status();
  if (stop) return absl::CancelledError("interrupted");
  // Neither a higher nor a lower rate would change that.
  if (report->ok() == 0 && IsOfTheRequest(report->first_error)) return report->first_error;
  bench::Probe probe;
  bench::Histogram second_half;
  for (std::size_t i = report->intervals.size() / 2; i < report->intervals.size(); ++i) {
    second_half.Merge(report->intervals[i].latency);
  }
  probe.latency = std::max(report->latency.Percentile(o.percentile), second_half.Percentile(o.percentile));
  probe.throughput = report->per_second(report->ok());
  // A run without a single answer shows nothing.
  probe.error_share = report->ok() == 0 ? 1 : static_cast<double>(report->errors()) / static_cast<double>(report->sent);
  *console.err << absl::StrFormat("%8.2f requests/s: p%g %.1f ms, %.2f answered/s, %d errors\n", rate, o.percentile,
                                  absl::ToDoubleMilliseconds(probe.latency), probe.throughput, report->errors())
               << std::flush;
  return probe;
}

// The exit code; a file that cannot be written is wrong usage.
int Save(const std::string& flag, const std::string& path, const std::string& text, const Console& console) {
  if (path.empty() || path == "-") return kExitOk;
  const absl::Status status = WriteFile(flag, path, text);
  return status.ok() ? kExitOk : PrintUsageError(std::string(status.message()), console);
}

int Search(const Options& o, const Console& console) {
  const auto probes = bench::FindRate(o.search, [&](double rate) { return RunProbe(o, rate, console); });
  if (!probes.ok()) return PrintError(probes.status(), o.connection, console);
  const bench::Probe* best = bench::Best(*probes);
  *console.out << (o.json == "-"     ? bench::Json(*probes)
                   : best == nullptr ? std::string("no rate keeps the limit\n")
                                     : absl::StrFormat("%.2f requests/s: p%g %.1f ms\n", best->rate, o.percentile,
                                                       absl::ToDoubleMilliseconds(best->latency)))
               << std::flush;
  return Save("--json", o.json, bench::Json(*probes), console);
}

int Measure(const Options& o, const Console& console) {
  const auto report = RunOnce(o, o.rate);
  if (!report.ok()) return PrintError(report.status(), o.connection, console);
  const std::string label = o.label.empty() ? "latency" : o.label;
  const std::string json = bench::Json(*report, label, o.rate);
  *console.out << (o.json == "-" ? json : PrintableText(bench::Table(*report))) << std::flush;
  if (const int code = Save("--json", o.json, json, console); code != kExitOk) return code;
  const std::string svg = bench::Svg({bench::CurveOf(*report, label)}, bench::Over::kPercentiles, "Latency");
  if (const int code = Save("--svg", o.svg, svg, console); code != kExitOk) return code;
  if (report->ok() > 0 || report->first_error.ok()) return kExitOk;
  return PrintError(report->first_error, o.connection, console);
}

int Plot(const std::vector<std::string>& arguments, const Console& console) {
  std::string svg, title = "Latency";
  bool over_time = false, help = false;
  const std::vector<FlagGroup> flags = {
      {"Plot",
       {StringFlag("svg", "FILE", "where the plot goes", &svg),
        StringFlag("title", "TEXT", "above it (default Latency)", &title),
        BoolFlag("over_time", "p50 and p99 of each interval (default: latency over percentiles)", &over_time),
        BoolFlag("help", "print this", &help)}}};
  const auto operands = ParseFlags(flags, arguments);
  if (!operands.ok()) return PrintUsageError(std::string(operands.status().message()), console);
  if (help) {
    *console.out << kUsage << "\n" << FlagHelp(flags);
    return kExitOk;
  }
  if (svg.empty() || operands->empty()) {
    return PrintUsageError("heed bench plot needs --svg=FILE and the JSON files of runs", console);
  }
  const auto over = over_time ? bench::Over::kTime : bench::Over::kPercentiles;
  std::vector<bench::Curve> curves;
  for (const std::string& path : *operands) {
    const auto text = ReadFile("plot", path);
    if (!text.ok()) return PrintUsageError(std::string(text.status().message()), console);
    const auto run = bench::CurvesOfJson(*text, over);
    if (!run.ok()) return PrintUsageError(absl::StrCat(path, ": ", run.status().message()), console);
    curves.insert(curves.end(), run->begin(), run->end());
  }
  return Save("--svg", svg, bench::Svg(curves, over, title), console);
}

void StopOnInterrupt() {
  struct sigaction action = {};
  action.sa_handler = [](int) { stop = true; };
  action.sa_flags = SA_RESETHAND;  // a second one ends the process
  sigaction(SIGINT, &action, nullptr);
}

}  // namespace

int RunBench(const std::vector<std::string>& arguments, const Console& console) {
  if (!arguments.empty() && arguments[0] == "plot") return Plot({arguments.begin() + 1, arguments.end()}, console);
  Options options;
  bool help = false;
  const std::vector<FlagGroup> search = SearchFlagGroups(options.prepare.request.mutable_search());
  FlagGroup connection = ConnectionFlags(&options.connection);
  std::erase_if(connection.flags, [](const Flag& flag) { return flag.name == "retries"; });  // nothing is tried again
  const std::vector<FlagGroup> flags = {PlanFlags(&options),
                                        RequestFlags(&options),
                                        ReportFlags(&options),
                                        search[0],
                                        search[1],
                                        std::move(connection),
                                        {"Other", {BoolFlag("help", "print this", &help)}}};
  const auto operands = ParseFlags(flags, arguments, console.environment);
  if (!operands.ok()) return PrintUsageError(std::string(operands.status().message()), console);
  if (help) {
    *console.out << kUsage << "\n" << FlagHelp(flags) << kExitCodeHelp;
    return kExitOk;
  }
  if (!operands->empty()) return PrintUsageError("heed bench takes no operands; texts come from --texts", console);
  if (const absl::Status status = Complete(&options); !status.ok()) {
    return PrintUsageError(std::string(status.message()), console);
  }
  stop = false;
  StopOnInterrupt();
  return options.find_rate ? Search(options, console) : Measure(options, console);
}

}  // namespace heed::cli
