// The rule of a stream, as a table: what the scheduler and the reader do, line by line, and what is told after each.
#include "server/serving/stream_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/metrics/metrics.h"
#include "tests/server/models/fake_model.h"

namespace heed {
namespace {

struct Line {
  // Space-separated: `fresh JOB TOKENS`, how many more tokens of the job's source are told; `finished JOB`; `+`, more
  // of the same news; `decoded CODE`; `written`; `gone`; `die`; `fail`, the next event cannot be told.
  std::string input;
  // Events made, then what is next: `wait`, `write`, `end CODE`. A write begins at once.
  std::string told;
};

struct Case {
  std::string name;
  std::vector<std::string> texts;
  std::vector<Line> lines;
};

DecodedHypothesis Part(const DecodeJob& job, int begin, int end) {
  DecodedHypothesis part;
  part.tokens.assign(job.source.begin() + begin, job.source.begin() + end);
  part.log_probabilities.assign(part.tokens.size(), -0.5F);
  part.finish = FinishReason::kEos;
  return part;
}

class Script {
 public:
  explicit Script(const std::vector<std::string>& texts) {
    TextRequest request;
    request.task = v1::TASK_TRANSLATE;
    request.texts = texts;
    admitted_ = Admission(registry_.get(), {}).Admit(std::move(request)).value();
    told_.resize(admitted_.jobs.size());
    writer_.emplace(&admitted_);
  }

  std::string Do(const std::string& line) {
    StreamNews news;
    for (const auto part : absl::StrSplit(line, " + ")) {
      const std::vector<std::string> words = absl::StrSplit(part, ' ');
      if (words[0] == "fresh") {
        const int job = std::stoi(words[1]), from = told_.at(job);
        told_.at(job) += std::stoi(words[2]);
        news.fresh.emplace_back(job, Part(admitted_.jobs.at(job), from, told_.at(job)));
      } else if (words[0] == "finished") {
        const int job = std::stoi(words[1]);
        DecodeResult result;
        result.hypotheses.push_back(
            Part(admitted_.jobs.at(job), 0, static_cast<int>(admitted_.jobs.at(job).source.size())));
        news.finished.emplace_back(job, std::move(result));
      } else if (words[0] == "decoded") {
        news.decoded = words[1] == "OK" ? absl::OkStatus() : absl::UnavailableError("drain time over");
      } else if (words[0] == "written" || words[0] == "gone") {
        writer_->EndWrite(words[0] == "written");
      } else if (words[0] == "fail") {
        fails_ = true;
      } else {
        writer_->Die(absl::DeadlineExceededError("the deadline passed"));
      }
    }
    if (!news.empty()) writer_->Take(std::move(news));
    return Pump();
  }

  const StreamWriter& writer() const { return *writer_; }

 private:
  std::string Pump() {
    std::vector<std::string> told;
    while (writer_->next() == StreamWriter::Next::kMake) {
      const auto event = writer_->Make();
      if (!event.has_value()) continue;
      told.push_back(Tell(*event));
      if (fails_) writer_->Fail(absl::InternalError("too large for a message"));
    }
    switch (writer_->next()) {
      case StreamWriter::Next::kWrite:
        writer_->BeginWrite();
        told.emplace_back("write");
        break;
      case StreamWriter::Next::kEnd:
        told.push_back(absl::StrCat("end ", CodeName(writer_->status().code())));
        break;
      default:
        told.emplace_back("wait");
    }
    return absl::StrJoin(told, ", ");
  }

  static std::string Tell(const v1::StreamEvent& event) {
    if (event.has_model()) return absl::StrCat("model ", event.model().name());
    if (event.has_result()) {
      return absl::StrCat("result ", event.result().text(), " '", event.result().result().output().text(), "'");
    }
    return absl::StrCat("progress ", event.progress().text(), ".", event.progress().segment(), " '",
                        event.progress().delta(), "'");
  }

