// What a healthy server tells: health, reflection, metrics, logs; and what it costs while nobody asks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/integration/running_server.h"
#include "tests/integration/small_models.h"

namespace heed {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

TEST(Service, HealthIsToldOverallAndPerService) {
  TempFolder models;
  WriteLuong(models.path(), "luong");
  RunningServer server(models.path());
  EXPECT_EQ(server.caller().Health(""), "SERVING");
  EXPECT_EQ(server.caller().Health("heed.v1.TranslationService"), "SERVING");
  EXPECT_EQ(server.caller().Health("heed.v1.ModelService"), "SERVING");
  EXPECT_EQ(server.caller().Health("heed.v1.SummarizationService"), "NOT_SERVING") << "no model summarises";
  EXPECT_THAT(server.caller().Health("heed.v1.Other"), HasSubstr("NOT_FOUND"));
}

TEST(Service, ReflectionListsTheServices) {
  TempFolder models;
  WriteLuong(models.path(), "luong");
  RunningServer server(models.path());
  // Newer tools ask for v1 first, some for v1 only.
  for (const char* version : {"v1", "v1alpha"}) {
    EXPECT_THAT(server.caller().ReflectedServices(version),
                IsSupersetOf({"heed.v1.TranslationService", "heed.v1.SummarizationService", "heed.v1.ModelService",
                              "grpc.health.v1.Health"}));
  }
}

TEST(Service, ModelsAreListedAndShownInFull) {
  TempFolder models;
  WriteSmallModels(models.path());
  RunningServer server(models.path());
  const auto listed = server.caller().ListModels();
  ASSERT_TRUE(listed.ok()) << listed.ToString();
  ASSERT_EQ(listed.response.models_size(), 5);
  EXPECT_EQ(listed.response.models(0).name(), "gist");
  EXPECT_EQ(listed.response.models(0).task(), v1::TASK_SUMMARIZE);
  EXPECT_EQ(listed.response.models(1).name(), "luong");
  EXPECT_EQ(listed.response.models(1).bundle_digest().size(), 64U);
  v1::GetModelRequest request;
  request.set_name("luong");
  const auto shown = server.caller().GetModel(request);
  ASSERT_TRUE(shown.ok()) << shown.ToString();
  EXPECT_EQ(shown.response.model().SerializeAsString(), listed.response.models(1).SerializeAsString());
  EXPECT_EQ(shown.response.spec_json(), LuongFiles("luong")["model.json"]);
  request.set_name("nobody");
  EXPECT_EQ(server.caller().GetModel(request).code, absl::StatusCode::kNotFound);
  EXPECT_EQ(server.caller().GetModel({}).ToString(),
            "INVALID_ARGUMENT: name is empty; it must be the name of a model (ListModels lists them)");
}

TEST(Service, AnAnswerNamesModelVersionAndDigest) {
  TempFolder models;
  WriteSmallModels(models.path());
  RunningServer server(models.path());
  v1::SummarizeRequest request;
  request.add_texts("서버는 요청을 받아 보냅니다.");
  request.mutable_attention();
  const auto answer = server.caller().Summarize(request);
  ASSERT_TRUE(answer.ok()) << answer.ToString();
  EXPECT_EQ(answer.response.model().name(), "gist");
  EXPECT_EQ(answer.response.model().version(), "1");
  EXPECT_EQ(answer.response.model().bundle_digest(), server.caller().ListModels().response.models(0).bundle_digest());
  const v1::Segment& segment = answer.response.results(0).output().segments(0);
  const v1::Attention& attention = segment.hypotheses(0).attentions(0);
  EXPECT_EQ(attention.dense().rows(), segment.hypotheses(0).tokens_size());
  EXPECT_EQ(attention.dense().columns(), segment.source_tokens_size());
}

// Rows of two hypotheses are the same as long as their tokens before are, to the bit, whatever row of the beam they
// came from; what parts them shows.
void ExpectRowsOfTheirOwnTokens(const v1::Segment& segment) {
  int differ = 0;
  for (const v1::Hypothesis& a : segment.hypotheses()) {
    for (const v1::Hypothesis& b : segment.hypotheses()) {
      int same = 0;
      while (same < std::min(a.tokens_size(), b.tokens_size()) && a.tokens(same).id() == b.tokens(same).id()) ++same;
      ASSERT_EQ(a.attentions_size(), b.attentions_size());
      for (int i = 0; i < a.attentions_size(); ++i) {
        const v1::DenseMatrix &x = a.attentions(i).dense(), &y = b.attentions(i).dense();
        ASSERT_EQ(x.rows(), a.tokens_size());
        ASSERT_EQ(x.columns(), y.columns());
        for (int row = 0; row < std::min(x.rows(), y.rows()); ++row) {
          const auto first = static_cast<std::ptrdiff_t>(row) * x.columns();
          const bool equal = std::equal(x.values().begin() + first, x.values().begin() + first + x.columns(),
                                        y.values().begin() + first);
          if (row <= same) {
            EXPECT_TRUE(equal) << "row " << row;
          }
          differ += equal ? 0 : 1;
        }
      }
    }
  }
  EXPECT_GT(differ, 0);
}

TEST(Service, ContextsOfEveryHypothesisAreThoseOfItsOwnTokens) {
  TempFolder models;
  WriteSmallModels(models.path());
  for (const char* precision : {"float32", "int8"}) {
    RunningServer server(models.path(), {absl::StrCat("--precision=", precision)});
    for (const char* model : {"luong", "marian", "variety"}) {
      SCOPED_TRACE(absl::StrCat(model, " ", precision));
      v1::TranslateRequest request = TranslateTexts({"서버는 요청을 받아 보냅니다."}, model);
      request.mutable_search()->set_beam_size(6);
      request.mutable_search()->set_n_best(6);
      request.mutable_search()->set_max_length(12);
      request.mutable_attention()->add_components(v1::ATTENTION_COMPONENT_CONTEXTS);
      const TranslateAnswer answer = server.caller().Translate(request);
      ASSERT_TRUE(answer.ok()) << answer.ToString();
      const v1::Segment& segment = answer.response.results(0).output().segments(0);
      ASSERT_EQ(segment.hypotheses_size(), 6);
      for (const v1::Hypothesis& hypothesis : segment.hypotheses()) {
        for (const v1::Attention& contexts : hypothesis.attentions()) {
          EXPECT_EQ(contexts.component(), v1::ATTENTION_COMPONENT_CONTEXTS);
          EXPECT_EQ(contexts.head(), 0) << "all heads together";
          // The encoder's two directions; in "variety" they are projected.
          EXPECT_EQ(contexts.dense().columns(), std::string(model) == "variety" ? 70 : 66);
        }
      }
      ExpectRowsOfTheirOwnTokens(segment);
    }
  }
}

TEST(Service, MetricsCountWhatWasDone) {
  TempFolder models;
  WriteSmallModels(models.path());
  RunningServer server(models.path());
  std::int64_t source_tokens = 0, target_tokens = 0, segments = 0;
  for (int i = 0; i < 3; ++i) {
    const TranslateAnswer answer = server.caller().Translate(
        TranslateTexts({"서버는 요청을 받습니다. 그리고 보냅니다.", "", "파일을 닫습니다."}, "luong"));
    ASSERT_TRUE(answer.ok()) << answer.ToString();
    for (const v1::TextResult& result : answer.response.results()) {
      for (const v1::Segment& segment : result.output().segments()) {
        ++segments;
        source_tokens += segment.source_tokens_size();
        target_tokens += segment.hypotheses(0).tokens_size();
      }
    }
  }
  EXPECT_EQ(segments, 9);
  v1::TranslateRequest bad = TranslateTexts({"안녕"}, "luong");
  bad.mutable_search()->set_beam_size(0);
  EXPECT_EQ(server.caller().Translate(bad).code, absl::StatusCode::kInvalidArgument);
  for (const char* name : {"one", "two", "three"}) server.caller().Translate(TranslateTexts({"안녕"}, name));
  server.WaitUntilIdle();

  const auto requests = [&](const std::string& code, const std::string& model, const std::string& version) {
    return server.Metric(absl::StrCat("heed_requests_total{code=\"", code, "\",model=\"", model,
                                      "\",rpc=\"Translate\",version=\"", version, "\"}"));
  };
  EXPECT_EQ(requests("OK", "luong", "1"), 3);
  EXPECT_EQ(requests("INVALID_ARGUMENT", "luong", "1"), 1);
  EXPECT_EQ(requests("NOT_FOUND", "unknown", "unknown"), 3) << "unknown models share one label";
  EXPECT_THAT(server.Scrape(), Not(HasSubstr("three")));
  const std::string luong = R"({model="luong",version="1"})";
  EXPECT_EQ(server.Metric("heed_source_tokens_total" + luong), static_cast<double>(source_tokens));
  EXPECT_EQ(server.Metric("heed_target_tokens_total" + luong), static_cast<double>(target_tokens));
  EXPECT_EQ(server.Metric("heed_queue_duration_seconds_count" + luong), static_cast<double>(segments));
  EXPECT_EQ(server.Metric("heed_time_to_first_token_seconds_count" + luong), 3);
  EXPECT_EQ(server.Metric(R"(heed_request_duration_seconds_count{model="luong",rpc="Translate",version="1"})"), 4);
  // Greedy: a row per segment, so the rows of all steps are all segments' tokens.
  EXPECT_EQ(server.Metric("heed_step_rows_sum" + luong), static_cast<double>(target_tokens));
  EXPECT_EQ(server.Metric("heed_models_failed"), 0);
  EXPECT_GT(server.Metric("heed_model_load_seconds" + luong), 0);
  EXPECT_GT(server.Metric("heed_model_weight_bytes" + luong), 0);
}

TEST(Service, SaysHowSureItIsAndWhatItWasNotMadeToRead) {
  TempFolder models;
  BundleFileMap files = LuongFiles("luong");
  std::string& json = files["model.json"];
  json.insert(json.rfind('}'), R"(, "confidence": {"right": "x", "fitted_on": "x", "lines": 1, "doubtful": 0.5,
    "segment": {"bias": -1}, "token": {"bias": 1}}, "source_scripts": {"scripts": ["Hang"], "least_share": 0.5})");
  WriteBundleFolder(models.path() + "/luong", files);
  RunningServer server(models.path());
  const v1::TranslateRequest request = TranslateTexts({"서버는 요청을 받습니다.", "It is something else."});
  const TranslateAnswer answer = server.caller().Translate(request);
  ASSERT_TRUE(answer.ok()) << answer.ToString();
  for (const v1::TextResult& result : answer.response.results()) {
    const v1::Segment& segment = result.output().segments(0);
    const v1::Hypothesis& best = segment.hypotheses(0);
    const bool whole = best.finish_reason() == v1::FINISH_REASON_EOS && best.tokens_size() > 1;
    EXPECT_NEAR(best.confidence(), whole ? 0.26894 : 0, 1e-5);
    EXPECT_TRUE(best.doubtful());
    EXPECT_NEAR(best.tokens(0).confidence(), 0.73106, 1e-5);
    EXPECT_TRUE(segment.has_source_coverage());
  }
  EXPECT_EQ(answer.response.results(0).output().segments(0).source_coverage().share(), 1);
  EXPECT_TRUE(answer.response.results(1).output().segments(0).source_coverage().low());
  const auto stream = server.caller().StreamTranslate(request);
  for (v1::StreamEvent event; stream->Read(&event);) {
    if (event.has_result()) {
      EXPECT_EQ(event.result().result().SerializeAsString(),
                answer.response.results(event.result().text()).SerializeAsString());
    }
  }
  EXPECT_TRUE(stream->Wait().ok());
  server.WaitUntilIdle();
  EXPECT_EQ(server.Metric(R"(heed_doubtful_outputs_total{model="luong",version="1"})"), 4);
  EXPECT_EQ(server.Metric(R"(heed_low_coverage_segments_total{model="luong",version="1"})"), 2);
  EXPECT_THAT(server.Heed({"translate", "It is something else."}).err,
              HasSubstr("text 1: 0 % of it is Korean (Hangul) as luong knows it, and 50 % or more should be"));

