// The `heed` command as a process: what it leaves on standard error when what answers is no heed server, and a health
// check that is told everything by its environment.
#include "tests/integration/process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "heed/v1/model.grpc.pb.h"
#include "tests/client/fake_server.h"
#include "tests/integration/certificate.h"
#include "tests/support/bundle_folder.h"

namespace heed {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kPage[] = "<html><body>\x1b[31mBad gateway</body></html>";

std::string Frame(int type, int flags, int stream, const std::string& payload) {
  std::string frame = {static_cast<char>(payload.size() >> 16),
                       static_cast<char>(payload.size() >> 8),
                       static_cast<char>(payload.size()),
                       static_cast<char>(type),
                       static_cast<char>(flags),
                       0,
                       0,
                       0,
                       static_cast<char>(stream)};
  return frame + payload;
}

// A web server that answers every request with a page, by HTTP/1 (`status` empty) or by HTTP/2 with that status. One
// connection after the other, on a free port.
class HtmlServer {
 public:
  explicit HtmlServer(std::string status) : status_(std::move(status)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_, 16) != 0 ||
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      std::abort();
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Accept(); });
  }
  ~HtmlServer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  HtmlServer(const HtmlServer&) = delete;
  HtmlServer& operator=(const HtmlServer&) = delete;

  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }

 private:
  void Accept() {
    for (;;) {
      const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) return;
      if (status_.empty()) {
        Send(connection, absl::StrCat("HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: ",
                                      sizeof kPage - 1, "\r\n\r\n", kPage));
      } else {
        Answer(connection);
      }
      close(connection);
    }
  }

  // Until the client hangs up.
  void Answer(int connection) const {
    std::string read(24, '\0');  // the client's preface
    if (!Receive(connection, &read)) return;
    Send(connection, Frame(4, 0, 0, ""));
    for (;;) {
      std::string head(9, '\0');
      if (!Receive(connection, &head)) return;
      const auto byte = [&head](int i) { return static_cast<unsigned char>(head[i]); };
      std::string payload((byte(0) << 16) | (byte(1) << 8) | byte(2), '\0');
      if (!Receive(connection, &payload)) return;
      if (byte(3) == 4 && byte(4) == 0) Send(connection, Frame(4, 1, 0, ""));  // settings
      if (byte(3) != 1) continue;
      // ":status" is the table's entry 8, "content-type" 31 (RFC 7541, appendix A).
      const std::string html = "text/html";
      std::string fields = absl::StrCat("\x08\x03", status_, "\x0f\x10");
      fields += static_cast<char>(html.size()) + html;
      const int stream = byte(8);
      Send(connection, Frame(1, 4, stream, fields) + Frame(0, 1, stream, kPage));
    }
  }

  static bool Receive(int connection, std::string* bytes) {
    for (std::size_t at = 0; at < bytes->size();) {
      const ssize_t got = recv(connection, bytes->data() + at, bytes->size() - at, 0);
      if (got <= 0) return false;
      at += static_cast<std::size_t>(got);
    }
    return true;
  }

  static void Send(int connection, const std::string& bytes) {
    (void)!send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }

  const std::string status_;
  int listener_ = -1;
  int port_ = 0;
  std::thread thread_;
};

struct Ended {
  int code = -1;
  std::string out;
  std::vector<std::string> error_lines;
};

class HeedProcess : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* variable : {"GRPC_VERBOSITY", "GRPC_TRACE"}) unsetenv(variable);
    std::ofstream(texts_) << "one\n";
  }

  static Ended Run(const std::vector<std::string>& arguments, const std::map<std::string, std::string>& environment) {
    Process process(ClientProgram(), arguments, {.environment = environment, .input = "one\n"});
    Ended ended;
    ended.code = process.Wait();
    ended.out = process.output();
    ended.error_lines = absl::StrSplit(process.error(), '\n', absl::SkipEmpty());
    return ended;
  }

  const std::string texts_ = ::testing::TempDir() + "/heed_process_texts";
  const std::vector<std::vector<std::string>> commands_ = {
      {"health"},
      {"models"},
      {"models", "x"},
      {"translate", "one"},
      {"translate", "--stream", "one"},
      {"bench", "--texts=" + texts_, "--connections=1", "--concurrency=1", "--requests=1"},
  };
};

TEST_F(HeedProcess, SaysOneLineWhenAProxyAnswersWithHtml) {
  for (const char* status : {"200", "403", "404"}) {
    const HtmlServer server(status);
    for (const std::vector<std::string>& command : commands_) {
      const Ended ended = Run(command, {{"HEED_ADDRESS", server.address()}});
      EXPECT_NE(ended.code, 0);
      EXPECT_THAT(ended.error_lines, AllOf(SizeIs(1), Each(StartsWith("heed: ")))) << status << " " << command[0];
    }
  }
}

TEST_F(HeedProcess, SaysNothingButItsOwnLinesWhereNobodySpeaksGrpc) {
  for (const char* status : {"", "502"}) {
    const HtmlServer server(status);
    for (const std::vector<std::string>& command : commands_) {
      const Ended ended = Run(command, {{"HEED_ADDRESS", server.address()}, {"HEED_RETRIES", "0"}});
      EXPECT_EQ(ended.code, 5);
      // The second line says which address it was; a third, where it is plain, what answers there.
      EXPECT_THAT(ended.error_lines, AllOf(SizeIs(*status == '\0' ? 3 : 2), Each(StartsWith("heed: "))))
          << status << " " << command[0];
      EXPECT_THAT(absl::StrJoin(ended.error_lines, "\n"), ::testing::Not(HasSubstr("\x1b")));
    }
  }
}

