#include "server/config/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>

#include "absl/strings/str_split.h"

namespace heed {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Variables = std::map<std::string, std::string>;

absl::StatusOr<ServerOptions> Read(const std::vector<std::string>& arguments, const Variables& variables = {}) {
  return ReadOptions(arguments, [variables](const std::string& name) -> std::optional<std::string> {
    auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

TEST(Flags, DefaultsListenOnLoopback) {
  const auto options = Read({});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->address, "127.0.0.1:8500");
  EXPECT_EQ(options->metrics_address, "127.0.0.1:9500");
  EXPECT_EQ(options->engine.max_rows, 64);
  EXPECT_EQ(options->default_deadline, absl::Seconds(30));
}

TEST(Flags, AreReadWithEqualsOrAsTwoArguments) {
  const auto options = Read({"--max_rows=32", "--models", "/srv/models", "--log_format=json", "--drain_time=1m30s",
                             "--max_reply_bytes=99999999"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->engine.max_rows, 32);
  EXPECT_EQ(options->models, "/srv/models");
  EXPECT_EQ(options->log_format, LogFormat::kJson);
  EXPECT_EQ(options->drain_time, absl::Seconds(90));
  EXPECT_EQ(options->admission.max_reply_bytes, 99999999);
}

TEST(Flags, DashesAndUnderscoresAreTheSame) {
  const auto options = Read({"--max-rows=32", "--drain-time", "2s", "--log-format=json"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->engine.max_rows, 32);
  EXPECT_EQ(options->drain_time, absl::Seconds(2));
  EXPECT_EQ(options->log_format, LogFormat::kJson);
}

std::vector<std::string> Unknown(const std::vector<std::string>& variables) {
  std::vector<std::string> said;
  for (const UnknownVariable& one : UnknownServerVariables(variables)) said.push_back(one.name + ">" + one.nearest);
  return said;
}

TEST(Flags, AMistypedVariableIsToldWithTheNearest) {
  EXPECT_THAT(Unknown({"HEED_MAX_ROW=5", "HEED_ADRESS=a:1", "HEED_XYZZY", "PATH=/bin", "HEEDLESS=1"}),
              ElementsAre("HEED_ADRESS>HEED_ADDRESS", "HEED_MAX_ROW>HEED_MAX_ROWS", "HEED_XYZZY>"));
  EXPECT_THAT(Unknown({"HEED_MODEL=m", "HEED_MAXROWS=1", "HEED_TLS_CRT=c"}),
              ElementsAre("HEED_MAXROWS>HEED_MAX_ROWS", "HEED_MODEL>HEED_MODELS", "HEED_TLS_CRT>HEED_TLS_CERT"));
}

TEST(Flags, VariablesOfTheClientOfOrchestratorsAndOfTheBuildAreKnown) {
  EXPECT_THAT(Unknown({"HEED_TIMEOUT=1s", "HEED_TLS_CLIENT_KEY=k", "HEED_RETRIES=1", "HEED_WERROR=ON",
                       "HEED_SERVICE_HOST=10.0.0.1", "HEED_SERVICE_PORT=8500", "HEED_SERVICE_PORT_GRPC=8500",
                       "HEED_PORT=tcp://10.0.0.1:8500", "HEED_PORT_8500_TCP=tcp://10.0.0.1:8500",
                       "HEED_PORT_8500_TCP_ADDR=10.0.0.1", "HEED_SERVER_PORT_8500_TCP_PROTO=tcp",
                       "HEED_SERVER_SERVICE_HOST=10.0.0.1"}),
              IsEmpty());
  EXPECT_THAT(Unknown({"HEED_PORT=8500"}), ElementsAre("HEED_PORT>")) << "that is nobody's but somebody's who hopes";
}

TEST(Flags, APrecisionIsOneOfFourAndAutoByDefault) {
  EXPECT_EQ(Read({})->precision.all, std::nullopt);
  EXPECT_EQ(Read({"--precision=auto"}, {{"HEED_PRECISION", "int8"}})->precision.all, std::nullopt);
  EXPECT_EQ(Read({"--precision=bfloat16"})->precision.all, Precision::kBfloat16);
  EXPECT_EQ(Read({}, {{"HEED_PRECISION", "int8"}})->precision.all, Precision::kInt8);
  EXPECT_EQ(Read({"--precision=half"}).status().message(),
            "--precision is \"half\"; it must be float32 or bfloat16 or int8 or auto");
  EXPECT_EQ(Read({"--model_settings=/etc/models.json"})->precision.file, "/etc/models.json");
}

TEST(Flags, TheEnvironmentCountsAndTheCommandLineWins) {
  const Variables variables = {{"HEED_MAX_ROWS", "20"}, {"HEED_ADDRESS", "0.0.0.0:1"}};
  const auto options = Read({"--max_rows=40"}, variables);
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->engine.max_rows, 40);
  EXPECT_EQ(options->address, "0.0.0.0:1");
}

TEST(Flags, AVariableThatIsSetAndEmptyCountsAsNotSet) {
  const Variables empty = {{"HEED_MAX_ROWS", ""}, {"HEED_ADDRESS", ""},   {"HEED_DRAIN_TIME", ""},
                           {"HEED_MODELS", ""},   {"HEED_LOG_LEVEL", ""}, {"HEED_TLS_CERT", ""}};
  const auto options = Read({}, empty);
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->engine.max_rows, 64);
  EXPECT_EQ(options->address, "127.0.0.1:8500");
  EXPECT_EQ(options->models, "models");
}

TEST(Flags, AnEmptyVariableIsAValueWhereEmptyIsOne) {
  const auto options = Read({}, {{"HEED_METRICS_ADDRESS", ""}});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->metrics_address, "");
}

TEST(Flags, AVariableThatTheCommandLineOverridesNeedNotMakeSense) {
  const auto options =
      Read({"--max_rows=40", "--address", "localhost:0"}, {{"HEED_MAX_ROWS", "many"}, {"HEED_ADDRESS", "nonsense"}});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->engine.max_rows, 40);
  EXPECT_EQ(options->address, "localhost:0");
}

TEST(Flags, AnEmptyValueOnTheCommandLineIsAValue) {
  EXPECT_EQ(Read({"--max_rows="}).status().message(), "--max_rows is \"\"; it must be a whole number from 1 to 1024");
}

TEST(Flags, WhatWasGivenIsKnownFromWhatIsADefault) {
  const auto options = Read({"--max_queue_bytes=268435456"}, {{"HEED_MAX_UNREAD_BYTES", "1048576"}});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->given, (std::set<std::string>{"max_queue_bytes", "max_unread_bytes"}));
  EXPECT_EQ(options->max_unread_bytes, 1 << 20);
  EXPECT_EQ(options->max_memory, 0);
}

