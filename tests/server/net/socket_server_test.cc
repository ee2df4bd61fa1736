#include "server/net/socket_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/server/net/server_fixture.h"

namespace heed {
namespace {

using ::testing::IsEmpty;

TEST_F(SocketServerTest, SpeaksAndCounts) {
  Start();
  {
    TestClient client(port());
    EXPECT_TRUE(client.Echoes());
    client.Send("who\n");
    EXPECT_EQ(client.Read(9), "127.0.0.1");
    EXPECT_EQ(counts_->stats().open, 1);
  }
  EXPECT_TRUE(AwaitNone());
  EXPECT_THAT(counts_->stats().faults, IsEmpty());
}

TEST_F(SocketServerTest, WakesItsProtocolWhenAsked) {
  Start();
  TestClient client(port());
  client.Send("wake\n");
  EXPECT_EQ(client.Read(5), "time\n");
}

TEST_F(SocketServerTest, LargeOutputsComeWhole) {
  Start();
  TestClient client(port());
  client.Send("large 20000000\n");
  const std::string large = client.Read(20'000'000);
  EXPECT_EQ(large.size(), 20'000'000U);
  EXPECT_EQ(large.find_first_not_of('x'), std::string::npos);
  EXPECT_TRUE(client.Echoes());
}

TEST_F(SocketServerTest, OverTheBoundOneMoreIsClosed) {
  limit_ = 2;
  Start();
  TestClient first(port());
  TestClient second(port());
  ASSERT_TRUE(first.Echoes());
  ASSERT_TRUE(second.Echoes());
  TestClient third(port());
  EXPECT_TRUE(third.AtEnd());
  EXPECT_EQ(counts_->stats().refused, 1);
  EXPECT_TRUE(first.Echoes());
}

TEST_F(SocketServerTest, OverTheBoundTheLongestSilentOneGoesWhereThatIsAsked) {
  limit_ = 2;
  options_.close_silent = true;
  Start();
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<TestClient>(port()));
    ASSERT_TRUE(clients.back()->Echoes());
    ASSERT_LE(counts_->stats().open, 3) << "the bound, and one that is on its way out";
  }
  EXPECT_TRUE(clients[0]->AtEnd());
  EXPECT_TRUE(clients[18]->Echoes()) << "of two, the one that spoke last stays";
  TestClient more(port());
  ASSERT_TRUE(more.Echoes());
  EXPECT_TRUE(clients[19]->AtEnd());
  EXPECT_TRUE(clients[18]->Echoes());
}

TEST_F(SocketServerTest, AProxysClientsAreCountedByTheirOwnAddress) {
  per_address_ = 1;
  options_.proxies = *AddressSet::Parse("127.0.0.0/8");
  Start();
  TestClient first(port());
  first.Send("PROXY TCP4 192.0.2.1 198.51.100.1 8080 80\r\nwho\n");
  EXPECT_EQ(first.Read(22), "192.0.2.1 8080  plain\n");
  TestClient second(port());
  second.Send("PROXY TCP4 192.0.2.1 198.51.100.1 8081 80\r\nwho\n");
  EXPECT_TRUE(second.AtEnd());
  EXPECT_TRUE(Await([&] { return faults("address_connections") == 1; }));
  TestClient third(port());
  third.Send("PROXY TCP4 192.0.2.2 198.51.100.1 8081 80\r\nwho\n");
  EXPECT_EQ(third.Read(22), "192.0.2.2 8081  plain\n");
  TestClient own(port());
  own.Send("PROXY UNKNOWN\r\nwho\n");
  EXPECT_EQ(own.Read(9), "127.0.0.1");
}

