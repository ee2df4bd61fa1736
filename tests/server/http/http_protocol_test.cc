// The HTTP protocol, driven with strings and a clock moved by hand.
#include "server/http/http_protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/support/fake_clock.h"

namespace heed {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class FakeWire : public Wire {
 public:
  void Flush() override { ++flushes; }
  void WakeAt(absl::Time time) override { wake = time; }
  const Peer& peer() const override { return peer_; }

  int flushes = 0;
  absl::Time wake = absl::InfiniteFuture();

 private:
  Peer peer_;
};

// A server of three pages, and one connection to it.
class HttpProtocolTest : public ::testing::Test {
 protected:
  HttpProtocolTest() {
    routes_["/page"] = [this](const HttpRequest& request) {
      ++asked_;
      return HttpResponse{.body = absl::StrCat("page ", request.query, request.body, "\n")};
    };
    routes_["/large"] = [](const HttpRequest&) { return HttpResponse{.body = std::string(100000, 'x')}; };
    routes_["/down"] = [](const HttpRequest&) {
      return HttpResponse{.status = 503, .body = "down\n", .fields = {{"Retry-After", "1"}}};
    };
    limits_.max_header_bytes = 300;
    limits_.max_body_bytes = 20;
    Connect();
  }

  void Connect() {
    wire_ = FakeWire();
    protocol_ = std::make_unique<HttpProtocol>(&routes_, &limits_, &clock_, &wire_);
  }

  // Lets time pass; the wire calls when that was asked for.
  void Pass(absl::Duration time) {
    clock_.Advance(time);
    if (wire_.wake > clock_.Now()) return;
    wire_.wake = absl::InfiniteFuture();
    protocol_->OnTime(clock_.Now());
  }

  // All that the server says now, turns for further requests included, taken in pieces of `room`.
  std::string Take(std::size_t room = 65536) {
    std::string all;
    for (;;) {
      std::string piece;
      protocol_->Produce(room, &piece);
      EXPECT_LE(piece.size(), room);
      if (piece.empty() && (protocol_->Done() || wire_.wake > clock_.Now())) return all;
      if (piece.empty()) Pass(absl::ZeroDuration());
      all += piece;
    }
  }

  std::string Ask(absl::string_view request) {
    protocol_->Receive(request);
    return Take();
  }

  static int Status(absl::string_view answer) {
    int status = 0;
    return absl::SimpleAtoi(answer.substr(9, 3), &status) ? status : 0;
  }

  // Without the date.
  static std::string Undated(const std::string& answer) {
    const std::size_t date = answer.find("Date: ");
    return answer.substr(0, date) + answer.substr(answer.find("\r\n", date) + 2);
  }

  static std::string Body(absl::string_view answer) { return std::string(answer.substr(answer.find("\r\n\r\n") + 4)); }

