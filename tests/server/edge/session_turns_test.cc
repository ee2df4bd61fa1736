// What a session does in one turn of its loop, whose other connections wait for it.
#include <gtest/gtest.h>

#include <string>

#include "server/edge/gzip.h"
#include "server/edge/session.h"
#include "tests/server/edge/session_fixture.h"

namespace heed {
namespace {

constexpr int kCalls = 8;

// Together as much in a turn as one alone: health waits behind every byte.
TEST_F(SessionTest, CompressedMessagesOfManyCallsShareATurn) {
  Begin();
  const std::string compressed = Framed(Gzip(std::string(1 << 20, 'x')), true);
  for (int i = 0; i < kCalls; ++i) {
    client_->Call({.path = "/test/Large", .more = {{"grpc-encoding", "gzip"}}, .data = compressed});
  }
  const std::int64_t before = edge_->transport.used();
  session_->Receive(client_->Produce());
  EXPECT_LT(edge_->transport.used() - before, 1 << 20) << "it inflates all of them at once";
  Pump();
  ASSERT_EQ(backend_.calls.size(), kCalls);
  for (const auto& call : backend_.calls) EXPECT_EQ(call->messages[0].size(), 1 << 20);
}

// It would take a place of others' calls, for nobody.
TEST_F(SessionTest, ACallThatIsResetInTheBreathThatItIsMadeInNeverStarts) {
  Begin();
  const std::int32_t id = client_->Call({.data = Framed("question")});
  std::string bytes = client_->Produce();
  client_->Reset(id);
  session_->Receive(bytes + client_->Produce());
  EXPECT_TRUE(backend_.calls.empty());
  Pump();
  EXPECT_EQ(edge_->transport.used(), 0);
  ExpectAnswers();
}

}  // namespace
}  // namespace heed
