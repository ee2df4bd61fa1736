#include "server/lifecycle/log_queue.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace heed {
namespace {

constexpr absl::Duration kLong = absl::Seconds(30);
constexpr std::int64_t kRoom = 64 << 10;

class LogQueueTest : public ::testing::Test {
 protected:
  LogQueueTest() {
    EXPECT_EQ(pipe2(pipe_, O_CLOEXEC), 0);
    signal(SIGPIPE, SIG_IGN);
  }
  ~LogQueueTest() override {
    CloseReader();
    close(pipe_[1]);
  }

  std::unique_ptr<LogQueue> MakeQueue() {
    return std::make_unique<LogQueue>(
        LogQueueOptions{.fd = pipe_[1], .max_bytes = kRoom, .note = [](std::int64_t dropped) {
                          return absl::StrCat("dropped ", dropped, "\n");
                        }});
  }

  // Fills the pipe, so that the writer is stuck until somebody reads.
  void FillPipe() {
    ASSERT_EQ(fcntl(pipe_[1], F_SETPIPE_SZ, 4096), 4096);
    const std::string page(4096, '\n');
    ASSERT_EQ(write(pipe_[1], page.data(), page.size()), 4096);
  }

  // Reads what is written until `queue` has nothing left.
  std::vector<std::string> ReadAll(std::unique_ptr<LogQueue> queue) {
    std::thread reader([this] {
      char bytes[4096];
      for (ssize_t size; (size = read(pipe_[0], bytes, sizeof bytes)) > 0;) {
        text_.append(bytes, static_cast<std::size_t>(size));
      }
    });
    queue.reset();
    close(std::exchange(pipe_[1], -1));
    reader.join();
    return absl::StrSplit(text_, '\n', absl::SkipEmpty());
  }

  void CloseReader() {
    if (pipe_[0] >= 0) close(std::exchange(pipe_[0], -1));
  }

  int pipe_[2] = {-1, -1};
  std::string text_;
};

TEST_F(LogQueueTest, LinesComeOutInTheirOrder) {
  std::unique_ptr<LogQueue> queue = MakeQueue();
  std::vector<std::string> wanted;
  for (int i = 0; i < 500; ++i) {
    wanted.push_back(absl::StrCat("line ", i));
    queue->Push(absl::StrCat(wanted.back(), "\n"), i % 7 == 0);
  }
  EXPECT_EQ(ReadAll(std::move(queue)), wanted);
}

TEST_F(LogQueueTest, ALineIsWrittenWithoutAnotherToPushIt) {
  const std::unique_ptr<LogQueue> queue = MakeQueue();
  queue->Push("alone\n", false);
  pollfd readable = {pipe_[0], POLLIN, 0};
  ASSERT_EQ(poll(&readable, 1, static_cast<int>(absl::ToInt64Milliseconds(kLong))), 1);
  char bytes[16];
  EXPECT_EQ(read(pipe_[0], bytes, sizeof bytes), 6);
  EXPECT_TRUE(queue->Flush(kLong));
}

// The fault: callers waited for a reader who did not come. This thread would never get past Push.
TEST_F(LogQueueTest, NobodyWaitsForAReaderAndWhatWasDroppedIsCountedAndSaidInItsPlace) {
  FillPipe();
  std::unique_ptr<LogQueue> queue = MakeQueue();
  const int kLines = 3000;
  for (int i = 0; i < kLines; ++i) queue->Push(absl::StrCat("line ", i, "\n"), false);
  const std::int64_t dropped = queue->dropped();
  EXPECT_GT(dropped, 0);
  EXPECT_LT(dropped, kLines);
  EXPECT_FALSE(queue->Flush(absl::Milliseconds(1)));

  const std::vector<std::string> lines = ReadAll(std::move(queue));
  ASSERT_EQ(lines.size(), static_cast<std::size_t>(kLines - dropped) + 1);
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) EXPECT_EQ(lines[i], absl::StrCat("line ", i));
  EXPECT_EQ(lines.back(), absl::StrCat("dropped ", dropped));
}

TEST_F(LogQueueTest, TheMemoryOfWaitingLinesCountsHoweverShortTheyAre) {
  FillPipe();
  std::unique_ptr<LogQueue> queue = MakeQueue();
  for (int i = 0; i < kRoom; ++i) queue->Push("\n", false);
  EXPECT_GT(queue->dropped(), kRoom * 3 / 4) << "a string takes tens of bytes";
  ReadAll(std::move(queue));
}

TEST_F(LogQueueTest, ALineLargerThanAPipeTakesInOnePieceIsWhole) {
  std::unique_ptr<LogQueue> queue = MakeQueue();
  const std::string large(20000, 'x');
  queue->Push("before\n", false);
  queue->Push(large + "\n", false);
  queue->Push("after\n", true);
  EXPECT_EQ(ReadAll(std::move(queue)), (std::vector<std::string>{"before", large, "after"}));
}

TEST_F(LogQueueTest, LinesThatNobodyCanEverReadAreDropped) {
  const std::unique_ptr<LogQueue> queue = MakeQueue();
  CloseReader();
  queue->Push("lost\n", true);
  EXPECT_TRUE(queue->Flush(kLong)) << "there is nothing to wait for";
  EXPECT_EQ(queue->dropped(), 1);
}

TEST_F(LogQueueTest, ADescriptorThatDoesNotWaitIsWrittenToAllTheSame) {
  ASSERT_EQ(fcntl(pipe_[1], F_SETFL, O_NONBLOCK), 0);
  FillPipe();
  std::unique_ptr<LogQueue> queue = MakeQueue();
  queue->Push("patience\n", true);
  EXPECT_FALSE(queue->Flush(absl::Milliseconds(1)));
  EXPECT_EQ(ReadAll(std::move(queue)), std::vector<std::string>{"patience"});
}

TEST_F(LogQueueTest, TheLastWordOfAProcessDoesNotWaitForAReaderEither) {
  FillPipe();
  EXPECT_FALSE(WriteWithin(pipe_[1], "too late\n", absl::Milliseconds(1)));
  char bytes[4096];
  ASSERT_EQ(read(pipe_[0], bytes, sizeof bytes), 4096);
  EXPECT_TRUE(WriteWithin(pipe_[1], "in time\n", absl::Milliseconds(1)));
}

}  // namespace
}  // namespace heed
