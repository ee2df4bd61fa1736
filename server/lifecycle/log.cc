#include "server/lifecycle/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace heed {
namespace {

LogFormat g_format = LogFormat::kText;

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

}  // namespace

void StartLog(LogFormat format, LogLevel level) {
  g_format = format;
  auto logger = std::make_shared<spdlog::logger>("heed", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  // UTC, so that lines of servers in different places sort together.
  logger->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      format == LogFormat::kJson ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                                 : "%Y-%m-%dT%H:%M:%S.%eZ %l %v",
      spdlog::pattern_time_type::utc));
  logger->set_level(SpdLevel(level));
  logger->flush_on(spdlog::level::debug);
  spdlog::set_default_logger(std::move(logger));
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
