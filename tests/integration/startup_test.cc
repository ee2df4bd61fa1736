// Starts that must fail with one line, and the start with TLS. docs/errors.md has a row for each failure.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/integration/certificate.h"
#include "tests/integration/running_server.h"
#include "tests/integration/small_models.h"
#include "tests/support/test_models.h"

namespace heed {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A port that is taken for as long as this lives.
class TakenPort {
 public:
  TakenPort() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(socket_, 1), 0);
    EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    address_ = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
  }
  ~TakenPort() { close(socket_); }

  const std::string& address() const { return address_; }

 private:
  const int socket_;
  std::string address_;
};

class Startup : public ::testing::Test {
 protected:
  Startup() { WriteLuong(models_.path(), "luong"); }

  // Runs a server that is expected to give up. The last line is what it says to a person, "heed-server: " left out;
  // log lines, in JSON, come before.
  void ExpectFailure(const std::vector<std::string>& flags, int code) {
    std::vector<std::string> arguments = {"--address=127.0.0.1:0", "--metrics_address=127.0.0.1:0",
                                          "--log_format=json"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Finished finished = RunProgram(ServerProgram(), arguments);
    EXPECT_EQ(finished.code, code);
    EXPECT_EQ(finished.out, "");
    const std::vector<std::string> lines = absl::StrSplit(finished.err, '\n', absl::SkipEmpty());
    ASSERT_FALSE(lines.empty());
    for (std::size_t i = 0; i + 1 < lines.size(); ++i) EXPECT_FALSE(ParseLogLine(lines[i]).empty()) << lines[i];
    ASSERT_THAT(lines.back(), StartsWith("heed-server: "));
    said_ = lines.back().substr(std::string("heed-server: ").size());
  }

  std::string ModelsFlag() const { return "--models=" + models_.path(); }

  TempFolder models_;
  std::string said_;
};

TEST_F(Startup, APortInUseEndsItWithOneLine) {
  const TakenPort taken;
  ExpectFailure({ModelsFlag(), "--address=" + taken.address()}, 1);
  EXPECT_EQ(said_, absl::StrCat("cannot listen on --address ", taken.address(), ": Address already in use"));
}

TEST_F(Startup, AMetricsPortInUseEndsItWithOneLine) {
  const TakenPort taken;
  ExpectFailure({ModelsFlag(), "--metrics_address=" + taken.address()}, 1);
  EXPECT_THAT(said_, StartsWith(absl::StrCat("cannot listen on --metrics_address ", taken.address())));
}

TEST_F(Startup, APortOfAnotherServerIsInUse) {
  RunningServer first(models_.path());
  ExpectFailure({ModelsFlag(), "--address=" + first.address()}, 1);
  EXPECT_EQ(said_, absl::StrCat("cannot listen on --address ", first.address(), ": Address already in use"));
  EXPECT_EQ(first.caller().Health(), "SERVING");
}

TEST_F(Startup, AMissingModelsFolderEndsItWithOneLine) {
  ExpectFailure({"--models=/nowhere/models"}, 1);
  EXPECT_EQ(said_, "models folder /nowhere/models: No such file or directory");
}

TEST_F(Startup, AnEmptyModelsFolderEndsItWithOneLine) {
  const TempFolder empty;
  ExpectFailure({"--models=" + empty.path()}, 1);
  EXPECT_EQ(said_, absl::StrCat("models folder ", empty.path(), ": holds no bundle (a folder with a model.json)"));
}

TEST_F(Startup, AModelsFolderWithoutAGoodBundleEndsItWithTheReasons) {
  const TempFolder models;
  BundleFileMap files = LuongFiles("luong");
  files["weights.safetensors"].resize(1000);
  WriteBundleFolder(models.path() + "/cut", files);
  ExpectFailure({"--models=" + models.path()}, 1);
  EXPECT_THAT(said_, StartsWith(absl::StrCat("models folder ", models.path(),
                                             ": no bundle loads: cut: weights.safetensors: ")));
}

TEST_F(Startup, ABadFlagEndsItWithOneLine) {
  ExpectFailure({ModelsFlag(), "--max_rows=0"}, 2);
  EXPECT_EQ(said_, "--max_rows is \"0\"; it must be a whole number from 1 to 1024");
  ExpectFailure({ModelsFlag(), "--beams=3"}, 2);
  EXPECT_EQ(said_, "unknown flag \"--beams\"; see --help");
  ExpectFailure({ModelsFlag(), "--max-row=3"}, 2);
  EXPECT_EQ(said_, "unknown flag \"--max-row\"; did you mean --max_rows? see --help");
}

TEST_F(Startup, AModelsFolderThatIsABundleIsServed) {
  for (const char* end : {"/luong", "/luong/", "/luong/."}) {
    RunningServer server(models_.path() + end);
    EXPECT_TRUE(server.caller().Translate(TranslateTexts({"안녕"}, "luong")).ok());
    const Finished listed = server.Heed({"models", "--output=json"});
    EXPECT_THAT(listed.out, HasSubstr("\"folder\": \"luong\"")) << listed.err;
  }
}

TEST_F(Startup, AMistypedVariableIsInTheLog) {
  RunningServer server(models_.path(), {"--max-rows=32"}, {{"HEED_MAX_QUEU", "9"}, {"HEED_TIMEOUT", "1s"}});
  std::vector<std::string> said;
  for (LogEvent& event : server.Log()) {
    if (event["event"] == "unknown_variable") said.push_back(event["level"] + event["name"] + ">" + event["nearest"]);
  }
  EXPECT_THAT(said, ::testing::ElementsAre("warningHEED_MAX_QUEU>HEED_MAX_QUEUE"));
}

TEST_F(Startup, VerifyOfAFolderOfBundlesNamesOneOfThem) {
  const Finished whole = RunProgram(ServerProgram(), {"verify", models_.path()});
  EXPECT_EQ(whole.code, 2);
  EXPECT_EQ(whole.err, absl::StrCat("heed-server: \"", models_.path(), "\" holds bundles; give one of them, such as \"",
                                    models_.path(), "/luong\"\n"));
}

TEST_F(Startup, HelpIsGivenHoweverItIsAskedFor) {
  for (const std::vector<std::string>& ask :
       {std::vector<std::string>{"--help"}, {"-h"}, {"help"}, {"--max_rows=3", "--help"}}) {
    const Finished help = RunProgram(ServerProgram(), ask);
    EXPECT_EQ(help.code, 0) << help.err;
    EXPECT_THAT(help.out, HasSubstr("Usage: heed-server"));
  }
  for (const std::vector<std::string>& ask : {std::vector<std::string>{"verify", "--help"},
                                              {"verify", "-h"},
                                              {"verify", "/nowhere", "--help"},
                                              {"help", "verify"},
                                              {"--help", "verify"}}) {
    const Finished help = RunProgram(ServerProgram(), ask);
    EXPECT_EQ(help.code, 0) << help.err;
    EXPECT_THAT(help.out, StartsWith("heed-server verify FOLDER"));
  }
}

TEST_F(Startup, AnAddressWithAnythingElseInItEndsItWithOneLine) {
  ExpectFailure({ModelsFlag(), "--address=127.0.0.1:1,127.0.0.1:2"}, 2);
  EXPECT_EQ(said_, "--address is \"127.0.0.1:1,127.0.0.1:2\"; it must be HOST:PORT with a port from 0 to 65535");
  ExpectFailure({ModelsFlag(), "--metrics_address=127.0.0.1:9500\n"}, 2);
  EXPECT_EQ(said_,
            "--metrics_address is \"127.0.0.1:9500\\x0a\"; it must be HOST:PORT with a port from 0 to 65535, or empty");
}

TEST_F(Startup, OneBadBundleAmongGoodOnesIsReportedAndTheGoodOnesServe) {
  BundleFileMap cut = LuongFiles("cut");
  cut["weights.safetensors"].resize(cut["weights.safetensors"].size() - 1);
  WriteBundleFolder(models_.path() + "/cut", cut);
  BundleFileMap tampered = LuongFiles("tampered");
  const std::string sums = SumsOf(tampered);
  tampered["LICENSE"] += "and more";
  tampered["SHA256SUMS"] = sums;
  WriteBundleFolder(models_.path() + "/tampered", tampered);
  // Neither is a bundle, so neither is a fault.
  std::filesystem::create_directory(models_.path() + "/.cache");

  RunningServer server(models_.path());
  EXPECT_TRUE(server.caller().Translate(TranslateTexts({"안녕"})).ok());
  EXPECT_EQ(server.Metric("heed_models_failed"), 2);
  const Finished listed = server.Heed({"models"});
  EXPECT_EQ(listed.code, 0) << listed.err;
  const std::vector<std::string> lines = absl::StrSplit(listed.out, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 4U) << listed.out;
  EXPECT_THAT(lines[0], StartsWith("NAME"));
  EXPECT_THAT(lines[1], StartsWith("luong"));
  EXPECT_THAT(lines[2], StartsWith("failed to load: cut: weights.safetensors: "));
  EXPECT_THAT(lines[3], StartsWith("failed to load: tampered: LICENSE: "));

  const TranslateAnswer answer = server.caller().Translate(TranslateTexts({"안녕"}, "cut"));
  EXPECT_EQ(
      answer.ToString(),
      "NOT_FOUND: no translation model is called \"cut\" (its bundle failed to load; ListModels says why); served: "
      "luong 1 (ko to en)");
  const std::vector<LogEvent> log = server.Log();
  EXPECT_EQ(std::count_if(log.begin(), log.end(), [](const LogEvent& e) { return e.at("event") == "model_failed"; }),
            2);
}

BundleFileMap HugeFiles(int doublings) {
  BundleFileMap files = LuongFiles("huge");
  BundleBuilder builder = Doubling(doublings, {.source_vocabulary = 380, .target_vocabulary = 380, .embedding = 32});
  builder.spec().set_name("huge");
  return FilesOfBundle(builder.Build(), {{"source.spm", files["source.spm"]}, {"target.spm", files["target.spm"]}});
}

// A few kilobytes on disk, gigabytes in an engine.
TEST_F(Startup, ABundleThatTakesTooMuchMemoryIsListedWithTheSumAndTheGoodOnesServe) {
  WriteBundleFolder(models_.path() + "/huge", HugeFiles(15));
  RunningServer server(models_.path(), {"--max_memory=1073741824"});
  EXPECT_TRUE(server.caller().Translate(TranslateTexts({"안녕"})).ok());
  EXPECT_EQ(server.Metric("heed_models_failed"), 1);
  EXPECT_THAT(server.Heed({"models"}).out,
              ::testing::ContainsRegex("failed to load: huge: needs [0-9]+ bytes of memory, more than the bound of "
                                       "[0-9]+: weights [0-9]+, tokenizers [0-9]+, texts [0-9]+, [0-9]+ engines of "
                                       "[0-9]+, or while it is loaded [0-9]+"));
}

// The account has room for it, the system has not.
TEST_F(Startup, ABundleThatTheSystemHasNoMemoryForIsListedAndTheGoodOnesServe) {
  WriteBundleFolder(models_.path() + "/huge", HugeFiles(14));
  Process server("/bin/sh", {"-c", absl::StrCat("ulimit -v 3000000; exec ", ServerProgram(),
                                                " --address=127.0.0.1:0 --metrics_address= --workers=1 "
                                                "--max_memory=100000000000 --models=",
                                                models_.path())});
  ASSERT_TRUE(server.WaitForErrorLine([](const std::string& line) { return absl::StrContains(line, "info serving"); }))
      << server.error();
  EXPECT_THAT(server.error(),
              ::testing::HasSubstr("model_failed folder=huge reason=\"the system has no memory for it\""));
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0);
}

