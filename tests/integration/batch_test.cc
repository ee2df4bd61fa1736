// Same text, same reply to the bit, whatever shares the batch: for each kind of decoder, natively and limited to AVX2.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/integration/batch_independence.h"
#include "tests/integration/small_models.h"

namespace heed {
namespace {

class BatchIndependence : public ::testing::TestWithParam<std::string> {
 protected:
  BatchIndependence() { WriteSmallModels(models_.path()); }

  std::map<std::string, std::string> Environment() const {
    if (GetParam() == "native") return {};
    return {{"ONEDNN_MAX_CPU_ISA", GetParam()}};
  }

  TempFolder models_;
};

TEST_P(BatchIndependence, AReplyIsTheSameAloneAmong63OthersAndUnder8Clients) {
  // Two workers: which of them steps a row must not matter either. Few positions a step: encoding goes in chunks.
  RunningServer server(models_.path(), {"--workers=2", "--encode_time_per_step=100us"}, Environment());
  for (const std::string model : {"luong", "marian", "variety", "plain", "gist"}) {
    SCOPED_TRACE(model);
    const bool attention = model != "plain";
    BatchCheck check{.summarize = model == "gist", .options = GreedyOptions(model, attention), .texts = Sentences(64)};
    ExpectBatchIndependence(server, check);
    check.options = BeamOptions(model, attention);
    check.alone = 16;
    check.clients = 4;
    ExpectBatchIndependence(server, check);
  }
}

TEST_P(BatchIndependence, AReplyIsTheSameInASecondServer) {
  const v1::TranslateRequest options = BeamOptions("luong", true);
  std::vector<std::string> replies;
  for (const char* rows : {"--max_rows=64", "--max_rows=17"}) {
    RunningServer server(models_.path(), {"--workers=1", rows}, Environment());
    v1::TranslateRequest request = options;
    for (const std::string& text : Sentences(8)) request.add_texts(text);
    const TranslateAnswer answer = Caller(server.port(), 80 << 20).Translate(request);
    ASSERT_TRUE(answer.ok()) << answer.ToString();
    replies.push_back(answer.response.SerializeAsString());
  }
  EXPECT_TRUE(replies[0] == replies[1]) << "the number of rows that a worker may have changed the reply";
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, BatchIndependence, ::testing::Values("native", "AVX2"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace heed
