// One line per event on standard error, as text or JSON. Users' text never goes in: callers log counts, names and
// codes.
//
// Thread-safe, but for StartLog, which main calls first.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <variant>

#include "server/config/options.h"

namespace heed {

void StartLog(LogFormat format, LogLevel level);

// A name for programs (snake_case, unit included) and its value.
struct LogField {
  const char* key;
  std::variant<std::int64_t, double, std::string> value;
};

// Text:  2024-05-01T12:00:00.123Z info request rpc=Translate code=OK duration_seconds=0.012
// JSON:  {"time":"2024-05-01T12:00:00.123Z","level":"info","event":"request","rpc":"Translate",...}
void Log(LogLevel level, const char* event, std::initializer_list<LogField> fields);

// The line without time and level, as Log writes it (for tests).
std::string FormatLogFields(LogFormat format, const char* event, std::initializer_list<LogField> fields);

}  // namespace heed