TEST(Flags, TheBoundOfTargetTokensReachesEngineAndAdmission) {
  const auto options = Read({"--max_target_tokens=100"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->engine.max_target_tokens, 100);
  EXPECT_EQ(options->admission.max_target_tokens, 100);
}

struct BadCase {
  const char* name;
  std::vector<std::string> arguments;
  Variables variables;
  const char* message;
};

class BadFlags : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadFlags, AreOneLineThatNamesFlagValueAndBound) {
  const absl::Status status = Read(GetParam().arguments, GetParam().variables).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, BadFlags,
    ::testing::Values(
        BadCase{"Zero", {"--max_rows=0"}, {}, "--max_rows is \"0\"; it must be a whole number from 1 to 1024"},
        BadCase{"NoNumber",
                {"--max_queue=many"},
                {},
                "--max_queue is \"many\"; it must be a whole number from 1 to 1048576"},
        BadCase{"Overflow",
                {"--max_texts=99999999999999999999"},
                {},
                "--max_texts is \"99999999999999999999\"; it must be a whole number from 1 to 1048576"},
        BadCase{"NoUnit",
                {"--drain_time=30"},
                {},
                "--drain_time is \"30\"; it must be a duration such as 30s or 1m30s, from 0 to 24h"},
        BadCase{"Negative",
                {"--default_deadline=-1s"},
                {},
                "--default_deadline is \"-1s\"; it must be a duration such as 30s or 1m30s, from 1ms to 24h"},
        BadCase{"Address",
                {"--address=8500"},
                {},
                "--address is \"8500\"; it must be HOST:PORT with a port from 0 to 65535"},
        BadCase{"Port",
                {"--metrics_address=a:70000"},
                {},
                "--metrics_address is \"a:70000\"; it must be HOST:PORT with a port from 0 to 65535, or empty"},
        BadCase{"TwoAddresses",
                {"--address=127.0.0.1:1,127.0.0.1:2"},
                {},
                "--address is \"127.0.0.1:1,127.0.0.1:2\"; it must be HOST:PORT with a port from 0 to 65535"},
        BadCase{"Newline",
                {},
                {{"HEED_ADDRESS", "127.0.0.1:8500\n"}},
                "HEED_ADDRESS is \"127.0.0.1:8500\\x0a\"; it must be HOST:PORT with a port from 0 to 65535"},
        BadCase{"Choice", {}, {{"HEED_LOG_FORMAT", "xml"}}, "HEED_LOG_FORMAT is \"xml\"; it must be text or json"},
        BadCase{"Unknown", {"--max_rosw=3"}, {}, "unknown flag \"--max_rosw\"; did you mean --max_rows? see --help"},
        BadCase{"UnknownWithDashes",
                {"--drain-tim", "3s"},
                {},
                "unknown flag \"--drain-tim\"; did you mean --drain_time? see --help"},
        BadCase{"UnknownAndNoneNear", {"--xyzzy=3"}, {}, "unknown flag \"--xyzzy\"; see --help"},
        BadCase{"Dashes", {"--max-rows=0"}, {}, "--max_rows is \"0\"; it must be a whole number from 1 to 1024"},
        BadCase{"NoValue", {"--models"}, {}, "--models lacks its value"},
        BadCase{"NoFlag", {"models"}, {}, "unexpected argument \"models\"; see --help"},
        BadCase{"BeamAboveRows", {"--max_rows=8"}, {}, "--max_beam_size is 16; it must be at most --max_rows (8)"},
        BadCase{
            "SegmentsAboveQueue", {"--max_queue=8"}, {}, "--max_segments is 1024; it must be at most --max_queue (8)"},
        BadCase{"ReplyAboveBound",
                {"--max_reply_bytes=1000"},
                {},
                "--default_reply_bytes is 4194304; it must be at most --max_reply_bytes (1000)"},
        BadCase{"KeyMissing", {"--tls_cert=a.pem"}, {}, "--tls_cert and --tls_key go together; only one is given"},
        BadCase{"HttpTlsAlone", {"--http_tls=true"}, {}, "--http_tls is true; it needs --tls_cert and --tls_key"},
        BadCase{"CaAlone", {"--tls_client_ca=a.pem"}, {}, "--tls_client_ca needs --tls_cert and --tls_key"}),
    [](const auto& bad) { return std::string(bad.param.name); });

