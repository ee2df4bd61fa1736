#include "server/edge/frame_meter.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace heed {
namespace {

enum Type : char {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kReset = 3,
  kSettings = 4,
  kPing = 6,
  kWindow = 8,
  kMore = 9
};
constexpr char kEndStream = 1;
constexpr char kEndHeaders = 4;

std::string Frame(char type, char flags, std::size_t size) {
  return std::string({static_cast<char>(size >> 16), static_cast<char>(size >> 8), static_cast<char>(size), type, flags,
                      0, 0, 0, 1}) +
         std::string(size, 'x');
}

const absl::Time kStart = absl::FromUnixSeconds(1000);
const std::string& Preface() {
  static const std::string* const preface = new std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  return *preface;
}

struct Case {
  const char* name;
  std::vector<std::string> good;  // all of them within the bounds: 100 bytes of headers, 5 control frames a second
  std::string over;               // one that is not; empty: none
  const char* fault = "";
};

class FrameMeterTest : public ::testing::TestWithParam<Case> {};

std::vector<std::string> Times(int count, const std::string& frame) { return std::vector<std::string>(count, frame); }

TEST_P(FrameMeterTest, FindsWhatIsOver) {
  std::string all = Preface();
  FrameMeter whole(100, 5);
  EXPECT_EQ(whole.Follow(Preface(), kStart), "");
  for (const std::string& frame : GetParam().good) {
    EXPECT_EQ(whole.Follow(frame, kStart), "");
    all += frame;
  }
  EXPECT_EQ(whole.Follow(GetParam().over, kStart), GetParam().fault);
}

TEST_P(FrameMeterTest, FindsItByteByByte) {
  FrameMeter meter(100, 5);
  std::string all = Preface();
  for (const std::string& frame : GetParam().good) all += frame;
  for (const char c : all) ASSERT_EQ(meter.Follow(absl::string_view(&c, 1), kStart), "");
  absl::string_view fault;
  for (const char c : GetParam().over.substr(0, 9)) fault = meter.Follow(absl::string_view(&c, 1), kStart);
  EXPECT_EQ(fault, GetParam().fault) << "with the last byte of its frame's header";
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, FrameMeterTest,
    ::testing::Values(Case{"Headers", Times(1000, Frame(kHeaders, kEndHeaders, 100)), Frame(kHeaders, kEndHeaders, 101),
                           "header_block_bytes"},
                      Case{"Continued",
                           {Frame(kHeaders, 0, 50), Frame(kMore, 0, 50)},
                           Frame(kMore, kEndHeaders, 1),
                           "header_block_bytes"},
                      Case{"TheNextBlockBeginsAnew",
                           {Frame(kHeaders, 0, 50), Frame(kMore, kEndHeaders, 50), Frame(kHeaders, kEndHeaders, 100)},
                           ""},
                      Case{"EmptyHeaders", Times(10, Frame(kHeaders, kEndHeaders, 0)), Frame(kHeaders, kEndHeaders, 0),
                           "control_frames"},
                      Case{"EmptyContinuations", Times(10, Frame(kMore, 0, 0)), Frame(kMore, 0, 0), "control_frames"},
                      Case{"Pings", Times(10, Frame(kPing, 0, 8)), Frame(kPing, 0, 8), "control_frames"},
                      Case{"Settings", Times(10, Frame(kSettings, 0, 6)), Frame(kSettings, 0, 6), "control_frames"},
                      Case{"Resets", Times(10, Frame(kReset, 0, 4)), Frame(kReset, 0, 4), "control_frames"},
                      Case{"Priorities", Times(10, Frame(kPriority, 0, 5)), Frame(kPriority, 0, 5), "control_frames"},
                      Case{"Unknown", Times(10, Frame(99, 0, 5)), Frame(98, 0, 5), "control_frames"},
                      Case{"EmptyData", Times(10, Frame(kData, 0, 0)), Frame(kData, 0, 0), "control_frames"},
                      Case{"DataAndEnds", Times(1000, Frame(kData, 0, 1) + Frame(kData, kEndStream, 0)), ""},
                      Case{"ATenthForWindows", Times(95, Frame(kWindow, 0, 4) + Frame(kData, 0, 1)), Frame(kPing, 0, 8),
                           "control_frames"}),
    [](const auto& each) { return std::string(each.param.name); });

TEST(FrameMeter, ASecondBringsASecondsFrames) {
  FrameMeter meter(100, 5);
  EXPECT_EQ(meter.Follow(Preface(), kStart), "");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(meter.Follow(Frame(kPing, 0, 8), kStart), "");
  const absl::Time later = kStart + absl::Seconds(1);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(meter.Follow(Frame(kPing, 0, 8), later), "");
  EXPECT_EQ(meter.Follow(Frame(kPing, 0, 8), later), "control_frames");
}

TEST(FrameMeter, NoMoreThanTwoSecondsFramesAreSavedUp) {
  FrameMeter meter(100, 5);
  EXPECT_EQ(meter.Follow(Preface() + Frame(kPing, 0, 8), kStart), "");
  const absl::Time later = kStart + absl::Hours(1);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(meter.Follow(Frame(kPing, 0, 8), later), "");
  EXPECT_EQ(meter.Follow(Frame(kPing, 0, 8), later), "control_frames");
}

TEST(FrameMeter, SaysSinceWhenABlockIsOpen) {
  FrameMeter meter(100, 5);
  EXPECT_EQ(meter.Follow(Preface() + Frame(kHeaders, 0, 10), kStart), "");
  EXPECT_EQ(meter.block_since(), kStart);
  EXPECT_EQ(meter.Follow(Frame(kMore, 0, 10), kStart + absl::Seconds(1)), "");
  EXPECT_EQ(meter.block_since(), kStart) << "pieces do not make it younger";
  EXPECT_EQ(meter.Follow(Frame(kMore, kEndHeaders, 10), kStart + absl::Seconds(2)), "");
  EXPECT_EQ(meter.block_since(), absl::InfiniteFuture());
}

// A client that takes a long answer says so frame by frame.
TEST(FrameMeter, WhatAnswersAreAnsweredWithCostsNothing) {
  constexpr int kMany = 10'000;
  for (const int type : {6, 8}) {
    FrameMeter paid(1 << 10, 10);
    FrameMeter unpaid(1 << 10, 10);
    const std::string preface("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    ASSERT_EQ(paid.Follow(preface, absl::UnixEpoch()), "");
    ASSERT_EQ(unpaid.Follow(preface, absl::UnixEpoch()), "");
    const std::string frame({0, 0, 0, static_cast<char>(type), 0, 0, 0, 0, 0});
    absl::string_view fault;
    for (int i = 0; i < kMany; ++i) {
      paid.Earn();
      ASSERT_EQ(paid.Follow(frame, absl::UnixEpoch()), "") << i;
      ASSERT_EQ(paid.Follow(frame, absl::UnixEpoch()), "") << i;
      if (fault.empty()) fault = unpaid.Follow(frame, absl::UnixEpoch());
    }
    EXPECT_EQ(fault, "control_frames");
  }
}

}  // namespace
}  // namespace heed
