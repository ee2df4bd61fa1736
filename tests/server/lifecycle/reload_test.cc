#include "server/lifecycle/reload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace heed {
namespace {

TEST(ReloadHooks, RunInOrderAndOneThatFailsKeepsNoneFromRunning) {
  ReloadHooks hooks;
  std::vector<int> ran;
  hooks.Add("first", [&] {
    ran.push_back(1);
    return absl::InvalidArgumentError("it is no certificate");
  });
  hooks.Add("second", [&] {
    ran.push_back(2);
    return absl::OkStatus();
  });
  hooks.Run();
  hooks.Run();
  EXPECT_THAT(ran, testing::ElementsAre(1, 2, 1, 2));
}

TEST(ReloadHooks, AHookMayAddAnother) {
  ReloadHooks hooks;
  int added = 0;
  hooks.Add("first", [&] {
    if (added == 0) {
      hooks.Add("second", [&] {
        ++added;
        return absl::OkStatus();
      });
    }
    return absl::OkStatus();
  });
  hooks.Run();
  EXPECT_EQ(added, 0) << "it is there from the next time on";
  hooks.Run();
  EXPECT_GE(added, 1);
}

}  // namespace
}  // namespace heed
