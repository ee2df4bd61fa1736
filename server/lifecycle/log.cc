#include "server/lifecycle/log.h"

#include <google/protobuf/stubs/logging.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/lifecycle/log_queue.h"

namespace heed {
namespace {

// A reader who takes nothing for so long does not keep the process.
constexpr absl::Duration kLastWait = absl::Seconds(1);

LogFormat g_format = LogFormat::kText;
LogQueue* g_queue = nullptr;  // never destroyed: its thread may be stuck in a write for ever

spdlog::level::level_enum SpdLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::string JsonString(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string JsonValue(const LogField& field) {
  if (const auto* text = std::get_if<std::string>(&field.value)) return JsonString(*text);
  if (const auto* whole = std::get_if<std::int64_t>(&field.value)) return absl::StrCat(*whole);
  return nlohmann::json(std::get<double>(field.value)).dump();
}

bool IsPlainWord(const std::string& text) {
  return !text.empty() && text.find_first_of(" \"=\\\n\r\t") == std::string::npos;
}

std::string TextValue(const LogField& field) {
  if (const auto* text = std::get_if<std::string>(&field.value)) {
    const std::string escaped = absl::Utf8SafeCEscape(*text);
    return IsPlainWord(escaped) ? escaped : absl::StrCat("\"", escaped, "\"");
  }
  if (const auto* whole = std::get_if<std::int64_t>(&field.value)) return absl::StrCat(*whole);
  return absl::StrCat(std::get<double>(field.value));
}

// UTC, so that lines of servers in different places sort together.
std::unique_ptr<spdlog::formatter> MakeFormatter(LogFormat format) {
  return std::make_unique<spdlog::pattern_formatter>(format == LogFormat::kJson
                                                         ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                                                         : "%Y-%m-%dT%H:%M:%S.%eZ %l %v",
                                                     spdlog::pattern_time_type::utc);
}

// Whole lines, time and level included, to the queue.
class QueueSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit QueueSink(LogQueue* queue) : queue_(queue) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    queue_->Push(std::string(line.data(), line.size()), message.level >= spdlog::level::warn);
  }
  void flush_() override {}

  LogQueue* const queue_;
};

// Makes the line that says how many were dropped; one thread at a time.
std::function<std::string(std::int64_t)> NoteMaker(LogFormat format) {
  return [format, formatter = std::shared_ptr<spdlog::formatter>(MakeFormatter(format))](std::int64_t dropped) {
    const std::string fields = FormatLogFields(format, "log_lines_dropped", {{"lines", dropped}});
    spdlog::memory_buf_t line;
    formatter->format(
        spdlog::details::log_msg("heed", spdlog::level::warn, spdlog::string_view_t(fields.data(), fields.size())),
        line);
    return std::string(line.data(), line.size());
  };
}

}  // namespace

void StartLog(LogFormat format, LogLevel level, std::int64_t max_bytes) {
  g_format = format;
  g_queue = new LogQueue({.fd = STDERR_FILENO, .max_bytes = max_bytes, .note = NoteMaker(format)});
  auto logger = std::make_shared<spdlog::logger>("heed", std::make_shared<QueueSink>(g_queue));
  logger->set_formatter(MakeFormatter(format));
  logger->set_level(SpdLevel(level));
  // spdlog itself would write of its troubles to standard error, and wait for its reader.
  logger->set_error_handler([](const std::string&) {});
  spdlog::set_default_logger(std::move(logger));
  // So would protobuf, of fields that are not UTF-8 say: a client can make any number of them.
  google::protobuf::SetLogHandler([](google::protobuf::LogLevel, const char*, int, const std::string& message) {
    Log(LogLevel::kDebug, "protobuf", {{"message", message}});
  });
}

bool FlushLog(absl::Duration time) { return g_queue == nullptr || g_queue->Flush(time); }

std::int64_t LogLinesDropped() { return g_queue == nullptr ? 0 : g_queue->dropped(); }

void SayLast(const std::string& line) {
  if (FlushLog(kLastWait)) WriteWithin(STDERR_FILENO, absl::StrCat(line, "\n"), kLastWait);
}

void Log(LogLevel level, const char* event, std::initializer_list<LogField> fields) {
  if (!spdlog::should_log(SpdLevel(level))) return;
  const std::string line = FormatLogFields(g_format, event, fields);
  spdlog::log(SpdLevel(level), spdlog::string_view_t(line.data(), line.size()));
}

std::string FormatLogFields(LogFormat format, const char* event, std::initializer_list<LogField> fields) {
  std::string line = format == LogFormat::kJson ? absl::StrCat("\"event\":", JsonString(event)) : event;
  for (const LogField& field : fields) {
    if (format == LogFormat::kJson) {
      absl::StrAppend(&line, ",", JsonString(field.key), ":", JsonValue(field));
    } else {
      absl::StrAppend(&line, " ", field.key, "=", TextValue(field));
    }
  }
  return line;
}

}  // namespace heed
