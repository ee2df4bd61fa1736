// What becomes of calls.
#include "server/edge/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/edge/gzip.h"
#include "tests/server/edge/session_fixture.h"

namespace heed {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr char kInvalid[] = "3";
constexpr char kDeadline[] = "4";
constexpr char kExhausted[] = "8";
constexpr char kUnimplemented[] = "12";
constexpr char kInternal[] = "13";

TEST_F(SessionTest, AUnaryCallGoesThroughWhole) {
  Begin();
  const std::int32_t id =
      Call({.more = {{"x-user", "me"}, {"x-raw-bin", "AAE"}, {"grpc-timeout", "5S"}}, .data = Framed("question")});
  ASSERT_EQ(backend_.calls.size(), 1);
  PuppetCall& call = backend_.last();
  EXPECT_EQ(call.path, "/test/Unary");
  EXPECT_EQ(call.deadline, clock_.Now() + absl::Seconds(5));
  EXPECT_THAT(call.messages, ElementsAre("question"));
  EXPECT_THAT(call.metadata, ElementsAre(Pair("x-user", "me"), Pair("x-raw-bin", std::string("\0\1", 2))));
  call.Say("answer");
  call.End(absl::OkStatus(), "", {{"x-back", "yes"}, {"x-back-bin", std::string("\0\1", 2)}});
  Pump();
  EXPECT_EQ(answer(id).data, Framed("answer"));
  EXPECT_EQ(answer(id).headers.at(":status"), "200");
  EXPECT_EQ(answer(id).headers.at("content-type"), "application/grpc");
  EXPECT_EQ(answer(id).status(), "0");
  EXPECT_EQ(answer(id).headers.at("x-back"), "yes");
  EXPECT_EQ(answer(id).headers.at("x-back-bin"), "AAE");
  EXPECT_TRUE(answer(id).closed);
  EXPECT_EQ(answer(id).error, NGHTTP2_NO_ERROR);
}

TEST_F(SessionTest, BytesMayComeOneByOne) {
  Begin();
  const std::int32_t id = client_->Call({.data = Framed("question")});
  for (const char c : client_->Produce()) session_->Receive(absl::string_view(&c, 1));
  ASSERT_EQ(backend_.calls.size(), 1);
  EXPECT_THAT(backend_.last().messages, ElementsAre("question"));
  backend_.last().End();
  Pump();
  EXPECT_EQ(answer(id).status(), "0");
}

TEST_F(SessionTest, AnErrorHasItsMessageAndDetails) {
  Begin();
  const std::int32_t id = Call({.data = Framed("q")});
  backend_.last().End(absl::NotFoundError("no model \"\xc3\xa4\""), std::string("\0d", 2));
  Pump();
  EXPECT_EQ(answer(id).status(), "5");
  EXPECT_EQ(answer(id).message(), "no model \"%C3%A4\"");
  EXPECT_EQ(answer(id).headers.at("grpc-status-details-bin"), "AGQ");
  EXPECT_EQ(answer(id).data, "");
}

// Clients may find it too long, but they hear of it.
TEST_F(SessionTest, ALongErrorIsSentAllTheSame) {
  Begin();
  const std::int32_t id = Call({.data = Framed("q")});
  backend_.last().End(absl::InvalidArgumentError(std::string(70'000, 'x')));
  Pump();
  EXPECT_EQ(answer(id).status(), kInvalid);
  EXPECT_EQ(answer(id).message().size(), 70'000);
  EXPECT_TRUE(answer(id).closed);
}

TEST_F(SessionTest, AServerStreamsMessagesComeInOrder) {
  Begin();
  const std::int32_t id = Call({.path = "/test/Stream", .data = Framed("q")});
  backend_.last().Say("one");
  Pump();
  EXPECT_EQ(answer(id).data, Framed("one"));
  backend_.last().Say("");
  backend_.last().Say("three");
  backend_.last().End();
  Pump();
  EXPECT_EQ(answer(id).data, Framed("one") + Framed("") + Framed("three"));
  EXPECT_EQ(answer(id).status(), "0");
}

TEST_F(SessionTest, ASecondQuestionIsNotGivenBeforeTheFirstIsTaken) {
  Begin();
  const std::int32_t id = Call({.path = "/test/Bidi", .ends = false});
  ASSERT_EQ(backend_.calls.size(), 1) << "it starts with its headers";
  client_->Send(id, Framed("one") + Framed("two"), /*ends=*/true);
  Pump();
  PuppetCall& call = backend_.last();
  EXPECT_THAT(call.messages, ElementsAre("one"));
  EXPECT_FALSE(call.ended);
  call.Say("first");
  call.answer->OnTaken();
  Pump();
  EXPECT_THAT(call.messages, ElementsAre("one", "two"));
  EXPECT_FALSE(call.ended);
  call.answer->OnTaken();
  Pump();
  EXPECT_TRUE(call.ended);
  call.End();
  Pump();
  EXPECT_EQ(answer(id).data, Framed("first"));
  EXPECT_EQ(answer(id).status(), "0");
}

// What waits to be read stays within the stream's window, and is not lost to the connection's.
TEST_F(SessionTest, WhatIsNotReadHoldsTheClientBack) {
  Begin();
  const int whole = client_->window();
  const std::int32_t id = Call({.path = "/test/Bidi", .ends = false});
  client_->Send(id, Framed("one") + Framed(std::string(290 << 10, 'x')) + Framed(std::string(290 << 10, 'y')), true);
  Pump();
  EXPECT_LE(whole - client_->window(), static_cast<int>(limits_.stream_window)) << "more than its window came";
  ExpectAnswers();
  PuppetCall& call = *backend_.calls[0];
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(call.messages.size(), static_cast<std::size_t>(i) + 1);
    call.answer->OnTaken();
    Pump();
  }
  EXPECT_TRUE(call.ended);
  call.End();
  Pump();
  EXPECT_EQ(answer(id).status(), "0");
}

// The connection's window is everybody's: what a call had sent when it ended is given back to it.
TEST_F(SessionTest, CallsThatEndUnreadTakeNoWindowWithThem) {
  Begin();
  for (int i = 0; i < 12; ++i) {
    const std::int32_t id = Call({.path = "/test/Bidi", .ends = false});
    client_->Send(id, Framed("one") + Framed(std::string(200 << 10, 'x')), false);
    Pump();
    if (i % 2 == 0) {
      client_->Reset(id);
    } else {
      backend_.last().End();
    }
    Pump();
    ASSERT_TRUE(answer(id).closed);
  }
  EXPECT_GT(client_->window(), static_cast<int>(limits_.connection_window / 2 - 1));
  const std::int32_t id = Call({.path = "/test/Large", .data = Framed(std::string(900 << 10, 'x'))});
  backend_.last().End();
  Pump();
  EXPECT_EQ(answer(id).status(), "0");
}

struct Bad {
  const char* name;
  EdgeClient::Request request;
  const char* status;
  const char* message;
  const char* reason;
  const char* http = "200";
};

class BadCallTest : public SessionTest, public ::testing::WithParamInterface<Bad> {};

TEST_P(BadCallTest, EndsAloneWithItsStatus) {
  limits_.max_header_bytes = 2000;
  Begin();
  const std::int32_t other = Call({.path = "/test/Bidi", .ends = false});
  PuppetCall& open = backend_.last();
  const std::int32_t id = Call(GetParam().request);
  EXPECT_EQ(answer(id).status(), GetParam().status);
  EXPECT_THAT(answer(id).message(), HasSubstr(GetParam().message));
  EXPECT_EQ(answer(id).headers.at(":status"), GetParam().http);
  EXPECT_TRUE(answer(id).closed);
  EXPECT_EQ(answer(id).error, NGHTTP2_NO_ERROR);
  EXPECT_EQ(refused(GetParam().reason), 1);
  EXPECT_EQ(backend_.calls.size(), 1) << "the backend heard of it";
  ASSERT_NE(open.answer, nullptr);
  open.End();
  Pump();
  EXPECT_EQ(answer(other).status(), "0");
  ExpectAnswers();
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, BadCallTest,
    ::testing::Values(
        Bad{"UnknownMethod", {.path = "/test/None", .data = Framed("q")}, kUnimplemented, "/test/None", "method"},
        Bad{"NotPost", {.method = "GET"}, kInternal, "POST", "method", "405"},
        Bad{"OtherContent", {.content_type = "text/html", .data = "hello"}, kInternal, "text/html", "method", "415"},
        Bad{"OtherEncoding",
            {.more = {{"grpc-encoding", "snappy"}}, .data = Framed("q")},
            kUnimplemented,
            "snappy",
            "method"},
        Bad{"LongMetadata",
            {.more = {{"x-long", std::string(2000, 'x')}}, .data = Framed("q")},
            kExhausted,
            "at most 2000",
            "metadata_bytes"},
        Bad{"BadName", {.more = {{"x y", "1"}}, .data = Framed("q")}, kInvalid, "x y", "metadata"},
        Bad{"BadValue", {.more = {{"x", "\x01"}}, .data = Framed("q")}, kInvalid, "printable", "metadata"},
        Bad{"BadBase64", {.more = {{"x-bin", "a*"}}, .data = Framed("q")}, kInvalid, "base64", "metadata"},
        Bad{"BadTimeout", {.more = {{"grpc-timeout", "5"}}, .data = Framed("q")}, kInvalid, "grpc-timeout", "metadata"},
        Bad{"NoMessage", {}, kInvalid, "no message", "message"},
        Bad{"TwoMessages", {.data = Framed("q") + Framed("q")}, kInvalid, "more than one", "message"},
        Bad{"CutMessage", {.data = Framed("question").substr(0, 8)}, kInvalid, "ends too early", "message"},
        Bad{"CutFrame", {.data = Framed("question").substr(0, 3)}, kInvalid, "ends too early", "message"},
        Bad{"NoFrame", {.data = "hello"}, kInvalid, "no gRPC message", "message"},
        Bad{"LargeMessage", {.data = Framed(std::string(1001, 'x'))}, kExhausted, "at most 1000", "message_bytes"},
        Bad{"LargeWhenInflated",
            {.more = {{"grpc-encoding", "gzip"}}, .data = Framed(Gzip(std::string(1001, 'x')), true)},
            kExhausted,
            "more than 1000",
            "message_bytes"},
        Bad{"UnsaidCompression", {.data = Framed(Gzip("q"), true)}, kInvalid, "grpc-encoding", "message"},
        Bad{"NotGzip",
            {.more = {{"grpc-encoding", "gzip"}}, .data = Framed("question", true)},
            kInvalid,
            "inflate",
            "message"},
        // Answered before it has ended.
        Bad{"UnknownAndOpen", {.path = "/test/None", .ends = false}, kUnimplemented, "/test/None", "method"},
        Bad{"LargeAndOpen",
            {.data = Framed(std::string(1001, 'x')), .ends = false},
            kExhausted,
            "at most 1000",
            "message_bytes"}),
    [](const auto& each) { return std::string(each.param.name); });

TEST_F(SessionTest, AMessageAtTheBoundIsTaken) {
  Begin();
  Call({.data = Framed(std::string(1000, 'x'))});
  ASSERT_EQ(backend_.calls.size(), 1);
  EXPECT_EQ(backend_.last().messages[0].size(), 1000);
}

TEST_F(SessionTest, CompressedRequestsAreInflatedAndAnswersMayBeCompressed) {
  Begin();
  const std::string text(900, 'x');
  const std::int32_t id = Call({.more = {{"grpc-encoding", "gzip"}, {"grpc-accept-encoding", "identity, gzip"}},
                                .data = Framed(Gzip(text), true)});
  ASSERT_EQ(backend_.calls.size(), 1);
  EXPECT_THAT(backend_.last().messages, ElementsAre(text));
  EXPECT_TRUE(backend_.last().wants_gzip);
  backend_.last().Say(Gzip(text), /*gzip=*/true);
  backend_.last().End();
  Pump();
  EXPECT_EQ(answer(id).headers.at("grpc-encoding"), "gzip");
  EXPECT_EQ(answer(id).data, Framed(Gzip(text), true));
}

// Each turn inflates some of it, so that others of the loop have theirs.
TEST_F(SessionTest, ALongCompressedMessageIsInflatedOverSeveralTurns) {
  Begin();
  client_->Call({.path = "/test/Large",
                 .more = {{"grpc-encoding", "gzip"}},
                 .data = Framed(Gzip(std::string(1 << 20, 'x')), true)});
  session_->Receive(client_->Produce());
  int turns = 0;
  for (; backend_.calls.empty() && turns < 100; ++turns) {
    ASSERT_LE(wire_.wake, clock_.Now()) << "it asks for another turn";
    session_->OnTime(clock_.Now());
  }
  EXPECT_GE(turns, 12);
  EXPECT_LE(turns, 18);
  EXPECT_EQ(backend_.last().messages[0].size(), 1 << 20);
}

TEST_F(SessionTest, AResetDropsTheCall) {
  Begin();
  const std::int32_t id = Call({.data = Framed("q")});
  backend_.last().Say("answer that is not sent yet");
  client_->Reset(id);
  session_->Receive(client_->Produce());
  EXPECT_TRUE(backend_.last().dropped);
  EXPECT_EQ(edge_->unread.used(), 0);
  Pump();
  ExpectAnswers();
}

TEST_F(SessionTest, DataOfAnAnsweredCallIsThrownAway) {
  Begin();
  const std::int32_t id = Call({.path = "/test/Bidi", .ends = false});
  backend_.last().End(absl::UnavailableError("not now"));
  client_->Send(id, Framed(std::string(1000, 'x')), false);  // it crosses the answer
  Pump();
  EXPECT_EQ(answer(id).status(), "14");
  EXPECT_EQ(answer(id).error, NGHTTP2_NO_ERROR);
  ExpectAnswers();
}

TEST_F(SessionTest, AnAnswerOverWhatTheConnectionMayLeaveUnreadEndsItsCall) {
  limits_.max_connection_unread_bytes = 100'000;
  takes_ = false;
  Begin();
  const std::int32_t first = Call({.path = "/test/Stream", .data = Framed("q")});
  PuppetCall& slow = backend_.last();
  slow.Say(std::string(90'000, 'a'));  // its window is 65535
  Pump();
  EXPECT_EQ(edge_->unread.used(), 90'000);
  const std::int32_t second = Call({.data = Framed("q")});
  backend_.last().Say(std::string(10'001, 'b'));
  EXPECT_TRUE(backend_.last().dropped);
  Pump();
  EXPECT_EQ(answer(second).status(), kExhausted);
  EXPECT_EQ(refused("unread_bytes"), 1);
  slow.Say(std::string(10'000, 'c'));
  EXPECT_FALSE(slow.dropped) << "at the bound";
  client_->Take(first, 65'535);
  Pump();
  EXPECT_EQ(edge_->unread.used(), 0) << "taken, so given back";
  slow.End();
  client_->Take(first, 65'535);
  Pump();
  EXPECT_EQ(answer(first).data, Framed(std::string(90'000, 'a')) + Framed(std::string(10'000, 'c')));
  EXPECT_EQ(answer(first).status(), "0");
}

TEST_F(SessionTest, AnswersUnreadAreBoundedInAllToo) {
  unread_bytes_ = 1000;
  Begin();
  const std::int32_t id = Call({.data = Framed("q")});
  backend_.last().Say(std::string(1001, 'a'));
  Pump();
  EXPECT_EQ(answer(id).status(), kExhausted);
}

TEST_F(SessionTest, WithoutRoomForACallItIsRefused) {
  transport_bytes_ = 20 << 10;
  Begin();
  Call({.path = "/test/Bidi", .ends = false});
  Call({.path = "/test/Bidi", .ends = false});
  const std::int32_t id = Call({.data = Framed("q")});
  EXPECT_EQ(answer(id).status(), kExhausted);
  EXPECT_EQ(refused("transport_bytes"), 1);
  backend_.calls[0]->End();
  Pump();
  ExpectAnswers();
}

TEST_F(SessionTest, RequestsThatNobodyTakesAreBoundedPerConnection) {
  limits_.max_connection_bytes = 1000;
  Begin();
  const std::int32_t first = Call({.data = Framed(std::string(600, 'x')), .ends = false});
  const std::int32_t second = Call({.data = Framed(std::string(600, 'x')), .ends = false});
  EXPECT_EQ(answer(second).status(), kExhausted);
  client_->Send(first, "", true);
  Pump();
  backend_.last().End();
  Pump();
  EXPECT_EQ(answer(first).status(), "0");
}

// What a decompressor takes beside the message is somebody's too.
TEST_F(SessionTest, WhatInflatesIsHeldInTheAccounts) {
  Begin();
  const std::string data = Framed(Gzip("question"), true);
  Call({.more = {{"grpc-encoding", "gzip"}}, .data = data.substr(0, data.size() - 1), .ends = false});
  EXPECT_GE(edge_->transport.used(), static_cast<std::int64_t>(Inflater::kOwnBytes));
}

TEST_F(SessionTest, AMessageThatDoesNotComeEndsItsCall) {
  limits_.message_time = absl::Seconds(30);
  Begin();
  const std::int32_t id = Call({.data = Framed("question").substr(0, 7), .ends = false});
  Advance(absl::Seconds(29));
  EXPECT_FALSE(answer(id).closed);
  Advance(absl::Seconds(2));
  EXPECT_EQ(answer(id).status(), kDeadline);
  EXPECT_THAT(answer(id).message(), HasSubstr("30s"));
  EXPECT_EQ(refused("message_time"), 1);
  ExpectAnswers();
}

TEST_F(SessionTest, ACallThatNeverEndsItsMessageEndsAtItsDeadline) {
  Begin();
  const std::int32_t id = Call({.more = {{"grpc-timeout", "3S"}}, .data = Framed("q"), .ends = false});
  Advance(absl::Seconds(2));
  EXPECT_FALSE(answer(id).closed);
  Advance(absl::Seconds(2));
  EXPECT_EQ(answer(id).status(), kDeadline);
  EXPECT_TRUE(backend_.calls.empty());
}

// The backend says it better, but it may be late.
TEST_F(SessionTest, SoonAfterTheDeadlineTheEdgeSaysIt) {
  Begin();
  const std::int32_t id = Call({.more = {{"grpc-timeout", "3S"}}, .data = Framed("q")});
  Advance(absl::Milliseconds(3900));
  EXPECT_FALSE(answer(id).closed);
  Advance(absl::Seconds(2));
  EXPECT_EQ(answer(id).status(), kDeadline);
  EXPECT_TRUE(backend_.last().dropped);
}

TEST_F(SessionTest, DeadlinesHaveAMost) {
  limits_.max_deadline = absl::Hours(1);
  Begin();
  Call({.more = {{"grpc-timeout", "99999999H"}}, .data = Framed("q")});
  ASSERT_EQ(backend_.calls.size(), 1);
  EXPECT_EQ(backend_.last().deadline, clock_.Now() + absl::Hours(1));
}

TEST_F(SessionTest, AMessageKeptBehindTheEdgeIsAccountedUntilItIsLetGo) {
  Begin();
  const std::int32_t id = Call({.path = "/test/Bidi", .ends = false});
  backend_.last().keeps = true;
  client_->Send(id, Framed(std::string(50'000, 'x')), true);
  Pump();
  client_->Reset(id);
  Pump();
  EXPECT_TRUE(backend_.last().dropped);
  EXPECT_GE(edge_->transport.used(), 50'000) << "the call is gone, its bytes are not";
  session_.reset();
  backend_.calls.clear();
  EXPECT_EQ(edge_->transport.used(), 0);
}

}  // namespace
}  // namespace heed
