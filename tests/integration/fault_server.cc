// heed-server with a fault: the first worker's engines stop in every step for as long as the file HEED_FAULT_STALL
// names exists, and it makes no engine for as long as the file HEED_FAULT_START does. For tests alone; it is not
// installed.
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "server/rpc/serve.h"

namespace heed {
namespace {

// Passes everything on; Step waits while the file is there.
class StallingEngine : public StepEngine {
 public:
  StallingEngine(std::unique_ptr<StepEngine> engine, std::string file)
      : engine_(std::move(engine)), file_(std::move(file)) {}

  int free_rows() const override { return engine_->free_rows(); }
  int max_rows() const override { return engine_->max_rows(); }
  int rows_in_use() const override { return engine_->rows_in_use(); }
  int live_jobs() const override { return engine_->live_jobs(); }
  void Admit(JobId id, const DecodeJob* job) override { engine_->Admit(id, job); }
  void Release(JobId id) override { engine_->Release(id); }
  void Step(StepReport* report) override {
    while (std::filesystem::exists(file_)) {
      std::ofstream(file_ + ".stalled") << "stalled";  // tells the test that it has
      absl::SleepFor(absl::Milliseconds(1));
    }
    engine_->Step(report);
  }
  DecodeResult Take(JobId id) override { return engine_->Take(id); }
  DecodeResult Finish(JobId id) override { return engine_->Finish(id); }
  DecodedHypothesis TakeProgress(JobId id) override { return engine_->TakeProgress(id); }

 private:
  const std::unique_ptr<StepEngine> engine_;
  const std::string file_;
};

std::unique_ptr<StepEngine> Wrap(std::unique_ptr<StepEngine> engine) {
  static std::atomic<int> made{0};
  const char* held = std::getenv("HEED_FAULT_START");
  while (held != nullptr && std::filesystem::exists(held)) absl::SleepFor(absl::Milliseconds(1));
  const char* file = std::getenv("HEED_FAULT_STALL");
  if (file == nullptr || made++ > 0) return engine;
  return std::make_unique<StallingEngine>(std::move(engine), file);
}

}  // namespace
}  // namespace heed

int main(int argc, char** argv) { return heed::Serve({argv + 1, argv + argc}, heed::Wrap); }
