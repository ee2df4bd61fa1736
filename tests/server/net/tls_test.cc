#include "server/net/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tests/server/net/server_fixture.h"
#include "tests/server/net/test_certificates.h"

namespace heed {
namespace {

using ::testing::HasSubstr;

// A client that trusts everybody and says what it was shown.
class TlsClient {
 public:
  TlsClient(int port, const std::string& alpn, const TestCertificate* own = nullptr, const std::string& first = "",
            int room = 0)
      : socket_(port, room), context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free) {
    socket_.Send(first);
    ssl_ = {SSL_new(context_.get()), SSL_free};
    if (!alpn.empty()) {
      const std::string list = static_cast<char>(alpn.size()) + alpn;
      SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(list.data()),
                          static_cast<unsigned>(list.size()));
    }
    if (own != nullptr) {
      SSL_use_certificate(ssl_.get(), own->certificate.get());
      SSL_use_PrivateKey(ssl_.get(), own->key.get());
    }
    SSL_set_fd(ssl_.get(), socket_.fd());
    ERR_clear_error();
    connected_ = SSL_connect(ssl_.get()) == 1;
  }
  bool connected() const { return connected_; }
  // The server's certificate's.
  std::string name() const {
    const std::unique_ptr<X509, void (*)(X509*)> shown(SSL_get1_peer_certificate(ssl_.get()), X509_free);
    return shown == nullptr ? "" : IdentityOf(shown.get());
  }
  bool Send(const std::string& bytes) {
    return SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) > 0;
  }
  std::string Read(std::size_t size) {
    std::string bytes;
    while (bytes.size() < size) {
      std::string piece(size - bytes.size(), '\0');
      const int count = SSL_read(ssl_.get(), piece.data(), static_cast<int>(piece.size()));
      if (count <= 0) break;
      bytes.append(piece, 0, static_cast<std::size_t>(count));
    }
    return bytes;
  }
  bool Echoes() { return Send("hello\n") && Read(6) == "hello\n"; }
  std::string Who() {
    Send("who\n");
    std::string line;
    while (line.empty() || line.back() != '\n') {
      const std::string byte = Read(1);
      if (byte.empty()) break;
      line += byte;
    }
    return line;
  }
  TestClient& socket() { return socket_; }

 private:
  TestClient socket_;
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_;
  std::unique_ptr<SSL, void (*)(SSL*)> ssl_{nullptr, SSL_free};
  bool connected_ = false;
};

class TlsTest : public SocketServerTest {
 protected:
  TlsTest() {
    signal(SIGPIPE, SIG_IGN);  // as the server does: OpenSSL writes where nobody reads any more
    std::string folder = testing::TempDir() + "heed_tls_XXXXXX";
    folder_ = mkdtemp(folder.data());
    files_ = {.cert = folder_ + "/cert.pem", .key = folder_ + "/key.pem"};
    WriteServer("first.example");
  }
  void WriteServer(const std::string& name) {
    WriteTestCertificate(MakeTestCertificate("server", "DNS:" + name), files_.cert, files_.key);
  }
  void TrustClients() {
    files_.client_ca = folder_ + "/ca.pem";
    WriteTestCertificate(authority_, files_.client_ca, "");
  }
  void Begin() {
    tls_ = *TlsContext::Read(files_, "h2", [this](const absl::Status& status) {
      absl::MutexLock lock(&mu_);
      told_.push_back(status);
    });
    Start(tls_.get());
  }
  std::vector<absl::Status> told() {
    absl::MutexLock lock(&mu_);
    return told_;
  }
  ~TlsTest() override { std::system(("rm -rf " + folder_).c_str()); }

  std::string folder_;
  TlsFiles files_;
  const TestCertificate authority_ = MakeTestCertificate("authority", "");
  std::unique_ptr<TlsContext> tls_;
  absl::Mutex mu_;
  std::vector<absl::Status> told_ ABSL_GUARDED_BY(mu_);
};

TEST_F(TlsTest, SpeaksAndSaysSo) {
  Begin();
  TlsClient client(port(), "h2");
  ASSERT_TRUE(client.connected());
  EXPECT_EQ(client.name(), "first.example");
  EXPECT_TRUE(client.Echoes());
  EXPECT_THAT(client.Who(), HasSubstr("  tls\n"));
}

