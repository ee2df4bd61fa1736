#include "server/config/flags.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "engine/base/nearest.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "server/config/setters.h"

namespace heed {
namespace {

struct Flag {
  std::string name;
  std::string value;  // what --help shows after "=": a unit or a form
  std::string default_value;
  std::string help;
  Setter set;
  bool may_be_empty = false;  // else a variable that is set and empty counts as not set
};

struct Given {
  const Flag* flag;
  std::string value;
};

constexpr std::int64_t kMaxMemory = std::int64_t{1} << 50;

std::vector<Flag> NetworkFlags(const ServerOptions& d) {
  return {
      {"address", "HOST:PORT", d.address,
       "Where gRPC listens, IPv6 as [::1]:8500; port 0 takes a free one. Loopback by default: anything wider "
       "(0.0.0.0, or [::] for IPv6 and IPv4) is a decision.",
       Address(HEED_FIELD(address), false)},
      {"metrics_address", "HOST:PORT", d.metrics_address,
       "Where /metrics, /livez, /readyz and /startupz are, over HTTP; as --address, or empty: nowhere.",
       Address(HEED_FIELD(metrics_address), true), true},
      {"models", "FOLDER", d.models, "Folder whose sub-folders are model bundles, or one bundle.",
       Text(HEED_FIELD(models))},
      {"model_settings", "FILE", d.precision.file,
       "JSON of what holds for single models, read at start: their precision. Empty: none.",
       Text(HEED_FIELD(precision.file))},
      {"tls_cert", "FILE", d.tls.cert, "PEM certificate chain of the server; needs --tls_key. Empty: plain text.",
       Text(HEED_FIELD(tls.cert))},
      {"tls_key", "FILE", d.tls.key, "PEM private key of --tls_cert.", Text(HEED_FIELD(tls.key))},
      {"tls_client_ca", "FILE", d.tls.client_ca,
       "PEM certificates that must have signed a client's; needs --tls_cert. Empty: clients need none.",
       Text(HEED_FIELD(tls.client_ca))},
      {"max_connections", "CONNECTIONS", Unparse(d.max_connections),
       "Connections open at a time; more are closed as they come. Fewer where the system lets the process open fewer "
       "files.",
       Number(HEED_FIELD(max_connections), 1, 1 << 20)},
      {"max_connections_per_address", "CONNECTIONS", Unparse(d.max_connections_per_address),
       "Connections that one address (of IPv6 a /64) may have open, loopback excepted; 0: as many as "
       "--max_connections.",
       Number(HEED_FIELD(max_connections_per_address), 0, 1 << 20)},
      {"proxy_protocol_from", "ADDRESSES", d.proxy_protocol_from,
       "Proxies, as 192.0.2.7,10.0.0.0/8: their connections must begin with a PROXY header (version 1 or 2), which "
       "says "
       "whose they are.",
       Addresses(HEED_FIELD(proxy_protocol_from))},
      {"keepalive_time", "DURATION", absl::FormatDuration(d.edge.keepalive_time),
       "Silence after which a connection is pinged, so that a client that vanished frees its rows.",
       Time(HEED_FIELD(edge.keepalive_time), absl::Seconds(1), absl::Hours(24))},
      {"keepalive_timeout", "DURATION", absl::FormatDuration(d.edge.keepalive_timeout),
       "Wait for the answer to that ping, or for a new connection's first words, before the client counts as gone.",
       Time(HEED_FIELD(edge.keepalive_timeout), absl::Seconds(1), absl::Hours(1))},
      {"max_connection_idle", "DURATION", "0", "Time without a call after which a connection is closed; 0: never.",
       TimeOrNever(HEED_FIELD(edge.max_idle))},
      {"max_connection_age", "DURATION", "0",
       "Age at which a connection is told to go elsewhere, a tenth more or less; 0: never.",
       TimeOrNever(HEED_FIELD(edge.max_age))},
      {"max_connection_age_grace", "DURATION", "0",
       "Time that the calls of such a connection then have to end; 0: all that they take.",
       TimeOrNever(HEED_FIELD(edge.age_grace))},
  };
}

std::vector<Flag> EdgeFlags(const ServerOptions& d) {
  return {
      {"max_header_bytes", "BYTES", absl::StrCat(d.edge.max_header_bytes),
       "Most bytes of a call's metadata: names and values, 32 more for each.",
       Number<std::size_t>(HEED_FIELD(edge.max_header_bytes), 1024, 1 << 20)},
      {"max_header_block_bytes", "BYTES", absl::StrCat(d.edge.max_header_block_bytes),
       "Most bytes of it on their way (HTTP/2 HEADERS and CONTINUATION); more ends the connection.",
       Number<std::size_t>(HEED_FIELD(edge.max_header_block_bytes), 1024, 1 << 20)},
      {"max_streams", "CALLS", Unparse(d.edge.max_streams), "Calls of a connection at a time; clients wait with more.",
       Number(HEED_FIELD(edge.max_streams), 1, 1 << 20)},
      {"max_control_frames", "FRAMES", Unparse(d.edge.max_control_frames),
       "HTTP/2 frames a second of a connection that ask for nothing (PING, SETTINGS, RST_STREAM, empty ones; ten "
       "WINDOW_UPDATEs count as one), twice as many at once; more ends the connection.",
       Number(HEED_FIELD(edge.max_control_frames), 10, 1 << 20)},
      {"max_connection_bytes", "BYTES", absl::StrCat(d.edge.max_connection_bytes),
       "Request bytes of one connection that may be held until text work takes them; large messages wait for room in "
       "it. At "
       "most a quarter of --max_transport_bytes.",
       Number<std::int64_t>(HEED_FIELD(edge.max_connection_bytes), 64 << 10, kMaxMemory)},
      {"max_connection_unread_bytes", "BYTES", absl::StrCat(d.edge.max_connection_unread_bytes),
       "Answers of one connection that its client may leave unread; a call whose answer is over it fails. At most a "
       "quarter "
       "of --max_unread_bytes, or --max_reply_bytes.",
       Number<std::int64_t>(HEED_FIELD(edge.max_connection_unread_bytes), 64 << 10, kMaxMemory)},
      {"max_unread_bytes", "BYTES", absl::StrCat(d.max_unread_bytes),
       "Answers that clients may leave unread, all connections together.",
       Number<std::int64_t>(HEED_FIELD(max_unread_bytes), 1 << 20, kMaxMemory)},
      {"first_request_time", "DURATION", absl::FormatDuration(d.edge.first_request_time),
       "Time for a new connection's first call.",
       Time(HEED_FIELD(edge.first_request_time), absl::Seconds(1), absl::Hours(24))},
      {"header_time", "DURATION", absl::FormatDuration(d.edge.header_time),
       "Time for a call's metadata to be whole; longer ends the connection.",
       Time(HEED_FIELD(edge.header_time), absl::Seconds(1), absl::Hours(1))},
      {"message_time", "DURATION", absl::FormatDuration(d.edge.message_time),
       "Time for a call's message to be whole, or for the next one of a stream of them.",
       Time(HEED_FIELD(edge.message_time), absl::Seconds(1), absl::Hours(1))},
      {"stalled_time", "DURATION", absl::FormatDuration(d.edge.stalled_time),
       "Time that a client may take nothing of the answers that wait for it; longer ends the connection.",
       Time(HEED_FIELD(edge.stalled_time), absl::Seconds(1), absl::Hours(1))},
      {"max_deadline", "DURATION", absl::FormatDuration(d.edge.max_deadline),
       "Longest deadline of a call; one that a client sets further away counts as this.",
       Time(HEED_FIELD(edge.max_deadline), absl::Seconds(1), absl::Hours(24 * 365))},
  };
}

std::vector<Flag> HttpFlags(const ServerOptions& d) {
  return {
      {"http_tls", "true|false", "false",
       "TLS on --metrics_address, with --tls_cert and --tls_key; clients need no certificate there.",
       OneOf<bool>(HEED_FIELD(http.tls), {{"true", true}, {"false", false}})},
      {"max_http_connections", "CONNECTIONS", Unparse(d.http.max_connections),
       "Connections to --metrics_address open at a time; the longest silent one makes room for one more.",
       Number(HEED_FIELD(http.max_connections), 1, 1 << 16)},
      {"http_request_time", "DURATION", absl::FormatDuration(d.http.request_time),
       "Time there for a request to come whole, and for its answer to be taken.",
       Time(HEED_FIELD(http.request_time), absl::Milliseconds(100), absl::Hours(1))},
      {"http_idle_time", "DURATION", absl::FormatDuration(d.http.idle_time),
       "Time there between two requests, after which the connection is closed.",
       Time(HEED_FIELD(http.idle_time), absl::Milliseconds(100), absl::Hours(24))},
      {"max_http_header_bytes", "BYTES", Unparse(d.http.max_header_bytes), "Most bytes of a request's header there.",
       Number(HEED_FIELD(http.max_header_bytes), 1024, 1 << 15)},
      {"max_http_body_bytes", "BYTES", Unparse(d.http.max_body_bytes), "Most bytes of a request's body there.",
       Number(HEED_FIELD(http.max_body_bytes), 0, 1 << 20)},
  };
}

std::vector<Flag> EngineFlags(const ServerOptions& d) {
  return {
      {"precision", "float32|bfloat16|int8|auto", "auto",
       "In what weights are kept and multiplied, of models that --model_settings says nothing of. auto: as each bundle "
       "recommends, as far as the machine has it, else float32.",
       OneOf<std::optional<Precision>>(HEED_FIELD(precision.all), {{"float32", Precision::kFloat32},
                                                                   {"bfloat16", Precision::kBfloat16},
                                                                   {"int8", Precision::kInt8},
                                                                   {"auto", std::nullopt}})},
      {"workers", "THREADS", Unparse(d.scheduler.workers), "Step threads; 0: one per core that the quota grants.",
       Number(HEED_FIELD(scheduler.workers), 0, 1024)},
      {"helper_threads", "THREADS", Unparse(d.helper_threads),
       "Most threads, and fewer than step threads, that do parts of the largest product of a few rows while other step "
       "threads have nothing to do; 0: none.",
       Number(HEED_FIELD(helper_threads), 0, 64)},
      {"max_rows", "ROWS", Unparse(d.engine.max_rows), "Hypotheses that a worker steps at once, per model.",
       Number(HEED_FIELD(engine.max_rows), 1, 1024)},
      {"max_queue", "SEGMENTS", Unparse(d.scheduler.max_queue),
       "Segments (sentences) that may wait; a request that does not fit whole is refused.",
       Number(HEED_FIELD(scheduler.max_queue), 1, 1 << 20)},
      {"max_queue_bytes", "BYTES", absl::StrCat(d.scheduler.max_queue_bytes),
       "Memory that waiting requests may hold; a request that does not fit is refused.",
       Number<std::int64_t>(HEED_FIELD(scheduler.max_queue_bytes), 1, kMaxMemory)},
      {"max_request_bytes", "BYTES", absl::StrCat(d.scheduler.max_request_bytes),
       "Memory that started requests may take, all together, until they are answered; one over it is refused, one that "
       "does not fit yet waits.",
       Number<std::int64_t>(HEED_FIELD(scheduler.max_request_bytes), 1, kMaxMemory)},
      {"batch_share", "ROWS", Unparse(d.scheduler.batch_share),
       "Rows of interactive requests that start for each row of batch ones, while both wait.",
       Number(HEED_FIELD(scheduler.batch_share), 1, 1000)},
      {"batch_ageing", "DURATION", absl::FormatDuration(d.scheduler.batch_ageing),
       "Wait after which a batch request's rows count as interactive ones; --batch_share shrinks to 1 on the way.",
       Time(HEED_FIELD(scheduler.batch_ageing), absl::ZeroDuration(), absl::Hours(24))},
      {"encode_time_per_step", "DURATION", absl::FormatDuration(d.engine.encode_time_per_step),
       "Time that encoding new sources may take between two decode steps, or half a decode step where that is longer.",
       Time(HEED_FIELD(engine.encode_time_per_step), absl::Microseconds(10), absl::Seconds(10))},
      {"max_table_bytes", "BYTES", absl::StrCat(d.engine.max_table_bytes),
       "Largest table of an embedding's product with a cell's weights, per such cell: memory for speed; 0: no tables.",
       Number<std::int64_t>(HEED_FIELD(engine.max_table_bytes), 0, std::int64_t{1} << 40)},
      {"max_source_tokens", "TOKENS", Unparse(d.engine.max_source_tokens),
       "Most source tokens of a segment; a model's own bound holds where it is lower.",
       Number(HEED_FIELD(engine.max_source_tokens), 1, 1 << 16)},
      {"max_target_tokens", "TOKENS", Unparse(d.engine.max_target_tokens), "Bound of a request's max_length.",
       Number(HEED_FIELD(engine.max_target_tokens), 1, 1 << 16)},
      {"text_threads", "THREADS", Unparse(d.text_threads),
       "Threads that tokenise long requests and build long replies; 0: one per two granted cores.",
       Number(HEED_FIELD(text_threads), 0, 1024)},
      {"text_slice", "DURATION", absl::FormatDuration(d.text_slice),
       "Text work of a long request that is done before another request may have its turn.",
       Time(HEED_FIELD(text_slice), absl::Microseconds(100), absl::Seconds(1))},
      {"polling_threads", "THREADS", Unparse(d.polling_threads),
       "Threads that read and write connections and take requests in; 0: one per 8 granted cores.",
       Number(HEED_FIELD(polling_threads), 0, 64)},
  };
}

std::vector<Flag> RequestFlags(const ServerOptions& d) {
  constexpr std::int64_t kMaxBytes = std::numeric_limits<std::int32_t>::max();  // of a protobuf message
  return {
      {"max_texts", "TEXTS", Unparse(d.admission.max_texts), "Most texts of a request.",
       Number(HEED_FIELD(admission.max_texts), 1, 1 << 20)},
      {"max_text_bytes", "BYTES", absl::StrCat(d.admission.max_text_bytes), "Most bytes of one text.",
       Number<std::int64_t>(HEED_FIELD(admission.max_text_bytes), 1, kMaxBytes)},
      {"max_segments", "SEGMENTS", Unparse(d.admission.max_segments),
       "Most segments of a request, all texts together; at most --max_queue.",
       Number(HEED_FIELD(admission.max_segments), 1, 1 << 20)},
      {"max_beam_size", "ROWS", Unparse(d.admission.max_beam_size),
       "Bound of a request's beam_size; at most --max_rows.", Number(HEED_FIELD(admission.max_beam_size), 1, 1024)},
      {"default_reply_bytes", "BYTES", absl::StrCat(d.admission.default_reply_bytes),
       "max_reply_bytes of a request that sets none; at most --max_reply_bytes.",
       Number<std::int64_t>(HEED_FIELD(admission.default_reply_bytes), 1, kMaxBytes)},
      {"max_reply_bytes", "BYTES", absl::StrCat(d.admission.max_reply_bytes), "Bound of a request's max_reply_bytes.",
       Number<std::int64_t>(HEED_FIELD(admission.max_reply_bytes), 1, kMaxBytes)},
      {"max_message_bytes", "BYTES", absl::StrCat(d.max_message_bytes), "Most bytes of a request message, inflated.",
       Number<std::int64_t>(HEED_FIELD(max_message_bytes), 1, kMaxBytes)},
      {"max_query_bytes", "BYTES", absl::StrCat(d.max_query_bytes),
       "Most bytes of a message to ModelService, health and reflection.",
       Number<std::int64_t>(HEED_FIELD(max_query_bytes), 256, kMaxBytes)},
      {"max_memory", "BYTES", absl::StrCat(d.max_memory),
       "Memory of the whole process, shared out at start; 0: 15/16 of what the control group or the machine has.",
       Number<std::int64_t>(HEED_FIELD(max_memory), 0, kMaxMemory)},
      {"max_transport_bytes", "BYTES", absl::StrCat(d.max_transport_bytes),
       "Memory of requests as received and of calls at the edge, all connections together; a call over it is refused.",
       Number<std::int64_t>(HEED_FIELD(max_transport_bytes), 16 << 20, kMaxMemory)},
      {"max_concurrent_requests", "REQUESTS", Unparse(d.max_concurrent_requests),
       "Requests in flight; more are refused with RESOURCE_EXHAUSTED and a retry time.",
       Number(HEED_FIELD(max_concurrent_requests), 1, 1 << 20)},
      {"default_deadline", "DURATION", absl::FormatDuration(d.default_deadline), "Deadline of a call that has none.",
       Time(HEED_FIELD(default_deadline), absl::Milliseconds(1), absl::Hours(24))},
      {"retry_pushback", "DURATION", absl::FormatDuration(d.retry_pushback),
       "What a refused call is told to wait (grpc-retry-pushback-ms).",
       Time(HEED_FIELD(retry_pushback), absl::Milliseconds(1), absl::Hours(1))},
  };
}

std::vector<Flag> ProcessFlags(const ServerOptions& d) {
  return {
      {"shutdown_delay", "DURATION", absl::FormatDuration(d.shutdown_delay),
       "After SIGTERM or SIGINT: time in which everything is still served while health says NOT_SERVING, so that "
       "balancers look elsewhere before calls are refused.",
       Time(HEED_FIELD(shutdown_delay), absl::ZeroDuration(), absl::Hours(1))},
      {"drain_time", "DURATION", absl::FormatDuration(d.drain_time),
       "After SIGTERM or SIGINT and --shutdown_delay: time for what was accepted to finish.",
       Time(HEED_FIELD(drain_time), absl::ZeroDuration(), absl::Hours(24))},
      {"log_format", "text|json", "text", "Form of the log lines on standard error.",
       OneOf<LogFormat>(HEED_FIELD(log_format), {{"text", LogFormat::kText}, {"json", LogFormat::kJson}})},
      {"log_level", "LEVEL", "info", "Least severe lines logged: debug, info, warning or error.",
       OneOf<LogLevel>(HEED_FIELD(log_level), {{"debug", LogLevel::kDebug},
                                               {"info", LogLevel::kInfo},
                                               {"warning", LogLevel::kWarning},
                                               {"error", LogLevel::kError}})},
      {"max_log_bytes", "BYTES", absl::StrCat(d.max_log_bytes),
       "Log lines that may wait for whoever reads standard error; more are dropped and counted.",
       Number<std::int64_t>(HEED_FIELD(max_log_bytes), 64 << 10, std::int64_t{1} << 30)},
  };
}

const std::vector<Flag>& Flags() {
  static const auto* flags = [] {
    const ServerOptions defaults;
    auto* all = new std::vector<Flag>();
    for (auto make : {NetworkFlags, EdgeFlags, HttpFlags, EngineFlags, RequestFlags, ProcessFlags}) {
      for (Flag& flag : make(defaults)) all->push_back(std::move(flag));
    }
    return all;
  }();
  return *flags;
}

std::string VariableName(const Flag& flag) { return absl::StrCat("HEED_", absl::AsciiStrToUpper(flag.name)); }

const Flag* FindFlag(absl::string_view name) {
  for (const Flag& flag : Flags()) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

absl::Status UnknownFlag(absl::string_view name) {
  std::vector<std::string> names = {"help", "health", "version"};
  for (const Flag& flag : Flags()) names.push_back(flag.name);
  const std::string nearest = Nearest(absl::StrReplaceAll(name, {{"-", "_"}}), names);
  return absl::InvalidArgumentError(
      absl::StrCat("unknown flag ", Quote(absl::StrCat("--", name)),
                   nearest.empty() ? "; " : absl::StrCat("; did you mean --", nearest, "? "), "see --help"));
}

absl::Status Set(const Flag& flag, const std::string& source, const std::string& value, ServerOptions* options) {
  const std::string bound = flag.set(value, options);
  if (bound.empty()) options->given.insert(flag.name);
  if (bound.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(source, " is ", Quote(value), "; it must be ", bound));
}

absl::Status CheckAtMost(absl::string_view low_name, std::int64_t low, absl::string_view high_name, std::int64_t high) {
  if (low <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", low_name, " is ", low, "; it must be at most --", high_name, " (", high, ")"));
}

// What no single flag can check.
absl::Status CheckTogether(ServerOptions* options) {
  AdmissionLimits& limits = options->admission;
  limits.max_target_tokens = options->engine.max_target_tokens;
  HEED_RETURN_IF_ERROR(CheckAtMost("max_beam_size", limits.max_beam_size, "max_rows", options->engine.max_rows));
  HEED_RETURN_IF_ERROR(CheckAtMost("max_segments", limits.max_segments, "max_queue", options->scheduler.max_queue));
  HEED_RETURN_IF_ERROR(
      CheckAtMost("default_reply_bytes", limits.default_reply_bytes, "max_reply_bytes", limits.max_reply_bytes));
  if (options->tls.cert.empty() != options->tls.key.empty()) {
    return absl::InvalidArgumentError("--tls_cert and --tls_key go together; only one is given");
  }
  if (options->tls.cert.empty() && !options->tls.client_ca.empty()) {
    return absl::InvalidArgumentError("--tls_client_ca needs --tls_cert and --tls_key");
  }
  if (options->tls.cert.empty() && options->http.tls) {
    return absl::InvalidArgumentError("--http_tls is true; it needs --tls_cert and --tls_key");
  }
  return absl::OkStatus();
}

// What the argument `at` asks for, --help or a flag whose value may be the argument behind it.
absl::Status ReadArgument(const std::vector<std::string>& arguments, std::size_t* at, ServerOptions* options,
                          std::vector<Given>* given) {
  absl::string_view argument = arguments[*at];
  if (argument == "--help" || argument == "-h" || argument == "--version") {
    (argument == "--version" ? options->version : options->help) = true;
    return absl::OkStatus();
  }
  if (argument == "--health") {
    options->health = true;
    return absl::OkStatus();
  }
  if (!absl::StartsWith(argument, "--")) {
    return absl::InvalidArgumentError(absl::StrCat("unexpected argument ", Quote(argument), "; see --help"));
  }
  argument.remove_prefix(2);
  const std::size_t equals = argument.find('=');
  const absl::string_view name = argument.substr(0, equals);
  const Flag* flag = FindFlag(absl::StrReplaceAll(name, {{"-", "_"}}));
  if (flag == nullptr) return UnknownFlag(name);
  if (equals != absl::string_view::npos) {
    given->push_back({flag, std::string(argument.substr(equals + 1))});
  } else if (*at + 1 < arguments.size()) {
    given->push_back({flag, arguments[++*at]});
  } else {
    return absl::InvalidArgumentError(absl::StrCat("--", flag->name, " lacks its value"));
  }
  return absl::OkStatus();
}

// Those that the command line gives are left out: what it overrides need not even make sense.
absl::Status ReadVariables(const Environment& environment, const std::vector<Given>& given, ServerOptions* options) {
  for (const Flag& flag : Flags()) {
    if (std::any_of(given.begin(), given.end(), [&flag](const Given& one) { return one.flag == &flag; })) continue;
    const std::string variable = VariableName(flag);
    const std::optional<std::string> value = environment(variable);
    if (!value.has_value() || (value->empty() && !flag.may_be_empty)) continue;
    HEED_RETURN_IF_ERROR(Set(flag, variable, *value, options));
  }
  return absl::OkStatus();
}

}  // namespace

Environment ProcessEnvironment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

absl::StatusOr<ServerOptions> ReadOptions(const std::vector<std::string>& arguments, const Environment& environment) {
  ServerOptions options;
  std::vector<Given> given;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    HEED_RETURN_IF_ERROR(ReadArgument(arguments, &i, &options, &given));
  }
  if (options.help || options.version) return options;
  options.address_given =
      std::any_of(given.begin(), given.end(), [](const Given& one) { return one.flag->name == "address"; });
  HEED_RETURN_IF_ERROR(ReadVariables(environment, given, &options));
  for (const auto& [flag, value] : given) {
    HEED_RETURN_IF_ERROR(Set(*flag, absl::StrCat("--", flag->name), value, &options));
  }
  HEED_RETURN_IF_ERROR(CheckTogether(&options));
  return options;
}

std::vector<UnknownVariable> UnknownServerVariables(const std::vector<std::string>& variables) {
  // HEED_ADDRESS is both programs'. tests/repo/docs_test.py compares these with docs/client.md.
  std::vector<std::string> known = {"HEED_TIMEOUT",       "HEED_RETRIES",         "HEED_TLS",
                                    "HEED_TLS_CA",        "HEED_TLS_SERVER_NAME", "HEED_TLS_CLIENT_CERTIFICATE",
                                    "HEED_TLS_CLIENT_KEY"};
  for (const Flag& flag : Flags()) known.push_back(VariableName(flag));
  return UnknownVariables(variables, known);
}

std::string HelpText() {
  std::string text =
      "heed-server serves RNN encoder-decoder models with attention over gRPC.\n\n"
      "Usage: heed-server [--FLAG=VALUE ...]\n"
      "       heed-server verify FOLDER [--precision=P] [--json]   runs a bundle's parity.json on this machine\n\n"
      "Every flag can be given as an environment variable too: HEED_MAX_ROWS for --max_rows. --max-rows is the "
      "same.\n\n";
  for (const Flag& flag : Flags()) {
    absl::StrAppend(&text, "  --", flag.name, "=", flag.value, "  (",
                    flag.default_value.empty() ? "empty" : flag.default_value, ")\n      ", flag.help, "\n");
  }
  absl::StrAppend(
      &text,
      "  --health\n      Asks the server that runs with these flags for its health: exit code 0 SERVING, 1 not.\n"
      "  --help, --version\n");
  return text;
}

std::string FlagTable() {
  std::string table = "| flag | value | default | meaning |\n|---|---|---|---|\n";
  for (const Flag& flag : Flags()) {
    std::string value = flag.value;
    std::replace(value.begin(), value.end(), '|', '/');
    absl::StrAppend(&table, "| `--", flag.name, "` | ", value, " | ",
                    flag.default_value.empty() ? "(empty)" : absl::StrCat("`", flag.default_value, "`"), " | ",
                    flag.help, " |\n");
  }
  return table;
}

std::string Version() { return HEED_VERSION; }

}  // namespace heed
