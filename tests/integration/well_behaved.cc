#include "tests/integration/well_behaved.h"

#include <gtest/gtest.h>

#include "tests/integration/small_models.h"

namespace heed {

WellBehavedClient::WellBehavedClient(RunningServer& server) : caller_(server.port()), right_(Once()) {
  thread_ = std::thread([this] { Ask(); });
}

WellBehavedClient::~WellBehavedClient() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  thread_.join();
}

std::string WellBehavedClient::Once() {
  const TranslateAnswer answer = caller_.Translate(SlowRequest(2, 20));
  return answer.ok() ? answer.response.SerializeAsString() : answer.ToString();
}

void WellBehavedClient::Ask() {
  while (true) {
    const std::string reply = Once();
    absl::MutexLock lock(&mu_);
    ++replies_;
    if (reply != right_ && wrong_.empty()) wrong_ = reply;
    if (stop_) return;
  }
}

void WellBehavedClient::ExpectReplies(int count) {
  absl::MutexLock lock(&mu_);
  // The one under way may have been sent before.
  wanted_ = replies_ + 1 + count;
  EXPECT_TRUE(mu_.AwaitWithTimeout(absl::Condition(this, &WellBehavedClient::Over), kLongest))
      << "a client that did nothing wrong is not served";
  EXPECT_TRUE(wrong_.empty()) << "a client that did nothing wrong got another reply than before: " << wrong_;
}

void ExpectRecovered(RunningServer& server) {
  server.WaitUntilIdle();
  const TranslateAnswer answer = Caller(server.port()).Translate(SlowRequest(2, 20));
  EXPECT_TRUE(answer.ok()) << answer.ToString();
  server.WaitUntilIdle();
}

}  // namespace heed