TEST(Flags, HelpAndVersionAreAskedForNotServed) {
  EXPECT_TRUE(Read({"--help"})->help);
  EXPECT_TRUE(Read({"--version"})->version);
  EXPECT_TRUE(Read({"--help"}, {{"HEED_MAX_ROWS", "many"}}).ok()) << "help is what is needed then";
  EXPECT_THAT(HelpText(), HasSubstr("--max_rows=ROWS  (64)"));
  EXPECT_FALSE(Version().empty());
}

TEST(Flags, AHealthCheckReadsThoseOfTheServerAndKnowsWhetherItWasGivenAnAddress) {
  const auto given = Read({"--health", "--address=localhost:1", "--tls_cert=a", "--tls_key=b"});
  ASSERT_TRUE(given.ok()) << given.status();
  EXPECT_TRUE(given->health);
  EXPECT_TRUE(given->address_given);
  const auto by_variable = Read({"--health"}, {{"HEED_ADDRESS", "localhost:1"}});
  ASSERT_TRUE(by_variable.ok()) << by_variable.status();
  EXPECT_EQ(by_variable->address, "localhost:1");
  EXPECT_FALSE(by_variable->address_given);
}

TEST(Flags, TheDocumentationHasTheTableOfTheCode) {
  std::ifstream file("docs/flags.md");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::vector<std::string> rows = absl::StrSplit(FlagTable(), '\n', absl::SkipEmpty());
  for (const std::string& row : rows) {
    EXPECT_NE(text.find(row + "\n"), std::string::npos) << "docs/flags.md lacks: " << row;
  }
}

}  // namespace
}  // namespace heed