TEST_F(TlsTest, LargeOutputsComeWholeAndLargeInputsToo) {
  Begin();
  TlsClient client(port(), "h2");
  ASSERT_TRUE(client.connected());
  client.Send("large 5000000\n");
  EXPECT_EQ(client.Read(5'000'000), std::string(5'000'000, 'x'));
  const std::string line = std::string(100'000, 'y') + "\n";
  ASSERT_TRUE(client.Send(line));
  EXPECT_EQ(client.Read(line.size()), line);
}

TEST_F(TlsTest, AClientOfAnotherProtocolIsSentAway) {
  Begin();
  EXPECT_FALSE(TlsClient(port(), "http/1.1").connected());
  EXPECT_TRUE(Await([&] { return faults("tls") == 1; }));
  EXPECT_TRUE(TlsClient(port(), "").connected()) << "one that says nothing is believed";
}

TEST_F(TlsTest, PlainBytesAreSentAway) {
  Begin();
  TestClient client(port());
  client.Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  client.Read(100);  // an alert
  EXPECT_TRUE(client.AtEnd());
  EXPECT_TRUE(Await([&] { return faults("tls") == 1; }));
}

TEST_F(TlsTest, OneThatSaysNothingIsClosedInTime) {
  options_.handshake_time = absl::Milliseconds(20);
  Begin();
  TestClient client(port());
  EXPECT_TRUE(client.AtEnd());
  EXPECT_TRUE(Await([&] { return faults("handshake_time") == 1; }));
}

TEST_F(TlsTest, TheProxysHeaderComesBeforeTheHandshake) {
  options_.proxies = *AddressSet::Parse("127.0.0.1");
  Begin();
  TlsClient client(port(), "h2", nullptr, "PROXY TCP4 192.0.2.1 198.51.100.1 8080 80\r\n");
  ASSERT_TRUE(client.connected());
  EXPECT_EQ(client.Who(), "192.0.2.1 8080  tls\n");
}

TEST_F(TlsTest, APeerThatTakesNothingIsClosedInTime) {
  options_.stalled_time = absl::Milliseconds(50);
  Begin();
  TlsClient client(port(), "h2", nullptr, "", 64 << 10);
  ASSERT_TRUE(client.connected());
  client.Send("large 100000000\n");
  EXPECT_TRUE(Await([&] { return faults("stalled_time") == 1; }));
}

TEST_F(TlsTest, ClientsMustShowACertificateOfTheAuthority) {
  TrustClients();
  Begin();
  const TestCertificate good = MakeTestCertificate("client", "", &authority_);
  TlsClient known(port(), "h2", &good);
  ASSERT_TRUE(known.connected());
  EXPECT_THAT(known.Who(), HasSubstr(" client tls\n"));
  const TestCertificate other = MakeTestCertificate("other", "");
  const TestCertificate bad = MakeTestCertificate("client", "", &other);
  TlsClient stranger(port(), "h2", &bad);  // TLS 1.3 tells it later
  EXPECT_FALSE(stranger.connected() && stranger.Echoes());
  TlsClient nobody(port(), "h2");
  EXPECT_FALSE(nobody.connected() && nobody.Echoes());
  EXPECT_TRUE(Await([&] { return faults("tls") == 2; }));
}

TEST(IdentityOf, IsTheFirstUriElseNameElseAddressElseTheCommonName) {
  const auto identity = [](const std::string& common_name, const std::string& alt_names) {
    return IdentityOf(MakeTestCertificate(common_name, alt_names).certificate.get());
  };
  EXPECT_EQ(identity("common", "email:a@b.example,DNS:one.example,URI:spiffe://a/b,URI:spiffe://c/d"), "spiffe://a/b");
  EXPECT_EQ(identity("common", "email:a@b.example,DNS:one.example,DNS:two.example"), "one.example");
  EXPECT_EQ(identity("common", "IP:192.0.2.1,email:a@b.example"), "a@b.example");
  EXPECT_EQ(identity("common", "IP:192.0.2.1"), "common");
  EXPECT_EQ(identity("\xc3\xa4", ""), "\xc3\xa4");
  EXPECT_EQ(identity("", ""), "");
}

TEST_F(TlsTest, FilesThatChangeAreUsedForTheNextConnection) {
  Begin();
  TlsClient before(port(), "h2");
  ASSERT_TRUE(before.connected());
  WriteServer("second.example");
  std::string name;
  for (int i = 0; i < 100'000 && name != "second.example"; ++i) name = TlsClient(port(), "h2").name();
  EXPECT_EQ(name, "second.example");
  EXPECT_TRUE(before.Echoes()) << "those that there are go on";
  for (const absl::Status& status : told()) EXPECT_TRUE(status.ok()) << status;
}

TEST_F(TlsTest, BadFilesAreKeptOutWithAWord) {
  Begin();
  WriteTestCertificate(MakeTestCertificate("server", "DNS:other.example"), files_.cert, "");  // its key is missing
  tls_->Reload();
  ASSERT_EQ(told().size(), 1);
  EXPECT_THAT(std::string(told()[0].message()), HasSubstr("private key of --tls_cert"));
  TlsClient client(port(), "h2");
  ASSERT_TRUE(client.connected());
  EXPECT_EQ(client.name(), "first.example");
  std::ofstream(files_.cert) << "no certificate";
  tls_->Reload();
  ASSERT_EQ(told().size(), 2);
  EXPECT_THAT(std::string(told()[1].message()), HasSubstr("--tls_cert is "));
  WriteServer("third.example");
  tls_->Reload();
  ASSERT_EQ(told().size(), 3);
  EXPECT_TRUE(told()[2].ok());
  EXPECT_EQ(TlsClient(port(), "h2").name(), "third.example");
}

TEST_F(TlsTest, MistakesAreOneLineAtTheStart) {
  const auto message = [](const TlsFiles& files) {
    return std::string(TlsContext::Read(files, "h2", nullptr).status().message());
  };
  TlsFiles files = files_;
  files.cert = folder_ + "/none.pem";
  EXPECT_EQ(message(files), "--tls_cert is " + files.cert + "; it must be a readable PEM file");
  files = files_;
  files.key = files_.cert;
  EXPECT_EQ(message(files), "--tls_key is " + files.key + "; it must be a PEM private key without a password");
  files = files_;
  files.client_ca = files_.key;
  EXPECT_EQ(message(files), "--tls_client_ca is " + files.key + "; it must be a PEM certificate");
}

}  // namespace
}  // namespace heed
