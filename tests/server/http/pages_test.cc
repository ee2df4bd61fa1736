#include "server/http/pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace heed {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

class PagesTest : public ::testing::Test {
 protected:
  HttpResponse Get(const char* path, const char* accept = "") {
    HttpRequest request;
    request.path = path;
    request.fields["accept"] = accept;
    return routes_.at(path)(request);
  }

  Phase phase_ = Phase::kServing;
  std::unique_ptr<Metrics> metrics_ = Metrics::Make({.version = "1"});
  const Metrics* shown_ = metrics_.get();
  const HttpRoutes routes_ = MakePages({.phase = [this] { return phase_; }, .metrics = [this] { return shown_; }});
};

TEST_F(PagesTest, ProbesFollowTheServersLife) {
  const struct {
    Phase phase;
    int live, started, ready;
    const char* text;
  } kCases[] = {
      {Phase::kStarting, 200, 503, 503, "starting\n"},
      {Phase::kServing, 200, 200, 200, "serving\n"},
      {Phase::kDraining, 200, 200, 503, "draining\n"},
  };
  for (const auto& test : kCases) {
    phase_ = test.phase;
    EXPECT_EQ(Get("/livez").status, test.live) << test.text;
    EXPECT_EQ(Get("/startupz").status, test.started) << test.text;
    EXPECT_EQ(Get("/readyz").status, test.ready) << test.text;
    EXPECT_EQ(Get("/readyz").body, test.text);
  }
}

TEST_F(PagesTest, MetricsComeInTheFormThatIsPreferred) {
  const HttpResponse text = Get("/metrics");
  EXPECT_EQ(text.status, 200);
  EXPECT_EQ(text.content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(text.body, HasSubstr("\nheed_build_info{version=\"1\"} 1\n"));
  const HttpResponse open = Get("/metrics", "application/openmetrics-text; version=1.0.0, text/plain; q=0.5");
  EXPECT_EQ(open.content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
  EXPECT_THAT(open.body, HasSubstr("\nheed_build_info{version=\"1\"} 1.0\n"));
  EXPECT_THAT(open.body, EndsWith("\n# EOF\n"));
}

TEST_F(PagesTest, ThereAreNoMetricsWhileModelsAreLoaded) {
  shown_ = nullptr;
  phase_ = Phase::kStarting;
  EXPECT_EQ(Get("/metrics").status, 503);
  EXPECT_EQ(Get("/livez").status, 200);
}

}  // namespace
}  // namespace heed