// One engine can be made while the bundle is loaded, one for every worker cannot.
TEST_F(Startup, AWorkerWithoutMemoryForItsEngineEndsItWithOneLine) {
  WriteBundleFolder(models_.path() + "/huge", HugeFiles(13));
  const Finished finished =
      RunProgram("/bin/sh", {"-c", absl::StrCat("ulimit -v 4000000; exec ", ServerProgram(),
                                                " --address=127.0.0.1:0 --metrics_address= --workers=8 "
                                                "--max_memory=100000000000 --models=",
                                                models_.path())});
  EXPECT_EQ(finished.code, 1);
  const std::vector<std::string> lines = absl::StrSplit(finished.err, '\n', absl::SkipEmpty());
  ASSERT_FALSE(lines.empty());
  EXPECT_EQ(lines.back(), "heed-server: model huge: no engine for a worker: the system has no memory for it");
}

TEST_F(Startup, PartsThatDoNotFitTheMemoryEndItWithTheSumAndThoseThatDoAreShown) {
  ExpectFailure({ModelsFlag(), "--max_memory=1073741824", "--max_request_bytes=1073741824"}, 1);
  EXPECT_THAT(said_, ::testing::MatchesRegex(
                         "memory: [0-9]+ bytes are needed, more than the 1073741824 of --max_memory: models 0, work "
                         "1073741824 \\(--max_request_bytes\\), queue at least 16777216 .*, other [0-9]+"));
  RunningServer server(models_.path(), {"--max_memory=1073741824", "--max_queue_bytes=100000000"});
  EXPECT_EQ(server.Metric("heed_memory_limit_bytes{part=\"queue\"}"), 100000000);
  EXPECT_EQ(server.Metric("heed_queue_bytes_limit"), 100000000);
  const double work = server.Metric("heed_memory_limit_bytes{part=\"work\"}");
  EXPECT_EQ(server.Metric("heed_leased_bytes_limit"), work);
  double sum = 0;
  for (const char* part : {"models", "work", "queue", "transport", "unread", "other", "spare"}) {
    sum += server.Metric(absl::StrCat("heed_memory_limit_bytes{part=\"", part, "\"}"));
  }
  EXPECT_EQ(sum, 1073741824);
  const std::vector<LogEvent> log = server.Log();
  const auto memory = std::find_if(log.begin(), log.end(), [](const LogEvent& e) { return e.at("event") == "memory"; });
  ASSERT_NE(memory, log.end());
  EXPECT_EQ(memory->at("from"), "--max_memory");
  EXPECT_EQ(memory->at("work"), absl::StrCat(work));
}