TEST_F(HeedProcess, PrintsWhatGrpcSaysForThoseWhoAskForIt) {
  const HtmlServer server("200");
  const Ended ended = Run({"health"}, {{"HEED_ADDRESS", server.address()}, {"GRPC_VERBOSITY", "error"}});
  EXPECT_GT(ended.error_lines.size(), 1u) << "gRPC says nothing of this answer any more: the test shows nothing";
}

TEST_F(HeedProcess, IsToldTheServersNameByItsEnvironment) {
  const std::string certificate = ::testing::TempDir() + "/heed_process_certificate.pem";
  const std::string key = ::testing::TempDir() + "/heed_process_key.pem";
  WriteSelfSignedCertificate(certificate, key);
  const auto contents = [](const std::string& path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  };
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs.push_back({contents(key), contents(certificate)});
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  v1::ModelService::Service service;
  builder.RegisterService(&service);
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(options), &port);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  ASSERT_NE(server, nullptr);
  // As in a container: the address is the server's own, and so is HEED_TLS_KEY.
  std::map<std::string, std::string> environment = {{"HEED_ADDRESS", absl::StrCat("0.0.0.0:", port)},
                                                    {"HEED_TLS_KEY", key},
                                                    {"HEED_TLS_CA", certificate},
                                                    {"HEED_TIMEOUT", "20s"}};
  EXPECT_EQ(Run({"health"}, environment).code, 5) << "the certificate is of localhost, not of 0.0.0.0";
  environment["HEED_TLS_SERVER_NAME"] = "localhost";
  const Ended told = Run({"health"}, environment);
  EXPECT_EQ(told.code, 0) << absl::StrJoin(told.error_lines, "\n");
  EXPECT_EQ(told.out, "SERVING\n");
  EXPECT_EQ(Run({"health", "--tls_server_name=elsewhere"}, environment).code, 5) << "the command line wins";
  server->Shutdown();
}

TEST_F(HeedProcess, UsesNoProxyForLoopbackAndNamesTheOneThatItUsed) {
  const FakeServer server;
  std::map<std::string, std::string> environment = {{"HEED_ADDRESS", server.address()}, {"HEED_RETRIES", "0"}};
  for (const char* name : {"grpc_proxy", "https_proxy", "http_proxy"})
    environment[name] = "http://u:secret@127.0.0.1:1";
  EXPECT_EQ(Run({"health"}, environment).out, "SERVING\n");
  for (const std::vector<std::string>& command : commands_) {
    if (command[0] == "models") continue;
    EXPECT_EQ(Run(command, environment).code, 0) << command[0];
    if (command[0] == "bench") continue;  // it would wait 5 s for a connection
    environment["HEED_ADDRESS"] = "192.0.2.1:8500";
    const Ended far = Run(command, environment);
    environment["HEED_ADDRESS"] = server.address();
    EXPECT_EQ(far.code, 5);
    const std::string said = absl::StrJoin(far.error_lines, "\n");
    EXPECT_THAT(said, HasSubstr("proxy http://127.0.0.1:1, which grpc_proxy names"));
    EXPECT_THAT(said, ::testing::Not(HasSubstr("secret")));
  }
}

// A named pipe that this test keeps open, into `heed`.
class HeedPiped : public HeedProcess {
 protected:
  HeedPiped() {
    EXPECT_EQ(mkfifo(fifo_.c_str(), 0600), 0);
    writer_ = open(fifo_.c_str(), O_RDWR | O_CLOEXEC);  // opening it for writing alone waits for a reader
  }
  ~HeedPiped() override { close(writer_); }

  void Write(const std::string& bytes) const {
    EXPECT_EQ(write(writer_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }

  const FakeServer server_;
  const TempFolder folder_;
  const std::string fifo_ = folder_.path() + "/pipe";
  const std::map<std::string, std::string> environment_ = {{"HEED_ADDRESS", server_.address()}};
  int writer_ = -1;
};

TEST_F(HeedPiped, CtrlCEndsItAndLeavesWhatWasAnswered) {
  Process heed(ClientProgram(), {"translate", "--file=" + fifo_}, {.environment = environment_});
  Write("one\n");
  EXPECT_TRUE(WaitUntil([&heed] { return heed.output() == "ONE\n"; })) << heed.error();
  heed.Signal(SIGINT);
  EXPECT_EQ(heed.Wait(), 128 + SIGINT);
  EXPECT_EQ(heed.output(), "ONE\n");
  EXPECT_EQ(heed.error(), "");
}

// The input stays open: that nobody reads any more is seen without another line.
TEST_F(HeedPiped, ItEndsWhenNobodyReadsItsOutputAnyMore) {
  Process shell("/bin/sh", {"-c", absl::StrCat(ClientProgram(), " translate --file=", fifo_, " | head -n 1")},
                {.environment = environment_});
  Write("one\n");
  EXPECT_EQ(shell.Wait(), 0);
  EXPECT_EQ(shell.output(), "ONE\n");
  EXPECT_EQ(shell.error(), "");
}

}  // namespace
}  // namespace heed
