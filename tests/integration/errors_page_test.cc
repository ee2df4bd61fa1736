// docs/errors.md: each row of bad input names a test of this program.
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>
#include <string>

#include "absl/strings/match.h"

namespace heed {
namespace {

std::set<std::string> TestsOfThisProgram() {
  std::set<std::string> names;
  const ::testing::UnitTest& program = *::testing::UnitTest::GetInstance();
  for (int i = 0; i < program.total_test_suite_count(); ++i) {
    const ::testing::TestSuite& suite = *program.GetTestSuite(i);
    for (int j = 0; j < suite.total_test_count(); ++j) {
      names.insert(std::string(suite.name()) + "." + suite.GetTestInfo(j)->name());
    }
  }
  return names;
}

TEST(ErrorsPage, NamesATestForEachKindOfBadInput) {
  const std::set<std::string> tests = TestsOfThisProgram();
  std::ifstream page("docs/errors.md");
  ASSERT_TRUE(page.is_open()) << "run from the source root";
  const std::regex last_cell(R"(\| (?:`(\w+\.\w+)`|the same) \|$)");
  bool in_table = false;
  int rows = 0;
  for (std::string line; std::getline(page, line);) {
    if (absl::StartsWith(line, "| input ")) in_table = true;
    if (!in_table || !absl::StartsWith(line, "| ") || absl::StartsWith(line, "| input ")) continue;
    ++rows;
    std::smatch match;
    ASSERT_TRUE(std::regex_search(line, match, last_cell)) << line;
    EXPECT_TRUE(!match[1].matched || tests.count(match[1]) == 1) << "no such test: " << line;
  }
  EXPECT_GT(rows, 40);
}

}  // namespace
}  // namespace heed