TEST_F(SocketServerTest, AProxyHeaderMayComeByteByByte) {
  options_.proxies = *AddressSet::Parse("127.0.0.1");
  Start();
  TestClient client(port());
  const int one = 1;
  setsockopt(client.fd(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  for (const char c : std::string("PROXY TCP4 192.0.2.1 198.51.100.1 8080 80\r\nwho\n")) client.Send(std::string(1, c));
  EXPECT_EQ(client.Read(22), "192.0.2.1 8080  plain\n");
}

TEST_F(SocketServerTest, WithoutItsHeaderAProxysConnectionIsClosed) {
  options_.proxies = *AddressSet::Parse("127.0.0.1");
  Start();
  TestClient client(port());
  client.Send("hello\n");
  EXPECT_TRUE(client.AtEnd());
  EXPECT_TRUE(Await([&] { return faults("proxy_header") == 1; }));
}

// The end behind half a header is seen when it comes, and not looked for again and again until its time is up.
TEST_F(SocketServerTest, AProxyThatEndsWithinItsHeaderIsClosedAtOnce) {
  options_.proxies = *AddressSet::Parse("127.0.0.1");
  options_.handshake_time = absl::Hours(1);
  Start();
  TestClient client(port());
  client.Send("PROXY TCP4 192.0.");
  client.SendEnd();
  EXPECT_TRUE(client.AtEnd());
  EXPECT_TRUE(AwaitNone());
}

TEST_F(SocketServerTest, AProxyThatSaysNothingIsClosedInTime) {
  options_.proxies = *AddressSet::Parse("127.0.0.1");
  options_.handshake_time = absl::Milliseconds(20);
  Start();
  TestClient client(port());
  client.Send("PROXY ");
  EXPECT_TRUE(client.AtEnd());
  EXPECT_TRUE(Await([&] { return faults("handshake_time") == 1; }));
}

TEST_F(SocketServerTest, APeerThatTakesNothingIsClosedInTime) {
  options_.stalled_time = absl::Milliseconds(50);
  Start();
  TestClient client(port(), 64 << 10);
  client.Send("large 100000000\n");
  EXPECT_TRUE(Await([&] { return faults("stalled_time") == 1; }));
  EXPECT_TRUE(AwaitNone());
}

TEST_F(SocketServerTest, AHalfClosedPeerStillGetsItsAnswer) {
  Start();
  TestClient client(port());
  client.Send("hello\n");
  client.SendEnd();
  EXPECT_EQ(client.Read(12), "hello\nended\n");
  EXPECT_TRUE(client.AtEnd());
  EXPECT_TRUE(AwaitNone());
}

TEST_F(SocketServerTest, LastWordsAreHeardAndTheFaultCounted) {
  Start();
  TestClient client(port());
  client.Send("quit misuse\n");
  EXPECT_EQ(client.Read(4), "bye\n");
  client.Send("more that nobody reads\n");
  EXPECT_TRUE(client.AtEnd());
  EXPECT_TRUE(Await([&] { return faults("misuse") == 1; })) << "after a second without the peer's end";
}

TEST_F(SocketServerTest, TheFaultIsCountedAlsoWhereThePeerIsCutOff) {
  Start();
  {
    TestClient client(port());
    client.Send("quit misuse\n");
    EXPECT_EQ(client.Read(4), "bye\n");
    EXPECT_TRUE(client.AtEnd());
    client.ResetOnClose();
  }
  EXPECT_TRUE(AwaitNone());
  EXPECT_EQ(faults("misuse"), 1);
}

TEST_F(SocketServerTest, APeerThatIsCutOffIsNotAtFault) {
  Start();
  {
    TestClient client(port());
    EXPECT_TRUE(client.Echoes());
    client.ResetOnClose();
  }
  EXPECT_TRUE(AwaitNone());
  EXPECT_THAT(counts_->stats().faults, IsEmpty());
}

TEST_F(SocketServerTest, HungUpAllAreClosed) {
  Start();
  TestClient first(port());
  TestClient second(port());
  ASSERT_TRUE(first.Echoes());
  ASSERT_TRUE(second.Echoes());
  server_->StopAccepting();
  server_->HangUp();
  EXPECT_TRUE(first.AtEnd());
  EXPECT_TRUE(second.AtEnd());
}

}  // namespace
}  // namespace heed