// Neither a model card nor a folder's name makes a reply that clients cannot parse.
TEST_F(Startup, ACardAndAFolderThatAreNotUtf8LeaveEveryReplyReadable) {
  BundleFileMap card = LuongFiles("card");
  card["README.md"] = "Mod\xE8le";
  WriteBundleFolder(models_.path() + "/card", card);
  WriteBundleFolder(models_.path() + "/mod\xE8le", LuongFiles("latin"));
  RunningServer server(models_.path());
  const Finished listed = server.Heed({"models"});
  EXPECT_EQ(listed.code, 0) << listed.err;
  EXPECT_THAT(listed.out, ::testing::HasSubstr("failed to load: card: README.md: is not valid UTF-8"));
  EXPECT_THAT(listed.out, ::testing::HasSubstr("latin"));
  EXPECT_EQ(server.Heed({"models", "latin"}).code, 0);
}

TEST_F(Startup, WithTlsClientsThatTrustTheCertificateAreServed) {
  const TempFolder keys;
  const std::string cert = keys.path() + "/cert.pem", key = keys.path() + "/key.pem";
  WriteSelfSignedCertificate(cert, key);
  RunningServer server(models_.path(), {"--tls_cert=" + cert, "--tls_key=" + key});
  const Finished trusted = server.Heed({"health", "--tls_ca=" + cert});
  EXPECT_EQ(trusted.out, "SERVING\n") << trusted.err;
  EXPECT_EQ(trusted.code, 0);
  EXPECT_EQ(server.Heed({"translate", "--tls_ca=" + cert, "안녕"}).code, 0);
  const Finished plain = server.Heed({"health"});
  EXPECT_EQ(plain.code, 5) << plain.out;
  EXPECT_THAT(plain.err, HasSubstr("heed:   it speaks TLS: use --tls, or --tls_ca=FILE")) << plain.err;
  const Finished metrics = RunProgram(
      ClientProgram(), {"health", absl::StrCat("--address=127.0.0.1:", server.metrics_port()), "--retries=0"});
  EXPECT_THAT(metrics.err, HasSubstr("heed:   it speaks HTTP/1 and no gRPC"));
  const Finished untrusting = server.Heed({"health", "--tls"});
  EXPECT_EQ(untrusting.code, 5) << untrusting.out;
  EXPECT_THAT(untrusting.err, HasSubstr("heed:   --tls_ca=FILE says whom to trust")) << untrusting.err;
  RunningServer clear(models_.path());
  const Finished encrypting = clear.Heed({"health", "--tls_ca=" + cert});
  EXPECT_EQ(encrypting.code, 5) << encrypting.out;
  EXPECT_THAT(encrypting.err, HasSubstr("heed:   it speaks without TLS: leave out --tls")) << encrypting.err;
}