  json.replace(json.find("\"Hang\""), 6, "\"Jpan\"");
  WriteBundleFolder(models.path() + "/luong", files);
  const Finished refused =
      RunProgram(ServerProgram(), {"--models=" + models.path(), "--address=127.0.0.1:0", "--metrics_address="});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("model.json: source_scripts.scripts[0] is \"Jpan\", expected the ISO 15924 code"));
}

TEST(Service, TheLogIsJsonWithRequestIdsAndWithoutUsersText) {
  TempFolder models;
  WriteSmallModels(models.path());
  RunningServer server(models.path(), {"--log_level=debug"});
  constexpr char kSecret[] = "비밀스러운문장입니다";
  const TranslateAnswer good = server.caller().Translate(TranslateTexts({kSecret}, "luong"));
  ASSERT_TRUE(good.ok()) << good.ToString();
  // Mistakes must not leak it either: as a model's name, a language, an attend, in bytes that are no message.
  v1::TranslateRequest request = TranslateTexts({kSecret}, kSecret);
  server.caller().Translate(request);
  request.mutable_model()->set_name("luong");
  request.mutable_attention()->add_attends(kSecret);
  server.caller().Translate(request);
  request.mutable_model()->set_source_language(kSecret);
  server.caller().Translate(request);
  server.caller().SendBytes("/heed.v1.TranslationService/Translate", absl::StrCat("\x12\x40\xff", kSecret));
  EXPECT_EQ(server.Stop(), 0);

  const std::string log = server.process().error();
  EXPECT_THAT(log, Not(HasSubstr(kSecret)));
  EXPECT_THAT(log, Not(HasSubstr(std::string(kSecret, 12)))) << "a part of it";
  const std::string& output = good.response.results(0).output().text();
  ASSERT_GT(output.size(), 8U);
  EXPECT_THAT(log, Not(HasSubstr(output)));

  std::vector<LogEvent> requests;
  for (const LogEvent& event : server.Log()) {
    EXPECT_EQ(event.count("time") + event.count("level") + event.count("event"), 3U);
    if (event.at("event") == "request") requests.push_back(event);
  }
  ASSERT_EQ(requests.size(), 5U);
  EXPECT_EQ(requests[0].at("rpc"), "Translate");
  EXPECT_EQ(requests[0].at("model"), "luong");
  EXPECT_EQ(requests[0].at("code"), "OK");
  EXPECT_EQ(requests[0].at("texts"), "1");
  EXPECT_EQ(requests[0].at("segments"), "1");
  EXPECT_EQ(requests[0].at("request_id"), good.trailers.at("x-request-id"));
  EXPECT_EQ(requests[1].at("code"), "NOT_FOUND");
  EXPECT_EQ(requests[1].at("model"), "unknown");
}