  HttpRoutes routes_;
  HttpLimits limits_;
  FakeClock clock_;
  FakeWire wire_;
  std::unique_ptr<HttpProtocol> protocol_;
  int asked_ = 0;
};

constexpr char kGet[] = "GET /page?a=1 HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr char kAnswer[] =
    "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 9\r\n"
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\npage a=1\n";

TEST_F(HttpProtocolTest, APageIsAnsweredAndTheConnectionKept) {
  EXPECT_EQ(Undated(Ask(kGet)), kAnswer);
  EXPECT_FALSE(protocol_->Done());
  EXPECT_EQ(Undated(Ask(kGet)), kAnswer);
  EXPECT_EQ(protocol_->fault(), "");
}

TEST_F(HttpProtocolTest, TheDateIsWrittenAsHttpWantsIt) {
  EXPECT_THAT(Ask(kGet),
              ::testing::ContainsRegex("Date: [A-Z][a-z][a-z], [0-9][0-9] [A-Z][a-z][a-z] [0-9][0-9][0-9][0-9] "
                                       "[0-9][0-9]:[0-9][0-9]:[0-9][0-9] GMT\r\n"));
}

TEST_F(HttpProtocolTest, ARequestMayBeCutAnywhere) {
  const std::string request = "GET /page HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody";
  const std::string whole = Undated(Ask(request));
  EXPECT_THAT(whole, EndsWith("page body\n"));
  for (std::size_t cut = 1; cut < request.size(); ++cut) {
    Connect();
    EXPECT_EQ(Ask(absl::string_view(request).substr(0, cut)), "") << cut;
    EXPECT_TRUE(protocol_->Reads());
    EXPECT_EQ(Undated(Ask(absl::string_view(request).substr(cut))), whole) << cut;
  }
  Connect();
  for (std::size_t i = 0; i + 1 < request.size(); ++i) EXPECT_EQ(Ask(absl::string_view(request).substr(i, 1)), "");
  EXPECT_EQ(Undated(Ask(request.substr(request.size() - 1))), whole);
}

TEST_F(HttpProtocolTest, TheLastRequestOfAConnectionMayBeCutAnywhereToo) {
  const std::string request = "GET /page HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody";
  for (std::size_t cut = 1; cut < request.size(); ++cut) {
    Connect();
    EXPECT_EQ(Ask(absl::string_view(request).substr(0, cut)), "") << cut;
    EXPECT_THAT(Ask(absl::string_view(request).substr(cut)), EndsWith("page body\n")) << cut;
    EXPECT_TRUE(protocol_->Done());
  }
}

TEST_F(HttpProtocolTest, AnAnswerMayBeTakenInAnyPieces) {
  for (const std::size_t room : {1, 7, 1000}) {
    Connect();
    protocol_->Receive(kGet);
    EXPECT_EQ(Undated(Take(room)), kAnswer) << room;
  }
}

TEST_F(HttpProtocolTest, WhatIsAskedTogetherIsAnsweredOneAfterAnother) {
  protocol_->Receive(absl::StrCat(kGet, kGet, "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n", kGet));
  EXPECT_EQ(asked_, 1) << "the next waits until this answer is taken";
  EXPECT_FALSE(protocol_->Reads()) << "so that no more is held than came at once";
  std::string first;
  protocol_->Produce(65536, &first);
  EXPECT_EQ(Undated(first), kAnswer);
  std::string none;
  protocol_->Produce(65536, &none);
  EXPECT_EQ(none, "");
  EXPECT_EQ(asked_, 1) << "and for a turn of its own, so that other connections have theirs";
  EXPECT_EQ(wire_.wake, clock_.Now());
  EXPECT_FALSE(protocol_->Reads());
  const std::string rest = Take();
  EXPECT_EQ(asked_, 3);
  EXPECT_THAT(rest, HasSubstr("404 Not Found"));
  EXPECT_TRUE(protocol_->Reads());
  EXPECT_FALSE(protocol_->Done());
}

TEST_F(HttpProtocolTest, WhatWasAskedBeforeThePeersEndIsAnswered) {
  protocol_->Receive(absl::StrCat(kGet, kGet));
  protocol_->OnEnd();
  Take();
  EXPECT_EQ(asked_, 2);
  EXPECT_TRUE(protocol_->Done());
  Connect();
  protocol_->Receive(absl::StrCat(kGet, "GET /pa"));
  protocol_->OnEnd();
  EXPECT_THAT(Take(), StartsWith("HTTP/1.1 200"));
  EXPECT_TRUE(protocol_->Done()) << "half a request is none";
  EXPECT_EQ(asked_, 3);
  Connect();
  protocol_->Receive("GET /pa");
  protocol_->OnEnd();
  EXPECT_TRUE(protocol_->Done());
}

TEST_F(HttpProtocolTest, HeadIsTheSameWithoutABody) {
  const std::string got = Ask("GET /page?a=1 HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string head = Ask("HEAD /page?a=1 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(Undated(head), Undated(got.substr(0, got.size() - 9)));
  EXPECT_EQ(Body(Ask("HEAD /nowhere HTTP/1.1\r\nHost: h\r\n\r\n")), "");
  EXPECT_EQ(Body(Ask("HEAD /page HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n")), "");
}

TEST_F(HttpProtocolTest, ConnectionsAreKeptAsTheirVersionHasIt) {
  const struct {
    const char* line;
    const char* field;
    bool kept;
  } kCases[] = {
      {"GET /page HTTP/1.1", "", true},
      {"GET /page HTTP/1.1", "Connection: close\r\n", false},
      {"GET /page HTTP/1.1", "Connection: Keep-Alive, Close\r\n", false},
      {"GET /page HTTP/1.0", "", false},
      {"GET /page HTTP/1.0", "Connection: keep-alive\r\n", true},
  };
  for (const auto& test : kCases) {
    Connect();
    const std::string answer = Ask(absl::StrCat(test.line, "\r\nHost: h\r\n", test.field, "\r\n"));
    EXPECT_THAT(answer, HasSubstr(test.kept ? "Connection: keep-alive\r\n" : "Connection: close\r\n")) << test.field;
    EXPECT_EQ(protocol_->Done(), !test.kept) << test.line << " " << test.field;
  }
}

TEST_F(HttpProtocolTest, WhatIsNotThereIsSaidAndTheConnectionKept) {
  const std::string missing = Ask("GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(Status(missing), 404);
  EXPECT_EQ(Body(missing), "there is no such page\n");
  for (const char* method : {"POST", "DELETE", "OPTIONS", "TRACE", "BREW"}) {
    const std::string answer = Ask(absl::StrCat(method, " /page HTTP/1.1\r\nHost: h\r\n\r\n"));
    EXPECT_EQ(Status(answer), 405) << method;
    EXPECT_THAT(answer, HasSubstr("Allow: GET, HEAD\r\n"));
  }
  EXPECT_FALSE(protocol_->Done());
  EXPECT_EQ(protocol_->fault(), "");
  EXPECT_EQ(asked_, 0);
}

TEST_F(HttpProtocolTest, APagesOwnStatusAndFieldsAreSent) {
  const std::string answer = Ask("GET /down HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\nRetry-After: 1\r\n"));
}

TEST_F(HttpProtocolTest, TargetsMayNameTheHostOrHaveAQuery) {
  for (const char* target : {"/page", "http://h/page", "HTTPS://h:9500/page", "/page?", "/page?x=?y"}) {
    EXPECT_EQ(Status(Ask(absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: h\r\n\r\n"))), 200) << target;
  }
  for (const char* target : {"/", "/page/", "/Page", "//page", "/page%20", "page", "*", "http://h", "http://h?/page"}) {
    EXPECT_EQ(Status(Ask(absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: h\r\n\r\n"))), 404) << target;
  }
}

TEST_F(HttpProtocolTest, WhatIsNoRequestIsAnsweredWithOneLineAndClosed) {
  const struct {
    const char* sent;
    int status;
  } kCases[] = {
      {"GET /page HTTP/1.1\r\n\r\n", 400},                                                     // no Host
      {"GET /page HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},                               // two
      {"GET /page HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400},                               // two
      {"GET  /page HTTP/1.1\r\nHost: h\r\n\r\n", 400},                                         // no target
      {"GET /page\r\nHost: h\r\n\r\n", 400},                                                   // HTTP/0.9
      {"GET /page HTTP/1.1\r\nHost h\r\n\r\n", 400},                                           // no colon
      {"GET /page HTTP/1.1\r\nHost : h\r\n\r\n", 400},                                         // a space before it
      {"GET /page HTTP/1.1\r\n: h\r\n\r\n", 400},                                              // no name
      {"GET /page HTTP/1.1\r\nHost: h\r\nX: a\nY: b\r\n\r\n", 400},                            // a bare line feed
      {"GET /page HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400},                    // no number
      {"GET /page HTTP/1.1\r\nHost: h\r\nContent-Length: 1x\r\n\r\n", 400},                    // no number
      {"GET /page HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},  // above 64 bits
      {"GET /page HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
      {"GET /page HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"GET /page HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400},
      {"GET /page HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", 411},
      {"GET /page HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 411},
      {"GET /page HTTP/1.1\r\nHost: h\r\nContent-Length: 21\r\n\r\n", 413},
      {"GET /page HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n", 417},
      {"GET /page HTTP/1.2\r\nHost: h\r\n\r\n", 505},
      {"GET /page HTTP/2.0\r\nHost: h\r\n\r\n", 505},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},  // HTTP/2
      {"\x16\x03\x01", 400},                      // TLS
      {"/page", 400},
  };
  for (const auto& test : kCases) {
    Connect();
    const std::string answer = Ask(test.sent);
    ASSERT_NE(answer, "") << test.sent;
    EXPECT_EQ(Status(answer), test.status) << test.sent << "\n" << answer;
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
    EXPECT_THAT(answer, EndsWith("\n"));
    EXPECT_TRUE(protocol_->Done()) << test.sent;
    EXPECT_EQ(Ask(kGet), "") << "nothing is answered after that";
  }
  EXPECT_EQ(asked_, 0);
}

TEST_F(HttpProtocolTest, WhatEndsAConnectionHasAReason) {
  EXPECT_EQ((Ask("\r\n\r\n"), protocol_->fault()), "") << "empty lines are let pass";
  EXPECT_EQ((Ask("\x16\x03\x01"), protocol_->fault()), "malformed");
  Connect();
  EXPECT_EQ((Ask(std::string(301, 'a')), protocol_->fault()), "header_bytes");
  Connect();
  EXPECT_EQ((Ask("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 21\r\n\r\n"), protocol_->fault()), "body_bytes");
}

TEST_F(HttpProtocolTest, HeadersAreBoundedToTheByteHoweverTheyCome) {
  const std::string begin = "GET /page HTTP/1.1\r\nHost: h\r\nX: ", end = "\r\n\r\n";
  const auto of_size = [&](std::size_t size) {
    return begin + std::string(size - begin.size() - end.size(), 'a') + end;
  };
  EXPECT_EQ(Status(Ask(of_size(300))), 200);
  Connect();
  EXPECT_EQ(Status(Ask(of_size(301))), 431);
  Connect();
  EXPECT_EQ(Status(Ask(absl::StrCat("GET /", std::string(300, 'a')))), 431) << "a request line without an end";
  Connect();
  std::size_t sent = 0;
  const std::string endless = begin + std::string(400, 'a');
  for (std::string answer; answer.empty(); ++sent) answer = Ask(endless.substr(sent, 1));
  EXPECT_EQ(sent, 301u) << "bytes that trickle in are counted too";
  EXPECT_EQ(asked_, 1);
}

TEST_F(HttpProtocolTest, BodiesAreTakenUpToTheirBound) {
  const std::string request =
      absl::StrCat("GET /page HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n", std::string(20, 'b'), kGet);
  const std::string answers = Ask(request);
  EXPECT_THAT(answers, HasSubstr(absl::StrCat("page ", std::string(20, 'b'), "\n")));
  EXPECT_THAT(answers, EndsWith("page a=1\n")) << "what follows the body is the next request";
}

TEST_F(HttpProtocolTest, ABodyThatNobodyWillReadIsNotWaitedFor) {
  const std::string answer = Ask("POST /page HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n");
  EXPECT_EQ(Status(answer), 405);
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(protocol_->Done());
}

TEST_F(HttpProtocolTest, FieldsThatComeTwiceAreOneList) {
  routes_["/fields"] = [](const HttpRequest& request) {
    return HttpResponse{.body = absl::StrCat(request.Field("x-a"), "|", request.Field("x-b"))};
  };
  EXPECT_EQ(Body(Ask("GET /fields HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a:  2 \r\n\r\n")), "1, 2|");
}

TEST_F(HttpProtocolTest, ARequestThatDoesNotComeWholeInTimeIsAnswered408) {
  for (const char* part :
       {"G", "GET /page HTTP/1.1\r\n", "GET /page HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nb"}) {
    Connect();
    EXPECT_EQ(Ask(part), "");
    Pass(limits_.request_time / 2);
    EXPECT_EQ(Take(), "");
    protocol_->Receive("");
    Pass(limits_.request_time / 2);
    const std::string answer = Take();
    EXPECT_EQ(Status(answer), 408) << part;
    EXPECT_TRUE(protocol_->Done());
    EXPECT_EQ(protocol_->fault(), "request_time");
  }
}

TEST_F(HttpProtocolTest, BytesThatTrickleInGainNoTime) {
  const absl::Time end = clock_.Now() + limits_.request_time;
  const std::string request = absl::StrCat("GET /page HTTP/1.1\r\nHost: h\r\nX: ", std::string(200, 'a'));
  for (std::size_t i = 0; i < request.size() && !protocol_->Done(); ++i) {
    protocol_->Receive(request.substr(i, 1));
    Pass(absl::Milliseconds(100));
    Take();
  }
  EXPECT_TRUE(protocol_->Done());
  EXPECT_LE(clock_.Now(), end + absl::Milliseconds(100));
}

TEST_F(HttpProtocolTest, ASilentConnectionIsClosedWithoutAWord) {
  Pass(limits_.request_time);
  EXPECT_EQ(Take(), "");
  EXPECT_TRUE(protocol_->Done());
  EXPECT_EQ(protocol_->fault(), "request_time");
}

TEST_F(HttpProtocolTest, AConnectionThatAskedMayBeIdleForLonger) {
  Ask(kGet);
  Pass(limits_.idle_time - absl::Milliseconds(1));
  EXPECT_FALSE(protocol_->Done());
  EXPECT_EQ(Undated(Ask(kGet)), kAnswer);
  Pass(limits_.idle_time);
  EXPECT_TRUE(protocol_->Done());
  EXPECT_EQ(protocol_->fault(), "") << "nothing is wrong about it";
}

TEST_F(HttpProtocolTest, AnEmptyLineAfterARequestIsNoRequestAndGainsNoTime) {
  EXPECT_EQ(Undated(Ask(absl::StrCat(kGet, "\r\n"))), kAnswer);
  EXPECT_TRUE(protocol_->Reads());
  Pass(limits_.idle_time / 2);
  EXPECT_EQ(Ask("\r\n\r\n"), "");
  Pass(limits_.idle_time / 2);
  EXPECT_TRUE(protocol_->Done());
  Connect();
  EXPECT_EQ(Undated(Ask(absl::StrCat("\r\n", kGet))), kAnswer);
}

TEST_F(HttpProtocolTest, AnAnswerThatIsNotTakenInTimeIsGivenUp) {
  protocol_->Receive("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
  std::string some;
  protocol_->Produce(1000, &some);
  Pass(limits_.request_time);
  EXPECT_TRUE(protocol_->Done());
  EXPECT_EQ(protocol_->fault(), "answer_time");
  std::string more;
  protocol_->Produce(1000, &more);
  EXPECT_EQ(more, "");
}

std::string Gunzip(const std::string& packed) {
  z_stream stream = {};
  EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  std::string text(1 << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  text.resize(stream.total_out);
  inflateEnd(&stream);
  return text;
}

TEST_F(HttpProtocolTest, LargePagesAreCompressedForThoseWhoTakeIt) {
  const std::string packed = Ask("GET /large HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip, deflate\r\n\r\n");
  EXPECT_THAT(packed, HasSubstr("\r\nContent-Encoding: gzip\r\n"));
  EXPECT_THAT(packed, HasSubstr("\r\nVary: Accept-Encoding\r\n"));
  EXPECT_THAT(packed, HasSubstr(absl::StrCat("\r\nContent-Length: ", Body(packed).size(), "\r\n")));
  EXPECT_LT(packed.size(), 2000u);
  EXPECT_EQ(Gunzip(Body(packed)), std::string(100000, 'x'));
  const std::string plain = Ask("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(plain, Not(HasSubstr("Content-Encoding")));
  EXPECT_THAT(plain, HasSubstr("\r\nVary: Accept-Encoding\r\n"));
  EXPECT_EQ(Body(plain), std::string(100000, 'x'));
  EXPECT_THAT(Ask("GET /page HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n"), Not(HasSubstr("Content-Encoding")))
      << "a short one is sent as it is";
}

}  // namespace
}  // namespace heed
