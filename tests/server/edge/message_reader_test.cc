#include "server/edge/message_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "server/edge/gzip.h"

namespace heed {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Framed(absl::string_view message, int flag = 0) {
  const std::size_t size = message.size();
  return std::string({static_cast<char>(flag), static_cast<char>(size >> 24), static_cast<char>(size >> 16),
                      static_cast<char>(size >> 8), static_cast<char>(size)}) +
         std::string(message);
}

// What does not repeat.
std::string Noise(std::size_t size) {
  std::string noise;
  std::uint32_t state = 1;
  while (noise.size() < size) noise.push_back(static_cast<char>((state = state * 1664525 + 1013904223) >> 24));
  return noise;
}

constexpr std::size_t kMost = 5000;

class MessageReaderTest : public ::testing::Test {
 protected:
  ~MessageReaderTest() override {
    held_.clear();
    reader_.reset();
    EXPECT_EQ(all_.used(), 0);
    EXPECT_EQ(own_->used(), 0);
  }
  void Begin(bool compressed, std::size_t most = kMost) {
    reader_ = std::make_unique<MessageReader>(
        MessageReader::Options{.max_message_bytes = most, .compressed = compressed, .all = &all_, .own = own_});
  }
  // Reads all of `data`, in pieces, and what messages come of it.
  absl::Status Read(absl::string_view data, std::size_t piece_bytes, std::size_t turn_budget = 1 << 20) {
    while (!data.empty()) {
      absl::string_view piece = data.substr(0, piece_bytes);
      data.remove_prefix(piece.size());
      for (bool first = true; first || !piece.empty(); first = false) {
        std::size_t budget = turn_budget;
        const std::size_t before = piece.size();
        if (absl::Status status = reader_->Read(&piece, &budget); !status.ok()) return status;
        if (reader_->whole()) {
          held_.push_back(reader_->Take());
          messages_.emplace_back(held_.back()->data(), held_.back()->size());
        } else if (piece.size() == before && budget == turn_budget) {
          ADD_FAILURE() << "it does not go on";
          return absl::OkStatus();
        }
      }
    }
    return absl::OkStatus();
  }

  ByteAccount all_{1 << 20};
  std::shared_ptr<ByteAccount> own_ = std::make_shared<ByteAccount>(1 << 20);
  std::unique_ptr<MessageReader> reader_;
  std::vector<std::unique_ptr<HeldBytes>> held_;
  std::vector<std::string> messages_;
};

TEST_F(MessageReaderTest, MessagesMayBeSplitAnywhere) {
  const std::string data = Framed("one") + Framed("") + Framed(Gzip("three"), 1) + Framed("four");
  for (std::size_t piece = 1; piece <= data.size(); ++piece) {
    Begin(/*compressed=*/true);
    messages_.clear();
    ASSERT_TRUE(Read(data, piece).ok()) << piece;
    EXPECT_THAT(messages_, ElementsAre("one", "", "three", "four")) << piece;
    EXPECT_FALSE(reader_->inside());
  }
}

TEST_F(MessageReaderTest, SaysWhetherItIsInside) {
  Begin(false);
  EXPECT_FALSE(reader_->inside());
  ASSERT_TRUE(Read(Framed("one").substr(0, 1), 1).ok());
  EXPECT_TRUE(reader_->inside());
  ASSERT_TRUE(Read(Framed("one").substr(1, 6), 10).ok());
  EXPECT_TRUE(reader_->inside());
  ASSERT_TRUE(Read(Framed("one").substr(7), 10).ok());
  EXPECT_FALSE(reader_->inside());
}

TEST_F(MessageReaderTest, AMessageAtTheBoundIsTakenAndOneByteMoreIsNot) {
  Begin(false);
  ASSERT_TRUE(Read(Framed(Noise(kMost)), 700).ok());
  EXPECT_EQ(messages_.at(0), Noise(kMost));
  const absl::Status status = Read(Framed(Noise(kMost + 1)).substr(0, 5), 5);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "the message has 5001 bytes; at most 5000 are taken");
}

