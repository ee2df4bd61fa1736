// The bundles that ship and the examples of docs/bundle.md: they are held to the format that the page promises.
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "engine/model/bundle.h"
#include "engine/model/checker.h"
#include "engine/model/spec.h"
#include "gtest/gtest.h"

namespace heed {
namespace {

TEST(BundlePage, ExamplesAreModelsThatTheCheckerAccepts) {
  std::ifstream page("docs/bundle.md");
  ASSERT_TRUE(page.is_open()) << "run from the source root";
  // A block of JSON is a model.json; the rows "| `name` | [2, 3] |" after it are its tensors.
  const std::regex row(R"(\| `([^`]+)` \| \[(\d+)(?:, (\d+))?\] \|)");
  std::vector<Bundle> bundles;
  std::string line, json;
  bool in_json = false;
  while (std::getline(page, line)) {
    std::smatch match;
    if (line == "```json") {
      in_json = true;
      json.clear();
    } else if (in_json && line == "```") {
      in_json = false;
      auto spec = ParseSpec(json);
      ASSERT_TRUE(spec.ok()) << spec.status();
      bundles.emplace_back().spec = *std::move(spec);
    } else if (in_json) {
      json += line + "\n";
    } else if (!bundles.empty() && std::regex_match(line, match, row)) {
      Tensor tensor{.name = match[1], .shape = {std::stoll(match[2])}};
      if (match[3].matched) tensor.shape.push_back(std::stoll(match[3]));
      tensor.data.resize(tensor.rows() * tensor.columns());
      bundles.back().tensors[tensor.name] = tensor;
    }
  }
  ASSERT_EQ(bundles.size(), 2u);
  for (const Bundle& bundle : bundles) {
    SCOPED_TRACE(bundle.spec.name());
    EXPECT_EQ(CheckProgram(bundle).status(), absl::OkStatus());
  }
}

TEST(ShippedBundles, LoadAndCheck) {
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(HEED_SHIPPED_MODELS)) {
    if (!entry.is_directory()) continue;
    SCOPED_TRACE(entry.path().string());
    const auto bundle = ReadBundle(entry.path().string());
    ASSERT_TRUE(bundle.ok()) << bundle.status();
    EXPECT_EQ(CheckProgram(*bundle).status(), absl::OkStatus());
    EXPECT_EQ(bundle->spec.name(), entry.path().filename().string());
    ++found;
  }
  EXPECT_EQ(found, 2) << "bundles in " << HEED_SHIPPED_MODELS;
}

}  // namespace
}  // namespace heed