  std::unique_ptr<Registry> registry_ = FakeRegistry({{.split_sentences = true}});
  AdmittedRequest admitted_;
  std::vector<int> told_;  // tokens, by job
  std::optional<StreamWriter> writer_;
  bool fails_ = false;
};

// "hello world" is four tokens: _hello _wor ld </s>.
const std::vector<Case>& Cases() {
  static const auto* const cases = new std::vector<Case>{
      {"a text as it comes",
       {"hello world"},
       {{"fresh 0 1", "model echo, progress 0.0 'hello', write"},
        {"written", "wait"},
        {"fresh 0 3", "progress 0.0 ' world', write"},
        {"written", "wait"},
        {"finished 0 + decoded OK", "result 0 'hello world', write"},
        {"written", "end OK"}}},
      {"what comes together is one event",
       {"hello world"},
       {{"fresh 0 1 + fresh 0 3 + finished 0 + decoded OK",
         "model echo, progress 0.0 'hello world', result 0 'hello world', write"},
        {"written", "end OK"}}},
      {"what was not told comes with the result",
       {"hello world"},
       {{"finished 0", "model echo, progress 0.0 'hello world', result 0 'hello world', write"},
        {"written", "wait"},
        {"decoded OK", "end OK"}}},
      {"a text's result comes with its last segment",
       {"Hello. Hello."},
       {{"finished 1", "model echo, progress 0.1 'Hello.', write"},
        {"written", "wait"},
        {"finished 0", "progress 0.0 'Hello.', result 0 'Hello. Hello.', write"},
        {"written", "wait"},
        {"decoded OK", "end OK"}}},
      {"texts end in any order",
       {"hello", "good"},
       {{"finished 1", "model echo, progress 1.0 'good', result 1 'good', write"},
        {"written", "wait"},
        {"finished 0 + decoded OK", "progress 0.0 'hello', result 0 'hello', write"},
        {"written", "end OK"}}},
      {"a text without a job has its result at the end",
       {"hello", ""},
       {{"finished 0", "model echo, progress 0.0 'hello', result 0 'hello', write"},
        {"written", "wait"},
        {"decoded OK", "result 1 '', write"},
        {"written", "end OK"}}},
      {"nothing ends while a write is under way",
       {"hello"},
       {{"finished 0 + decoded OK", "model echo, progress 0.0 'hello', result 0 'hello', write"},
        {"die", "wait"},
        {"written", "end DEADLINE_EXCEEDED"}}},
      {"who went away is told nothing, and the scheduler's word is waited for",
       {"hello world"},
       {{"fresh 0 1", "model echo, progress 0.0 'hello', write"},
        {"gone", "wait"},
        {"fresh 0 2", "wait"},
        {"finished 0 + decoded OK", "end CANCELLED"}}},
      {"an event that cannot be told ends it, once the scheduler knows",
       {"hello world"},
       {{"fresh 0 1", "model echo, progress 0.0 'hello', write"},
        {"written", "wait"},
        {"fail + fresh 0 1 + finished 0", "progress 0.0 ' wor', wait"},
        {"decoded UNAVAILABLE", "end INTERNAL"}}},
      {"the scheduler's refusal is the answer, and what came with it is not told",
       {"hello world"},
       {{"fresh 0 1", "model echo, progress 0.0 'hello', write"},
        {"written", "wait"},
        {"fresh 0 1 + decoded UNAVAILABLE", "end UNAVAILABLE"}}},
      {"past its deadline nothing more is made",
       {"hello world"},
       {{"die", "wait"}, {"fresh 0 3", "wait"}, {"finished 0 + decoded OK", "end DEADLINE_EXCEEDED"}}},
  };
  return *cases;
}

TEST(StreamWriter, TellsWhatItsTableSays) {
  for (const Case& one : Cases()) {
    SCOPED_TRACE(one.name);
    Script script(one.texts);
    for (const Line& line : one.lines) EXPECT_EQ(script.Do(line.input), line.told) << "after: " << line.input;
  }
}

TEST(StreamWriter, LengthsAreCountedOfWhatNobodyIsTold) {
  Script script({"hello world"});
  script.Do("die");
  script.Do("finished 0 + decoded OK");
  EXPECT_THAT(script.writer().target_tokens(), ::testing::ElementsAre(4));
  EXPECT_TRUE(script.writer().failed());
}

}  // namespace
}  // namespace heed
