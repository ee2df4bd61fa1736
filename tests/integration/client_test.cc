// The `heed` command against a real server: input by argument, standard input and file; text, JSON and heat maps; exit
// codes. tests/client holds the finer points.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/integration/running_server.h"
#include "tests/integration/small_models.h"

namespace heed {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// One server for all.
TempFolder* shared_models = nullptr;
RunningServer* shared_server = nullptr;

class HeedCommand : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_models = new TempFolder();
    WriteLuong(shared_models->path(), "luong");
    WriteBundleFolder(shared_models->path() + "/broken", {{"model.json", "{}"}});
    shared_server = new RunningServer(shared_models->path(), {"--workers=2"});
  }
  static void TearDownTestSuite() {
    delete shared_server;
    delete shared_models;
  }

  // What the server says to each text.
  static std::vector<std::string> Expected(const std::vector<std::string>& texts) {
    std::vector<std::string> outputs;
    const TranslateAnswer answer = shared_server->caller().Translate(TranslateTexts(texts));
    EXPECT_TRUE(answer.ok()) << answer.ToString();
    for (const v1::TextResult& result : answer.response.results()) outputs.push_back(result.output().text());
    return outputs;
  }

  static std::string Lines(const std::vector<std::string>& lines) { return absl::StrJoin(lines, "\n") + "\n"; }
};

TEST_F(HeedCommand, TranslatesArguments) {
  const std::vector<std::string> texts = Sentences(2);
  const Finished done = shared_server->Heed({"translate", texts[0], texts[1]});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(done.err, "");
  EXPECT_EQ(done.out, Lines(Expected(texts)));
}

TEST_F(HeedCommand, TranslatesStandardInputLineByLine) {
  const std::vector<std::string> texts = {"서버는 요청을 받습니다.", "", "파일을 닫습니다."};
  const Finished done = shared_server->Heed({"translate"}, Lines(texts));
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(done.out, Lines(Expected(texts)));
}

TEST_F(HeedCommand, TranslatesAFileOfManyLinesInOrder) {
  const std::vector<std::string> texts = Sentences(250);
  const TempFolder folder;
  std::ofstream(folder.path() + "/lines.txt") << Lines(texts);
  // Small batches, several under way: they may come back in any order.
  const Finished done =
      shared_server->Heed({"translate", "--file=" + folder.path() + "/lines.txt", "--batch_size=7", "--in_flight=8"});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(done.err, "") << "no progress bar where there is no terminal";
  EXPECT_EQ(done.out, Lines(Expected(texts)));
}

TEST_F(HeedCommand, PrintsEverythingAsJsonOneTextALine) {
  const std::vector<std::string> texts = Sentences(3);
  const Finished done = shared_server->Heed({"translate", "--output=json", "--attention", "--unit=pieces",
                                             "--beam_size=3", "--n_best=2", texts[0], texts[1], texts[2]});
  EXPECT_EQ(done.code, 0) << done.err;
  const std::vector<std::string> lines = absl::StrSplit(done.out, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    const LogEvent line = ParseLogLine(lines[i]);  // any JSON object
    ASSERT_EQ(line.count("source"), 1U) << lines[i];
    EXPECT_EQ(line.at("source"), texts[i]);
    // {"source":...,"result":RESULT,"model":...}
    const std::size_t begin = lines[i].find("\"result\":") + 9;
    v1::TextResult result;
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(
                    lines[i].substr(begin, lines[i].rfind(",\"model\":") - begin), &result)
                    .ok())
        << lines[i];
    ASSERT_EQ(result.output().segments(0).hypotheses_size(), 2);
    EXPECT_EQ(result.output().segments(0).hypotheses(1).attentions_size(), 1);
    EXPECT_THAT(lines[i], HasSubstr("\"name\":\"luong\""));
  }
}

