// The way down and who is told of it: the delay before a drain, a container's health check.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/integration/certificate.h"
#include "tests/integration/running_server.h"
#include "tests/integration/small_models.h"

namespace heed {
namespace {

using ::testing::HasSubstr;

class LifeCycle : public ::testing::Test {
 protected:
  LifeCycle() {
    WriteLuong(models_.path(), "luong");
    WriteSelfSignedCertificate(cert_, key_);
  }

  // `heed-server --health` with these flags and variables.
  static Finished Check(const std::vector<std::string>& flags,
                        const std::map<std::string, std::string>& variables = {}) {
    std::vector<std::string> arguments = {"--health"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return RunProgram(ServerProgram(), arguments, {.environment = variables});
  }

  TempFolder models_;
  TempFolder keys_;
  const std::string cert_ = keys_.path() + "/cert.pem", key_ = keys_.path() + "/key.pem";
};

bool IsEvent(const std::string& line, const std::string& event) { return ParseLogLine(line)["event"] == event; }

// The fault: new calls failed within 10 ms of SIGTERM, while proxies send for seconds.
TEST_F(LifeCycle, AfterSigtermEverythingIsServedForTheDelayAndHealthSaysToGoElsewhere) {
  RunningServer server(models_.path(), {"--shutdown_delay=2s"});
  const absl::Time asked = absl::Now();
  server.process().Signal(SIGTERM);
  ASSERT_TRUE(server.process().WaitForErrorLine([](const auto& line) { return IsEvent(line, "shutdown_delayed"); }));
  EXPECT_EQ(server.caller().Health(), "NOT_SERVING");
  const Finished check = Check({"--address=" + server.address()});
  EXPECT_EQ(check.code, 1);
  EXPECT_THAT(check.err, HasSubstr("says DRAINING"));
  Caller late(server.port());
  EXPECT_TRUE(late.Translate(TranslateTexts({"안녕"})).ok()) << "a new connection";
  EXPECT_TRUE(server.caller().Translate(TranslateTexts({"안녕"})).ok());
  server.process().Signal(SIGHUP);  // ends nothing on the way down either
  EXPECT_EQ(server.process().Wait(), 0);
  EXPECT_GE(absl::Now() - asked, absl::Seconds(2));
  EXPECT_EQ(server.Log().back().at("event"), "stopped");
}

TEST_F(LifeCycle, ASecondSignalDoesNotWaitForTheDelay) {
  RunningServer server(models_.path(), {"--shutdown_delay=1h"});
  server.process().Signal(SIGTERM);
  ASSERT_TRUE(server.process().WaitForErrorLine([](const auto& line) { return IsEvent(line, "shutdown_delayed"); }));
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 128 + SIGTERM);
}

TEST_F(LifeCycle, TheHealthCheckAnswersByTheServersOwnSettings) {
  RunningServer server(models_.path());
  const Finished by_flag = Check({"--address=" + server.address(), "--max_rows=32"});
  EXPECT_EQ(by_flag.out, "SERVING\n") << by_flag.err;
  EXPECT_EQ(by_flag.code, 0);
  EXPECT_EQ(Check({}, {{"HEED_ADDRESS", server.address()}}).code, 0);
  EXPECT_EQ(server.Stop(), 0);
  const Finished gone = Check({"--address=" + server.address()});
  EXPECT_EQ(gone.code, 1);
  EXPECT_EQ(gone.err,
            absl::StrCat("heed-server: NOT_SERVING: no server is at --address ", server.address(), " here\n"));
  EXPECT_EQ(gone.out, "");
}

// The fault: the check spoke plain text to a TLS port, so a container with TLS was never healthy.
TEST_F(LifeCycle, TheHealthCheckNeedsNoCertificate) {
  const std::vector<std::string> tls = {"--tls_cert=" + cert_, "--tls_key=" + key_};
  RunningServer server(models_.path(), tls);
  EXPECT_EQ(Check({"--address=" + server.address()}).code, 0);
  RunningServer strict(models_.path(), {tls[0], tls[1], "--tls_client_ca=" + cert_});
  EXPECT_EQ(Check({"--address=" + strict.address()}).code, 0);
  const std::map<std::string, std::string> variables = {{"HEED_ADDRESS", strict.address()},
                                                        {"HEED_TLS_CERT", cert_},
                                                        {"HEED_TLS_KEY", key_},
                                                        {"HEED_TLS_CLIENT_CA", cert_}};
  EXPECT_EQ(Check({}, variables).code, 0);
}

// Else clients could have a container restarted.
TEST_F(LifeCycle, TheHealthCheckIsNoneOfTheConnections) {
  RunningServer server(models_.path(), {"--max_connections=1", "--metrics_address="});
  ASSERT_EQ(server.caller().Health(), "SERVING") << "this one is all there may be";
  EXPECT_EQ(Check({"--address=" + server.address()}).code, 0);
}

TEST_F(LifeCycle, AHealthCheckWithBadFlagsSaysNo) {
  const Finished check = Check({"--address=nowhere"});
  EXPECT_EQ(check.code, 1);
  EXPECT_THAT(check.err, HasSubstr("--address is \"nowhere\""));
}

}  // namespace
}  // namespace heed
