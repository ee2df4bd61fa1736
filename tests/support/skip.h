// Leaves a test out that this machine cannot run, with a reason that `make test` repeats at its end. Where
// HEED_NO_SKIPS is set, as in CI, it fails instead. Its ctest entry holds this one test, with the property
// SKIP_REGULAR_EXPRESSION
// "^skipped: ", so that no failure hides behind it.
//
//   if (!HaveRoot()) HEED_SKIP("needs root");
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace heed {

inline void SaySkipped(const std::string& reason) {
  const ::testing::TestInfo* const test = ::testing::UnitTest::GetInstance()->current_test_info();
  std::printf("skipped: %s.%s: %s\n", test->test_suite_name(), test->name(), reason.c_str());
  std::fflush(stdout);
}

}  // namespace heed

#define HEED_SKIP(reason)                                                         \
  do {                                                                            \
    const std::string& why = (reason);                                            \
    if (std::getenv("HEED_NO_SKIPS") != nullptr) FAIL() << "cannot run: " << why; \
    heed::SaySkipped(why);                                                        \
    GTEST_SKIP() << why;                                                          \
  } while (false)
