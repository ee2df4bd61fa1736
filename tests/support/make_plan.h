// A plan of a model built by a test, for tests that link the engine.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "engine/model/checker.h"
#include "engine/run/plan.h"
#include "tests/support/bundle_builder.h"

namespace heed {

inline std::shared_ptr<const Plan> MakePlan(BundleBuilder builder, const EngineOptions& options) {
  const Bundle bundle = builder.Build();
  const auto program = CheckProgram(bundle);
  EXPECT_TRUE(program.ok()) << program.status();
  return Plan::Make(bundle, *program, options).value();
}

}  // namespace heed
