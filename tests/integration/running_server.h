// A heed-server of the test's own on free ports, waited for until it serves; its log, its metrics, its death.
//
//   RunningServer server(models.path(), {"--max_rows=4"});
//   EXPECT_TRUE(server.caller().Translate(TranslateTexts({"안녕"})).ok());
//   EXPECT_EQ(server.Metric("heed_rows_in_use"), 0);
//
// Thread-safe, but made on the test's main thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/integration/calls.h"
#include "tests/integration/process.h"

namespace heed {

// A log line: its fields by key, numbers as JSON prints them. "event" is one of them.
using LogEvent = std::map<std::string, std::string>;

class RunningServer {
 public:
  // --models, --log_format=json and free ports; `flags` come after them. Aborts the test when it does not come up.
  explicit RunningServer(const std::string& models, const std::vector<std::string>& flags = {},
                         const std::map<std::string, std::string>& environment = {},
                         const std::string& program = ServerProgram());

  int port() const { return port_; }
  // Of /metrics and the probes.
  int metrics_port() const { return metrics_port_; }
  // "127.0.0.1:PORT"
  std::string address() const;
  Process& process() { return process_; }
  // A connection made at start.
  Caller& caller() { return *caller_; }

  // Runs `heed` against this server.
  Finished Heed(const std::vector<std::string>& arguments, const std::string& input = "") const;

  // What /metrics says.
  std::string Scrape() const;
  // The value of a sample, "heed_rows_in_use" or a name with its labels in order; 0 where there is none, -1 where
  // there is no answer.
  double Metric(const std::string& sample) const;
  // Waits until the sample has that value; fails the test if it never comes to it.
  void WaitForMetric(const std::string& sample, double value) const;
  // Waits until nothing waits, runs or is open.
  void WaitUntilIdle() const;

  // Every line of the log so far, parsed. Fails the test over a line that is not JSON.
  std::vector<LogEvent> Log() const;

  // SIGTERM; the exit code.
  int Stop();

 private:
  Process process_;
  int port_ = 0;
  int metrics_port_ = 0;
  std::unique_ptr<Caller> caller_;
};

// A log line's fields; empty if it is not a JSON object.
LogEvent ParseLogLine(const std::string& line);

}  // namespace heed