TEST_F(MessageReaderTest, TheLongestLengthOfAllIsOnlyTooLong) {
  Begin(false);
  EXPECT_EQ(Read(std::string("\0\xff\xff\xff\xff", 5), 5).code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(MessageReaderTest, InflatesToTheBoundAndNoFurther) {
  for (const std::string& text : {std::string(kMost, 'x'), Noise(kMost - 100) + std::string(100, 'x')}) {
    for (const std::size_t piece : {1, 7, 100'000}) {
      Begin(true);
      messages_.clear();
      ASSERT_TRUE(Read(Framed(Gzip(text), 1), piece).ok() || Gzip(text).size() > kMost);
      if (Gzip(text).size() <= kMost) {
        EXPECT_THAT(messages_, ElementsAre(text));
      }
      Begin(true);
      EXPECT_EQ(Read(Framed(Gzip(text + "x"), 1), piece).code(), absl::StatusCode::kResourceExhausted);
    }
  }
}

TEST_F(MessageReaderTest, FarMoreThanTheBoundIsFoundAtTheBound) {
  Begin(true);
  const std::string data = Framed(Gzip(std::string(400'000, 'x')), 1);
  const absl::Status status = Read(data, data.size());
  EXPECT_EQ(status.message(), "the message inflates to more than 5000 bytes; at most 5000 are taken");
  EXPECT_LE(all_.used(), static_cast<std::int64_t>(2 * kMost + Inflater::kOwnBytes));
}

TEST_F(MessageReaderTest, BytesAfterTheCompressedEndAreAFault) {
  Begin(true);
  EXPECT_EQ(Read(Framed(Gzip("text") + "more", 1), 100).message(), "the compressed message goes on after its end");
}

TEST_F(MessageReaderTest, ACompressedMessageThatEndsEarlyIsAFault) {
  const std::string whole = Gzip("a text that is cut somewhere");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    Begin(true);
    EXPECT_EQ(Read(Framed(whole.substr(0, size), 1), 100).code(), absl::StatusCode::kInvalidArgument) << size;
  }
}

TEST_F(MessageReaderTest, AWrongCheckSumIsAFault) {
  Begin(true);
  std::string bytes = Gzip("text");
  bytes[bytes.size() - 5] ^= 1;
  EXPECT_THAT(std::string(Read(Framed(bytes, 1), 100).message()), HasSubstr("does not inflate"));
}

TEST_F(MessageReaderTest, OtherFlagsAreAFault) {
  Begin(true);
  EXPECT_EQ(Read(Framed("x", 2), 100).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(MessageReaderTest, CompressionThatNobodySaidIsAFault) {
  Begin(false);
  EXPECT_EQ(Read(Framed(Gzip("x"), 1), 100).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(MessageReaderTest, StopsAtTheBudgetAndGoesOn) {
  Begin(true, 1 << 20);
  const std::string text = Noise(1000) + std::string(200'000, 'x') + Noise(1000);
  const std::string data = Framed(Gzip(text), 1);
  absl::string_view left = data;
  int turns = 0;
  while (!reader_->whole()) {
    std::size_t budget = 50'000;
    ASSERT_TRUE(reader_->Read(&left, &budget).ok());
    ASSERT_LT(++turns, 10);
  }
  EXPECT_EQ(turns, 5);
  EXPECT_EQ(reader_->Take()->size(), text.size());
}

TEST_F(MessageReaderTest, WithoutRoomInAnAccountItIsRefusedAndNothingIsKept) {
  Begin(false);
  ASSERT_TRUE(own_->Take((1 << 20) - 999));
  EXPECT_EQ(Read(Framed(Noise(1000)), 2000).code(), absl::StatusCode::kResourceExhausted);
  own_->Give((1 << 20) - 999);
  ASSERT_TRUE(all_.Take((1 << 20) - 999));
  Begin(false);
  EXPECT_EQ(Read(Framed(Noise(1000)), 2000).code(), absl::StatusCode::kResourceExhausted);
  all_.Give((1 << 20) - 999);
}

// What a message takes is what it has, not up to twice as much.
TEST_F(MessageReaderTest, HoldsNoMoreThanTheMessage) {
  Begin(false, 1 << 20);
  ASSERT_TRUE(Read(Framed(Noise(150'000)), 16'384).ok());
  EXPECT_EQ(all_.used(), 150'000);
}

TEST_F(MessageReaderTest, AMessageTakenOutlivesItsReader) {
  Begin(false);
  ASSERT_TRUE(Read(Framed("message"), 100).ok());
  reader_.reset();
  own_ = std::make_shared<ByteAccount>(1);
  EXPECT_EQ(std::string(held_[0]->data(), held_[0]->size()), "message");
  EXPECT_GT(all_.used(), 0);
}

TEST(Gzip, GoesThereAndBack) {
  for (const std::string& text : {std::string(), std::string("x"), std::string(100'000, 'x'), Noise(100'000)}) {
    const std::string bytes = Gzip(text);
    Inflater inflater;
    for (int again = 0; again < 2; ++again) {
      ASSERT_TRUE(inflater.Begin().ok());
      std::string back(text.size() + 1, '\0');
      absl::string_view in = bytes;
      std::size_t made = 0;
      ASSERT_TRUE(inflater.Run(&in, back.data(), back.size(), &made).ok());
      EXPECT_TRUE(inflater.at_end());
      EXPECT_EQ(back.substr(0, made), text);
    }
  }
}

}  // namespace
}  // namespace heed
