#include "tests/integration/running_server.h"

#include <arpa/inet.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace heed {
namespace {

std::vector<std::string> Arguments(const std::string& models, const std::vector<std::string>& flags) {
  std::vector<std::string> arguments = {"--models=" + models, "--address=127.0.0.1:0", "--metrics_address=127.0.0.1:0",
                                        "--log_format=json"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  return arguments;
}

// The answer to GET `path`, headers included; empty where nobody listens.
std::string HttpGet(int port, const std::string& path) {
  const int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  const std::string request = absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  if (connect(socket_fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
      send(socket_fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size())) {
    char buffer[65536];
    for (ssize_t size; (size = recv(socket_fd, buffer, sizeof buffer, 0)) > 0;) {
      answer.append(buffer, static_cast<std::size_t>(size));
    }
  }
  close(socket_fd);
  return answer;
}

}  // namespace

LogEvent ParseLogLine(const std::string& line) {
  google::protobuf::Struct parsed;
  LogEvent event;
  if (!google::protobuf::util::JsonStringToMessage(line, &parsed).ok()) return event;
  for (const auto& [key, value] : parsed.fields()) {
    event[key] = value.kind_case() == google::protobuf::Value::kNumberValue ? absl::StrCat(value.number_value())
                                                                            : value.string_value();
  }
  return event;
}

RunningServer::RunningServer(const std::string& models, const std::vector<std::string>& flags,
                             const std::map<std::string, std::string>& environment, const std::string& program)
    : process_(program, Arguments(models, flags), {.environment = environment}) {
  LogEvent serving;
  process_.WaitForErrorLine([&serving](const std::string& line) {
    serving = ParseLogLine(line);
    return serving["event"] == "serving";
  });
  if (!absl::SimpleAtoi(serving["port"], &port_) || !absl::SimpleAtoi(serving["metrics_port"], &metrics_port_)) {
    std::cerr << "heed-server did not come up; it wrote:\n" << process_.error();
    std::abort();
  }
  caller_ = std::make_unique<Caller>(port_);
}

std::string RunningServer::address() const { return absl::StrCat("127.0.0.1:", port_); }

Finished RunningServer::Heed(const std::vector<std::string>& arguments, const std::string& input) const {
  return RunProgram(ClientProgram(), arguments, {.environment = {{"HEED_ADDRESS", address()}}, .input = input});
}

std::string RunningServer::Scrape() const { return HttpGet(metrics_port_, "/metrics"); }

double RunningServer::Metric(const std::string& sample) const {
  const std::string text = Scrape();
  if (text.empty()) return -1;
  for (const auto line : absl::StrSplit(text, absl::ByAnyChar("\r\n"), absl::SkipEmpty())) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(line, absl::MaxSplits("} ", 1));
    double value = 0;
    if (!parts.second.empty() && parts.first + "}" == sample && absl::SimpleAtod(parts.second, &value)) return value;
    const std::pair<std::string, std::string> bare = absl::StrSplit(line, absl::MaxSplits(' ', 1));
    if (bare.first == sample && absl::SimpleAtod(bare.second, &value)) return value;
  }
  return 0;
}

void RunningServer::WaitForMetric(const std::string& sample, double value) const {
  double last = 0;
  const bool came = WaitUntil([&] { return (last = Metric(sample)) == value; });
  EXPECT_TRUE(came) << sample << " stays " << last << ", not " << value;
}

void RunningServer::WaitUntilIdle() const {
  for (const char* gauge : {"heed_requests_in_flight", "heed_queue_segments", "heed_live_segments", "heed_rows_in_use",
                            "heed_queue_bytes", "heed_leased_bytes"}) {
    WaitForMetric(gauge, 0);
  }
}

std::vector<LogEvent> RunningServer::Log() const {
  std::vector<LogEvent> events;
  const std::string text = process_.error();
  // A last line without its newline is still being written.
  for (const auto line : absl::StrSplit(absl::string_view(text).substr(0, text.rfind('\n')), '\n')) {
    events.push_back(ParseLogLine(std::string(line)));
    EXPECT_FALSE(events.back().empty()) << "not JSON: " << line;
  }
  return events;
}

int RunningServer::Stop() {
  process_.Signal(SIGTERM);
  return process_.Wait();
}

}  // namespace heed
