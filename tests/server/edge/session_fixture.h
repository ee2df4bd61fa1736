// A session between a client and a backend of the test, on a clock moved by hand.
//
// Not thread-safe.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "server/edge/session.h"
#include "tests/server/edge/edge_client.h"
#include "tests/server/edge/puppet_backend.h"
#include "tests/support/fake_clock.h"

namespace heed {

class SessionTest : public ::testing::Test {
 protected:
  // Before Begin, where they are not the usual ones.
  EdgeLimits limits_;
  std::int64_t transport_bytes_ = 64 << 20;
  std::int64_t unread_bytes_ = 64 << 20;
  bool takes_ = true;  // the client does

  void Begin() {
    edge_ = std::make_unique<Edge>(limits_, transport_bytes_, unread_bytes_);
    edge_->clock = &clock_;
    edge_->methods = {{"/test/Unary", {Shape::kUnary, 1000}},
                      {"/test/Large", {Shape::kUnary, 1 << 20}},
                      {"/test/Stream", {Shape::kServerStream, 1000}},
                      {"/test/Bidi", {Shape::kBidi, 300 << 10}}};
    session_ = std::make_unique<Session>(edge_.get(), &backend_, &wire_);
    client_ = std::make_unique<EdgeClient>(takes_);
    Pump();
  }
  // Whatever a test did, nothing of it is still held.
  void TearDown() override {
    if (edge_ == nullptr) return;
    session_.reset();
    backend_.calls.clear();
    EXPECT_EQ(edge_->transport.used(), 0);
    EXPECT_EQ(edge_->unread.used(), 0);
  }

  // Bytes go both ways until nobody has more to say.
  void Pump() {
    for (bool more = true; more;) {
      more = false;
      if (const std::string bytes = client_->Produce(); !bytes.empty() && session_->Reads()) {
        session_->Receive(bytes);
        more = true;
      }
      RingDue();
      std::string out;
      session_->Produce(64 << 10, &out);
      if (!out.empty()) {
        const std::string goaway("\0\0\x08\x07\0\0\0\0\0", 9);
        for (std::size_t at = out.find(goaway); at != std::string::npos; at = out.find(goaway, at + 1)) ++goaways_;
        client_->Receive(out);
        more = true;
      }
    }
  }
  // Time passes; the session hears of it when it asked to.
  void Advance(absl::Duration by) {
    const absl::Time until = clock_.Now() + by;
    while (wire_.wake <= until) {
      clock_.Advance(std::max(wire_.wake - clock_.Now(), absl::ZeroDuration()));
      Pump();
    }
    clock_.Advance(until - clock_.Now());
  }
  std::int32_t Call(const EdgeClient::Request& request) {
    const std::int32_t id = client_->Call(request);
    Pump();
    return id;
  }
  // A whole call that is answered, to see that the connection is well.
  void ExpectAnswers() {
    const std::int32_t id = Call({.data = Framed("question")});
    ASSERT_FALSE(backend_.calls.empty());
    ASSERT_NE(backend_.last().answer, nullptr);
    backend_.last().Say("answer");
    backend_.last().End();
    Pump();
    EXPECT_EQ(client_->answer(id).data, Framed("answer"));
    EXPECT_EQ(client_->answer(id).status(), "0");
    EXPECT_TRUE(client_->answer(id).closed);
  }
  const EdgeClient::Answer& answer(std::int32_t id) { return client_->answer(id); }
  std::int64_t refused(const std::string& reason) {
    const auto all = edge_->counts.refused();
    const auto found = all.find(reason);
    return found == all.end() ? 0 : found->second;
  }

  int goaways_ = 0;  // that the session sent
  FakeClock clock_;
  FakeWire wire_;
  PuppetBackend backend_;
  std::unique_ptr<Edge> edge_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<EdgeClient> client_;

 private:
  void RingDue() {
    for (int i = 0; i < 10'000 && wire_.wake <= clock_.Now(); ++i) {
      wire_.wake = absl::InfiniteFuture();
      session_->OnTime(clock_.Now());
    }
  }
};

}  // namespace heed