// CPU time that the process has used, to the nanosecond. The ticks of /proc/PID/stat are samples of 10 ms: a thread
// that runs for microseconds just as the kernel looks is charged a whole one.
absl::Duration CpuTime(int pid) {
  clockid_t clock;
  timespec time{};
  EXPECT_EQ(clock_getcpuclockid(pid, &clock), 0);
  EXPECT_EQ(clock_gettime(clock, &time), 0);
  return absl::DurationFromTimespec(time);
}

// How often threads of the process went to sleep or were put aside.
std::int64_t Switches(int pid) {
  std::int64_t switches = 0;
  for (const auto& task : std::filesystem::directory_iterator(absl::StrCat("/proc/", pid, "/task"))) {
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      const auto colon = line.find("ctxt_switches:");
      std::int64_t count = 0;
      if (colon != std::string::npos && absl::SimpleAtoi(line.substr(colon + 14), &count)) switches += count;
    }
  }
  return switches;
}

// A thread that looks for work every 100 ms wakes 20 times in two seconds, beside the 10 of libraries; one that spins
// uses them up. How long a wake-up takes is no measure: a machine that is shared counts the time of others into it.
TEST(Service, AnIdleServerUsesNoCpu) {
  TempFolder models;
  WriteSmallModels(models.path());
  RunningServer server(models.path(), {"--workers=2"});
  // Idle after work, with a connection open, is the state that matters.
  ASSERT_TRUE(server.caller().Translate(TranslateTexts(Sentences(8), "luong")).ok());
  server.WaitUntilIdle();
  const int pid = server.process().pid();
  const absl::Duration time_before = CpuTime(pid);
  const std::int64_t switches_before = Switches(pid);
  EXPECT_GT(time_before, absl::ZeroDuration());
  EXPECT_GT(switches_before, 0);
  absl::SleepFor(absl::Seconds(2));  // what is measured is time in which nothing happens
  EXPECT_LE(Switches(pid) - switches_before, 20) << "of all threads in two seconds";
  EXPECT_LE(CpuTime(pid) - time_before, absl::Milliseconds(200)) << "of two seconds";
}

}  // namespace
}  // namespace heed
