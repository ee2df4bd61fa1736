#include "server/http/accept.h"

#include <gtest/gtest.h>

namespace heed {
namespace {

TEST(Accept, GzipIsTakenWhereItIsLikedNoLessThanTheTextAsItIs) {
  const struct {
    const char* field;
    bool takes;
  } kCases[] = {
      {"", false},
      {"gzip", true},
      {"GZIP", true},
      {"x-gzip", true},
      {"deflate, gzip;q=1.0, *;q=0.5", true},
      {"gzip;q=0.001", true},
      {"gzip ; q=0.5 , identity", false},
      {"identity;q=0.5, gzip;q=0.5", true},
      {"gzip;q=0", false},
      {"gzip;q=0.0", false},
      {"*", true},
      {"*;q=0", false},
      {"*, gzip;q=0", false},
      {"deflate, br", false},
      {"gzipped", false},
      {"gzip;q=nan", false},
      {"gzip;q=-1", false},
      {"gzip;q=", false},
      {",,;;q=,gzip", true},
  };
  for (const auto& test : kCases) EXPECT_EQ(TakesGzip(test.field), test.takes) << test.field;
}

TEST(Accept, OpenMetricsIsForThoseWhoNameItAndLikeItNoLessThanText) {
  const struct {
    const char* field;
    bool prefers;
  } kCases[] = {
      {"", false},
      {"*/*", false},
      {"text/html, */*", false},
      {"application/openmetrics-text", true},
      {"Application/OpenMetrics-Text; Version=1.0.0; charset=utf-8", true},
      {"application/openmetrics-text;version=0.0.1", false},
      {"application/openmetrics-text;version=2.0.0", false},
      // Prometheus 2.42.
      {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
       "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
       true},
      // Prometheus 3.
      {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
       "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
       "text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
       true},
      // The same, told to scrape plain text first.
      {"text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4,*/*;q=0.1", false},
      {"application/openmetrics-text;q=0", false},
      {"application/openmetrics-text;q=x, text/plain", false},
  };
  for (const auto& test : kCases) EXPECT_EQ(PrefersOpenMetrics(test.field), test.prefers) << test.field;
}

}  // namespace
}  // namespace heed
