// What becomes of connections: their faults, their times, their end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/edge/session.h"
#include "tests/server/edge/session_fixture.h"

namespace heed {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Frames by hand (RFC 9113, section 4.1).
std::string Frame(char type, char flags, std::int32_t stream, const std::string& payload) {
  const auto size = static_cast<std::uint32_t>(payload.size());
  return std::string({static_cast<char>(size >> 16), static_cast<char>(size >> 8), static_cast<char>(size), type, flags,
                      static_cast<char>(stream >> 24), static_cast<char>(stream >> 16), static_cast<char>(stream >> 8),
                      static_cast<char>(stream)}) +
         payload;
}

class EdgeConnectionTest : public SessionTest {
 protected:
  void ExpectClosed(const char* fault) {
    EXPECT_FALSE(session_->Reads());
    Pump();
    EXPECT_TRUE(session_->Done());
    EXPECT_EQ(session_->fault(), fault);
  }
  std::string ping_ = Frame(6, 0, 0, "12345678");
};

TEST_F(EdgeConnectionTest, BytesThatAreNotHttp2EndIt) {
  for (const std::string bytes :
       {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x05\x01", "PRI * HTTP/1.1\r\n"}) {
    edge_ = std::make_unique<Edge>(limits_, transport_bytes_, unread_bytes_);
    edge_->clock = &clock_;
    session_ = std::make_unique<Session>(edge_.get(), &backend_, &wire_);
    session_->Receive(bytes);
    EXPECT_FALSE(session_->Reads());
    std::string out;
    session_->Produce(64 << 10, &out);
    EXPECT_TRUE(session_->Done());
    EXPECT_EQ(session_->fault(), "not_http2");
    session_->Receive(bytes);  // for nobody
  }
}

TEST_F(EdgeConnectionTest, FramesAgainstTheRulesEndItAndAreCounted) {
  Begin();
  Call({.data = Framed("q")});
  session_->Receive(Frame(0, 0, 0, "data of no stream"));
  Pump();
  ExpectClosed("protocol");
  EXPECT_TRUE(backend_.last().dropped);
  EXPECT_THAT(client_->goaways(), ElementsAre(NGHTTP2_PROTOCOL_ERROR));
}

TEST_F(EdgeConnectionTest, AHeaderBlockOverItsBoundEndsIt) {
  limits_.max_header_block_bytes = 5000;
  Begin();
  Call({.data = Framed("q")});
  session_->Receive(Frame(1, 0, 3, std::string(5000, '\x82')));
  EXPECT_TRUE(session_->Reads()) << "at the bound";
  session_->Receive(Frame(9, 4, 3, "\x82"));
  EXPECT_TRUE(backend_.last().dropped);
  ExpectClosed("header_block_bytes");
}

TEST_F(EdgeConnectionTest, ControlFramesOverTheirBoundEndIt) {
  limits_.max_control_frames = 100;
  Begin();
  clock_.Advance(absl::Seconds(10));
  for (int i = 0; i < 200; ++i) session_->Receive(ping_);
  EXPECT_TRUE(session_->Reads()) << "twice a second's may come at once";
  Pump();
  clock_.Advance(absl::Seconds(1));
  for (int i = 0; i < 100; ++i) session_->Receive(ping_);
  EXPECT_TRUE(session_->Reads());
  session_->Receive(ping_);
  ExpectClosed("control_frames");
  EXPECT_THAT(client_->goaways(), ElementsAre(NGHTTP2_ENHANCE_YOUR_CALM));
}

// A proxy in front resets what its own callers give up: that is no flood below the bound on control frames.
TEST_F(EdgeConnectionTest, CallsMayBeResetAsOftenAsControlFramesMayCome) {
  Begin();
  for (int second = 0; second < 3; ++second) {
    for (int i = 0; i < 500; ++i) {
      const std::int32_t id = Call({.data = Framed("q")});
      client_->Reset(id);
      Pump();
      backend_.calls.clear();
    }
    ASSERT_TRUE(session_->Reads()) << "after " << second << " seconds: " << session_->fault();
    Advance(absl::Seconds(1));
  }
  EXPECT_THAT(client_->goaways(), IsEmpty());
  ExpectAnswers();
}

// Answers that cannot be sent are not made without end.
TEST_F(EdgeConnectionTest, WhileTheClientTakesNothingItIsNotReadForEver) {
  limits_.max_control_frames = 100'000;
  Begin();
  int calls = 0;
  for (; calls < 20'000 && session_->Reads(); ++calls) {
    const std::int32_t id = client_->Call({.path = "/test/None"});
    session_->Receive(client_->Produce());
    client_->Reset(id);
    session_->Receive(client_->Produce());
  }
  EXPECT_LT(calls, 5000);
  EXPECT_EQ(session_->fault(), "");
  Pump();
  EXPECT_TRUE(session_->Reads()) << "it took what there was";
  ExpectAnswers();
}

TEST_F(EdgeConnectionTest, HttpTwoMustBeSpokenInTime) {
  edge_ = std::make_unique<Edge>(limits_, transport_bytes_, unread_bytes_);
  edge_->clock = &clock_;
  session_ = std::make_unique<Session>(edge_.get(), &backend_, &wire_);
  session_->Receive("PRI * HTTP/2.0\r\n");
  EXPECT_EQ(wire_.wake, clock_.Now() + limits_.handshake_time);
  clock_.Advance(limits_.handshake_time);
  session_->OnTime(clock_.Now());
  EXPECT_EQ(session_->fault(), "handshake_time");
}

TEST_F(EdgeConnectionTest, AFirstCallMustComeInTime) {
  Begin();
  Advance(limits_.first_request_time - absl::Seconds(1));
  EXPECT_TRUE(session_->Reads());
  Advance(absl::Seconds(1));
  ExpectClosed("first_request_time");
}

TEST_F(EdgeConnectionTest, AHeaderBlockMustBeWholeInTime) {
  Begin();
  const std::string half = Frame(1, 0x20, 1, std::string(10, '\0'));  // with a priority, of which nothing comes
  session_->Receive(half.substr(0, 9));
  Advance(limits_.header_time - absl::Seconds(1));
  EXPECT_TRUE(session_->Reads());
  Advance(absl::Seconds(2));
  ExpectClosed("header_time");
}

TEST_F(EdgeConnectionTest, ASilentClientIsPinged) {
  limits_.keepalive_time = absl::Seconds(50);
  Begin();
  Call({.path = "/test/Bidi", .data = Framed("q"), .ends = false});
  Advance(absl::Seconds(51));
  EXPECT_EQ(client_->pings(), 1);
  Advance(absl::Seconds(48));
  EXPECT_EQ(client_->pings(), 1) << "its answer was heard";
  // Now it is gone.
  const absl::Time gone = clock_.Now();
  while (session_->Reads() && clock_.Now() < gone + absl::Minutes(5)) {
    clock_.Advance(std::max(wire_.wake - clock_.Now(), absl::ZeroDuration()));
    session_->OnTime(clock_.Now());
  }
  EXPECT_EQ(session_->fault(), "keepalive_timeout");
  EXPECT_LE(clock_.Now() - gone, absl::Seconds(72));
  EXPECT_TRUE(backend_.last().dropped);
}

TEST_F(EdgeConnectionTest, AClientThatTakesNothingOfItsAnswersIsSentAway) {
  takes_ = false;
  Begin();
  const std::int32_t id = Call({.path = "/test/Stream", .data = Framed("q")});
  backend_.last().Say(std::string(100'000, 'a'));
  Pump();
  Advance(limits_.stalled_time - absl::Seconds(1));
  EXPECT_FALSE(backend_.last().dropped);
  Advance(absl::Seconds(2));
  EXPECT_TRUE(backend_.last().dropped);
  EXPECT_TRUE(answer(id).closed);
  EXPECT_EQ(edge_->unread.used(), 0);
}

// Slow is not stalled, however long one message takes.
TEST_F(EdgeConnectionTest, AClientThatTakesItsAnswerSlowlyGetsIt) {
  takes_ = false;
  Begin();
  const std::int32_t id = Call({.path = "/test/Stream", .data = Framed("q")});
  backend_.last().Say(std::string(400'000, 'a'));
  backend_.last().End();
  Pump();
  for (int i = 0; i < 12; ++i) {
    Advance(limits_.stalled_time / 2);
    ASSERT_TRUE(session_->Reads()) << session_->fault();
    client_->Take(id, 40'000);
    Pump();
  }
  EXPECT_EQ(answer(id).data.size(), 400'005);
  EXPECT_EQ(answer(id).status(), "0");
}

TEST_F(EdgeConnectionTest, WithoutCallsItEndsWhenIdleForTooLong) {
  limits_.max_idle = absl::Minutes(5);
  Begin();
  ExpectAnswers();
  Advance(absl::Minutes(4));
  EXPECT_THAT(client_->goaways(), IsEmpty());
  Advance(absl::Minutes(1) + absl::Seconds(5));
  EXPECT_EQ(goaways_, 2) << "a notice, then the last call";
  EXPECT_TRUE(session_->Done());
  EXPECT_EQ(session_->fault(), "");
}

TEST_F(EdgeConnectionTest, AtItsAgeItTakesNoNewCallsAndThoseThatThereAreHaveTheGrace) {
  limits_.max_age = absl::Minutes(10);
  limits_.age_grace = absl::Minutes(1);
  Begin();
  const std::int32_t id = Call({.path = "/test/Bidi", .data = Framed("q"), .ends = false});
  Advance(absl::Minutes(9) - absl::Seconds(2));
  EXPECT_THAT(client_->goaways(), IsEmpty());
  while (client_->goaways().empty() && clock_.Now() < absl::FromUnixSeconds(1000) + absl::Minutes(12)) {
    Advance(absl::Seconds(1));
  }
  EXPECT_LE(clock_.Now(), absl::FromUnixSeconds(1000) + absl::Minutes(11) + absl::Seconds(2));
  Advance(absl::Seconds(3));
  EXPECT_EQ(goaways_, 2);
  Advance(absl::Seconds(50));
  EXPECT_FALSE(answer(id).closed);
  EXPECT_TRUE(session_->Reads());
  Advance(absl::Seconds(10));
  EXPECT_TRUE(backend_.last().dropped);
  ExpectClosed("connection_age");
}

TEST_F(EdgeConnectionTest, AClientThatLeavesIsNotAtFault) {
  Begin();
  ExpectAnswers();
  client_->GoAway();
  Pump();
  EXPECT_TRUE(session_->Done());
  EXPECT_EQ(session_->fault(), "");
  EXPECT_THAT(client_->goaways(), AnyOf(IsEmpty(), ElementsAre(NGHTTP2_NO_ERROR)));
}

TEST_F(EdgeConnectionTest, AClientThatLeavesMayWaitForWhatItAsked) {
  Begin();
  const std::int32_t id = Call({.data = Framed("q")});
  client_->GoAway();
  Pump();
  EXPECT_FALSE(session_->Done());
  backend_.last().Say("answer");
  backend_.last().End();
  std::string out;
  session_->Produce(64 << 10, &out);
  client_->Receive(out);
  EXPECT_EQ(answer(id).data, Framed("answer"));
  EXPECT_TRUE(session_->Done());
  EXPECT_EQ(session_->fault(), "");
}

TEST_F(EdgeConnectionTest, ThePeersEndDropsItsCalls) {
  Begin();
  Call({.data = Framed("q")});
  session_->OnEnd();
  EXPECT_TRUE(backend_.last().dropped);
  ExpectClosed("");
}

TEST_F(EdgeConnectionTest, ToldToGoItEndsWithItsLastCall) {
  Begin();
  const std::int32_t id = Call({.data = Framed("q")});
  session_->GoAway();
  Pump();
  Advance(absl::Seconds(2));
  EXPECT_FALSE(session_->Done());
  backend_.last().Say("answer");
  backend_.last().End();
  Pump();
  EXPECT_EQ(answer(id).status(), "0");
  EXPECT_TRUE(session_->Done());
}

}  // namespace
}  // namespace heed
