// One line per event on standard error, as text or JSON. Users' text never goes in: callers log counts, names and
// codes. Nobody waits for who reads the lines: a thread of its own writes them (log_queue.h).
//
// Thread-safe, but for StartLog, which main calls first.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <variant>

#include "absl/time/time.h"
#include "server/config/options.h"

namespace heed {

// Starts that thread. At most `max_bytes` of lines wait; more are dropped, counted, and said in the log.
void StartLog(LogFormat format, LogLevel level, std::int64_t max_bytes);
// Waits until what was logged has been written, at most `time`; whether it has.
bool FlushLog(absl::Duration time);
// Lines dropped so far.
std::int64_t LogLinesDropped();
// What a process that ends says to a person, "heed-server: ...": after all that was logged. A reader who takes nothing
// for a second does not get it. Works before StartLog too.
void SayLast(const std::string& line);

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