TEST_F(Startup, WithAClientCaOnlyClientsWithACertificateAreServed) {
  const TempFolder keys;
  const std::string cert = keys.path() + "/cert.pem", key = keys.path() + "/key.pem";
  WriteSelfSignedCertificate(cert, key);
  RunningServer server(models_.path(), {"--tls_cert=" + cert, "--tls_key=" + key, "--tls_client_ca=" + cert});
  EXPECT_EQ(server.Heed({"health", "--tls_ca=" + cert}).code, 5);
  EXPECT_EQ(server.Heed({"health", "--tls_ca=" + cert, "--tls_certificate=" + cert, "--tls_key=" + key}).code, 0);
}

TEST_F(Startup, TlsFilesThatAreNoneEndItWithOneLine) {
  ExpectFailure({ModelsFlag(), "--tls_cert=/nowhere/cert.pem", "--tls_key=/nowhere/key.pem"}, 1);
  EXPECT_EQ(said_, "--tls_cert is /nowhere/cert.pem; it must be a readable PEM file");
  ExpectFailure({ModelsFlag(), "--tls_cert=/nowhere/cert.pem"}, 2);
  EXPECT_EQ(said_, "--tls_cert and --tls_key go together; only one is given");
}

TEST_F(Startup, ATlsKeyThatIsNotTheCertificatesEndsItWithOneLine) {
  const TempFolder keys;
  const std::string cert = keys.path() + "/cert.pem", key = keys.path() + "/key.pem";
  const std::string other_cert = keys.path() + "/other.pem", other_key = keys.path() + "/other-key.pem";
  WriteSelfSignedCertificate(cert, key);
  WriteSelfSignedCertificate(other_cert, other_key);
  ExpectFailure({ModelsFlag(), "--tls_cert=" + cert, "--tls_key=" + other_key}, 1);
  EXPECT_EQ(said_, absl::StrCat("--tls_key is ", other_key, "; it must be the private key of --tls_cert ", cert));
  ExpectFailure({ModelsFlag(), "--tls_cert=" + cert, "--tls_key=" + cert}, 1);
  EXPECT_EQ(said_, absl::StrCat("--tls_key is ", cert, "; it must be a PEM private key without a password"));
  ExpectFailure({ModelsFlag(), "--tls_cert=" + key, "--tls_key=" + key}, 1);
  EXPECT_EQ(said_, absl::StrCat("--tls_cert is ", key, "; it must be a PEM certificate"));
  ExpectFailure({ModelsFlag(), "--tls_cert=" + cert, "--tls_key=" + key, "--tls_client_ca=" + key}, 1);
  EXPECT_EQ(said_, absl::StrCat("--tls_client_ca is ", key, "; it must be a PEM certificate"));
}

TEST_F(Startup, AHostThatIsNotKnownEndsItWithOneLine) {
  ExpectFailure({ModelsFlag(), "--address=no.such.host.invalid:0"}, 1);
  EXPECT_THAT(said_, StartsWith("cannot listen on --address no.such.host.invalid:0: "));
}

// A server that may open few files says that it takes fewer connections, and serves.
TEST_F(Startup, FewFilesMeanFewConnections) {
  rlimit usual = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &usual), 0);
  RunningServer server(models_.path(), {"--max_connections=1048576"});
  const double limit = server.Metric("heed_connections_limit");
  constexpr int kOthers = 64 + 128;  // the server's own files, and monitoring's connections
  if (usual.rlim_max >= 1048576 + kOthers) {
    EXPECT_EQ(limit, 1048576);
  } else {
    EXPECT_EQ(limit, static_cast<double>(usual.rlim_max) - kOthers);
  }
  EXPECT_EQ(server.caller().Health(), "SERVING");
}

}  // namespace
}  // namespace heed
