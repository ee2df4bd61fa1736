// What a session does in one turn of its loop, whose other connections wait for it.
#include <gtest/gtest.h>

#include <string>
#include <vector>

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

// Beginnings of messages that wait for room leave room for one of them: each is answered or refused, none waits in
// vain.
TEST_F(SessionTest, ManyLargeMessagesAtOnceDoNotHoldTheRoomThatTheyWaitFor) {
  limits_.max_connection_bytes = 2 << 20;
  Begin();
  constexpr int kMany = 40;
  std::vector<std::int32_t> ids;
  for (int i = 0; i < kMany; ++i) {
    ids.push_back(client_->Call({.path = "/test/Large", .data = Framed(std::string(1000 << 10, 'x'))}));
  }
  Pump();
  for (std::size_t i = 0; i < backend_.calls.size(); ++i) {
    backend_.calls[i]->End();
    Advance(absl::Seconds(1));
  }
  int answered = 0;
  for (const std::int32_t id : ids) {
    ASSERT_TRUE(answer(id).closed) << "it waits still";
    answered += answer(id).status() == "0" ? 1 : 0;
  }
  EXPECT_GE(answered, 5);
  EXPECT_EQ(refused("message_bytes"), kMany - answered);
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
