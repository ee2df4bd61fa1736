#include "server/admission/memory_cost.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <string>
#include <utility>
#include <vector>

#include "server/admission/work.h"
#include "server/reply/reply.h"
#include "tests/server/models/fake_model.h"

namespace heed {
namespace {

// Bytes that are allocated now, of this test's one thread.
std::int64_t Allocated() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<std::int64_t>(info.uordblks + info.hblkhd);
}

// A sanitizer's allocator does not tell glibc.
bool AllocationsAreCounted() {
  const std::int64_t before = Allocated();
  const std::vector<char> probe(100000);
  return Allocated() >= before + static_cast<std::int64_t>(probe.size());
}

std::string Words(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "hello world ";
  return text;
}

struct Shape {
  const char* name;
  int texts;
  int words;
  int beam;
  bool attention;
  v1::AttentionUnit unit;
  bool copies;
  bool contexts = false;
  bool calibrated = false;  // replies have confidence and source coverage
};

void Calibrate(ServedModel* model) {
  model->spec.mutable_confidence()->mutable_segment()->set_bias(1);
  model->spec.mutable_confidence()->mutable_token()->set_bias(1);
  model->spec.mutable_source_scripts()->add_scripts("Latn");
  model->coverage = *ScriptCoverage::Make(model->spec.source_scripts(), model->spec.source(), *model->source_tokenizer);
}

class MemoryCostTest : public ::testing::TestWithParam<Shape> {
 protected:
  static TextRequest Request(const Shape& shape) {
    TextRequest request;
    request.task = v1::TASK_TRANSLATE;
    request.texts.assign(static_cast<std::size_t>(shape.texts), Words(shape.words));
    request.search.set_beam_size(shape.beam);
    request.search.set_n_best(shape.beam);
    request.max_reply_bytes = 64 << 20;
    if (shape.attention) {
      request.attention.emplace().unit = shape.unit;
      request.attention->components.push_back(shape.contexts ? v1::ATTENTION_COMPONENT_CONTEXTS
                                                             : v1::ATTENTION_COMPONENT_WEIGHTS);
    }
    return request;
  }
};

TEST_P(MemoryCostTest, IsAtLeastWhatIsAllocatedAndNotManyTimesThat) {
  if (!AllocationsAreCounted()) GTEST_SKIP() << "not glibc's allocator";
  auto model = FakeModel({.max_source_tokens = 512, .copies = GetParam().copies});
  if (GetParam().calibrated) Calibrate(model.get());
  const auto registry = RegistryOf(std::move(model));
  const Admission admission(registry.get(), AdmissionLimits());
  ASSERT_TRUE(admission.Admit(Request(GetParam())).ok());  // what ICU keeps for all to come is made at the first use
  TextRequest request = Request(GetParam());
  const std::int64_t texts = GetParam().texts * (24 * GetParam().words + 1);  // moved into what is admitted

  const std::int64_t before = Allocated();
  auto admitted = admission.Admit(std::move(request));
  ASSERT_TRUE(admitted.ok()) << admitted.status();
  const MemoryCost cost = CostOf(*admitted, /*streamed=*/false);
  const std::int64_t waiting = Allocated() - before;
  EXPECT_GE(cost.waiting * 11 / 10, waiting) << "beyond what the allocator rounds up";
  EXPECT_LE(cost.waiting, 2 * (waiting + texts) + 4096);

  // The fake plan says little of its jobs, and their results are gone when the reply is there.
  std::int64_t jobs = 0;
  for (const DecodeJob& job : admitted->jobs) jobs += admitted->model->plan->JobBytes(job);
  std::vector<DecodeResult> decoded = EchoAll(*admitted);
  const std::int64_t with_results = Allocated();
  auto reply = MakeReply(*admitted, std::move(decoded));
  ASSERT_TRUE(reply.ok()) << reply.status();
  const std::int64_t messages = Allocated() - with_results;
  std::int64_t encoded = 0;
  for (const v1::TextResult& result : reply->results) encoded += static_cast<std::int64_t>(result.ByteSizeLong());
  EXPECT_GE(cost.running - jobs, cost.waiting + messages + encoded);
  EXPECT_GT(CostOf(*admitted, /*streamed=*/true).running, cost.running);
}

INSTANTIATE_TEST_SUITE_P(Shapes, MemoryCostTest,
                         ::testing::Values(Shape{"Short", 1, 1, 1, false, v1::ATTENTION_UNIT_PIECES, false},
                                           Shape{"Many", 100, 20, 1, false, v1::ATTENTION_UNIT_PIECES, false},
                                           Shape{"NBest", 4, 40, 16, false, v1::ATTENTION_UNIT_PIECES, false},
                                           Shape{"Copies", 4, 40, 4, false, v1::ATTENTION_UNIT_PIECES, true},
                                           Shape{"Calibrated", 100, 1, 2, false, v1::ATTENTION_UNIT_PIECES, true, false,
                                                 true},
                                           Shape{"Attention", 4, 50, 4, true, v1::ATTENTION_UNIT_PIECES, false},
                                           Shape{"AttentionOfWords", 4, 50, 4, true, v1::ATTENTION_UNIT_WORDS, false},
                                           Shape{"Contexts", 4, 50, 4, true, v1::ATTENTION_UNIT_PIECES, false, true}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(MemoryCost, WaitingWorkHasIt) {
  const auto registry = FakeRegistry({FakeModelOptions{}});
  const Admission admission(registry.get(), AdmissionLimits());
  TextRequest request;
  request.task = v1::TASK_TRANSLATE;
  request.texts = {"hello world"};
  auto admitted = admission.Admit(std::move(request));
  ASSERT_TRUE(admitted.ok()) << admitted.status();
  const MemoryCost cost = CostOf(*admitted, /*streamed=*/false);
  EXPECT_GT(cost.waiting, 0);
  // 4 source tokens; the reply is small beside them.
  EXPECT_GT(cost.running, cost.waiting + 4 * 1000);
  const std::unique_ptr<WorkItem> work = MakeWork(&*admitted, absl::UnixEpoch(), /*streamed=*/false);
  EXPECT_EQ(work->waiting_bytes, cost.waiting);
  EXPECT_EQ(work->running_bytes, cost.running);
}

}  // namespace
}  // namespace heed
