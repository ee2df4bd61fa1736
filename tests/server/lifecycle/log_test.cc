#include "server/lifecycle/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace heed {
namespace {

TEST(Log, TextQuotesAndEscapesWhatIsNoPlainWord) {
  EXPECT_EQ(FormatLogFields(LogFormat::kText, "request",
                            {{"rpc", "Translate"}, {"texts", std::int64_t{3}}, {"seconds", 0.5}, {"reason", ""}}),
            "request rpc=Translate texts=3 seconds=0.5 reason=\"\"");
  EXPECT_EQ(FormatLogFields(LogFormat::kText, "x", {{"reason", "a \"b\"\nforged line"}}),
            "x reason=\"a \\\"b\\\"\\nforged line\"");
}

TEST(Log, JsonParsesBackWhateverTheValues) {
  std::string line = FormatLogFields(LogFormat::kJson, "request",
                                     {{"reason", "a \"b\"\n가 \xff"}, {"count", std::int64_t{-7}}, {"seconds", 0.25}});
  line.insert(line.begin(), '{');
  line.push_back('}');
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const nlohmann::json parsed = nlohmann::json::parse(line);
  EXPECT_EQ(parsed["event"], "request");
  EXPECT_EQ(parsed["reason"], "a \"b\"\n가 \uFFFD");
  EXPECT_EQ(parsed["count"], -7);
  EXPECT_EQ(parsed["seconds"], 0.25);
}

}  // namespace
}  // namespace heed