TEST_F(HeedCommand, DrawsAttentionPlainlyWithKoreanLabels) {
  const Finished done =
      shared_server->Heed({"translate", "--attention", "--color=never", "--max_length=6", "서버는 요청을 받습니다."});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_THAT(done.out, HasSubstr("서버는"));
  EXPECT_THAT(done.out, HasSubstr("요청을"));
  EXPECT_THAT(done.out, HasSubstr("</s>"));
  EXPECT_EQ(done.out.find('\x1b'), std::string::npos) << "no colour where there is no terminal";
  // Each row of the map: shares of 1 as percentages, in all about 100.
  int rows = 0;
  for (const auto line : absl::StrSplit(done.out, '\n')) {
    int sum = 0, cells = 0;
    for (const auto word : absl::StrSplit(line, ' ', absl::SkipEmpty())) {
      int share = 0;
      const std::size_t digits = word.find_first_of("0123456789");
      if (digits != std::string::npos && absl::SimpleAtoi(word.substr(digits), &share)) {
        sum += share;
        ++cells;
      }
    }
    if (cells >= 2) {
      EXPECT_NEAR(sum, 100, 5) << line;
      ++rows;
    }
  }
  EXPECT_GT(rows, 0) << done.out;
}

TEST_F(HeedCommand, OneBadLineIsReportedAndTheOthersComeBackInOrder) {
  const std::vector<std::string> good = {"서버는 요청을 받습니다.", "파일을 닫습니다."};
  const std::vector<std::string> expected = Expected(good);
  const Finished done =
      shared_server->Heed({"translate"}, Lines({good[0], "\xff\xfe", std::string(100000, 'a'), good[1]}));
  EXPECT_EQ(done.code, 1);
  EXPECT_EQ(done.out, Lines({expected[0], "", "", expected[1]}));
  EXPECT_EQ(done.err,
            "heed: text 2: INVALID_ARGUMENT: byte 0 is not valid UTF-8; the text was not sent\n"
            "heed: text 3: OUT_OF_RANGE: the text has 100000 bytes; at most 65536 are taken\n");
}

TEST_F(HeedCommand, ListsModelsWithThoseThatFailed) {
  const Finished done = shared_server->Heed({"models"});
  EXPECT_EQ(done.code, 0);
  EXPECT_THAT(done.out, HasSubstr("\nluong  1        translate  ko-en"));
  EXPECT_THAT(done.out, HasSubstr("\nfailed to load: broken: weights.safetensors: missing from the bundle\n"));
  const Finished one = shared_server->Heed({"models", "luong"});
  EXPECT_EQ(one.code, 0);
  EXPECT_THAT(one.out, HasSubstr("\nbundle "));
}

TEST_F(HeedCommand, HealthIsItsExitCode) {
  const Finished all = shared_server->Heed({"health"});
  EXPECT_EQ(all.out, "SERVING\n");
  EXPECT_EQ(all.code, 0);
  const Finished summaries = shared_server->Heed({"health", "--service=heed.v1.SummarizationService"});
  EXPECT_EQ(summaries.out, "NOT_SERVING\n");
  EXPECT_EQ(summaries.code, 1);
  EXPECT_EQ(shared_server->Heed({"health", "--service=nothing"}).code, 3);
}

TEST_F(HeedCommand, ExitCodesTellErrorsApart) {
  const Finished usage = shared_server->Heed({"translate", "--beams=3", "안녕"});
  EXPECT_EQ(usage.code, 2);
  EXPECT_THAT(usage.err, StartsWith("heed: "));
  EXPECT_EQ(shared_server->Heed({"translate", "--file=/nowhere.txt"}).code, 2);
  const Finished refused = shared_server->Heed({"translate", "--beam_size=10000", "안녕"});
  EXPECT_EQ(refused.code, 3);
  EXPECT_EQ(refused.out, "");
  EXPECT_EQ(refused.err, "heed: INVALID_ARGUMENT: search.beam_size is 10000; it must be 1 to 16\n");
  EXPECT_EQ(shared_server->Heed({"translate", "--model=nobody", "안녕"}).code, 3);
  // Port 1 is nobody's.
  const Finished nobody = shared_server->Heed({"translate", "--address=127.0.0.1:1", "--retries=0", "안녕"});
  EXPECT_EQ(nobody.code, 5);
  EXPECT_THAT(nobody.err, StartsWith("heed: UNAVAILABLE: "));
}

}  // namespace
}  // namespace heed
