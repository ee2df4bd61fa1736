// The `heed` command as a person types it, against a fake server in this process.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <set>
#include <sstream>
#include <streambuf>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "client/cli/certificate.h"
#include "client/cli/commands.h"
#include "client/cli/connection.h"
#include "client/cli/doubts.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/client/fake_server.h"

namespace heed::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Cli : public ::testing::Test {
 protected:
  Console MakeConsole(int in, std::ostream* out, std::ostream* err) {
    Console console;
    console.in = in;
    console.out = out;
    console.err = err;
    console.columns = 80;
    console.out_is_terminal = terminal_;
    console.err_is_terminal = terminal_;
    console.environment = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = environment_.find(name);
      if (found == environment_.end()) return std::nullopt;
      return found->second;
    };
    for (const auto& [name, value] : environment_) console.variables.push_back(absl::StrCat(name, "=", value));
    return console;
  }

  int Run(std::vector<std::string> arguments, const std::string& input = "") {
    const int in = memfd_create("input", MFD_CLOEXEC);
    EXPECT_EQ(pwrite(in, input.data(), input.size(), 0), static_cast<ssize_t>(input.size()));
    std::ostringstream out, err;
    const int code = RunHeed(arguments, MakeConsole(in, &out, &err));
    close(in);
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  std::string WriteFile(const std::string& contents) {
    std::string path = ::testing::TempDir() + "/heed_cli_test_input";
    std::ofstream(path, std::ios::binary) << contents;
    return path;
  }

  FakeServer server_;
  std::map<std::string, std::string> environment_ = {{"HEED_ADDRESS", server_.address()}};
  bool terminal_ = false;
  std::string out_, err_;
};

TEST_F(Cli, TranslatesItsOperands) {
  EXPECT_EQ(Run({"translate", "one", "two words"}), 0);
  EXPECT_EQ(out_, "ONE\nTWO WORDS\n");
  EXPECT_EQ(err_, "");
  ASSERT_EQ(server_.requests().size(), 1u);
  EXPECT_FALSE(server_.requests()[0].has_attention());
  EXPECT_FALSE(server_.requests()[0].search().has_beam_size());
}

TEST_F(Cli, SummarizesStandardInputLineByLine) {
  EXPECT_EQ(Run({"summarize"}, "one\r\ntwo\n\nlast without an end"), 0);
  EXPECT_EQ(out_, "ONE\nTWO\n\nLAST WITHOUT AN END\n");
  ASSERT_EQ(server_.requests().size(), 1u);
  EXPECT_THAT(server_.requests()[0].texts(), ElementsAre("one", "two", "last without an end"));
}

TEST_F(Cli, StreamsTextsOneAfterTheOther) {
  EXPECT_EQ(Run({"translate", "--stream"}, "one\ntwo words\n"), 0) << err_;
  EXPECT_EQ(out_, "ONE\nTWO WORDS\n");
  EXPECT_EQ(server_.requests().size(), 2u);
  server_.FailStream(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "too slow"));
  EXPECT_EQ(Run({"translate", "--stream", "abcd"}), 7);
  EXPECT_EQ(out_, "AB\n");
  EXPECT_THAT(err_, StartsWith("heed: DEADLINE_EXCEEDED: too slow"));
  EXPECT_EQ(Run({"translate", "--stream", "--attention", "one"}), 2);
}

TEST_F(Cli, SendsNothingForEmptyLines) {
  EXPECT_EQ(Run({"translate"}, "\n\n"), 0);
  EXPECT_EQ(out_, "\n\n");
  EXPECT_EQ(server_.calls(), 0);
}

TEST_F(Cli, TakesAWholeInputAsOneText) {
  EXPECT_EQ(Run({"translate", "--whole"}, "one\n\ntwo\n"), 0);
  EXPECT_EQ(out_, "ONE\n\nTWO\n\n");
  EXPECT_THAT(server_.requests()[0].texts(), ElementsAre("one\n\ntwo\n"));
}

TEST_F(Cli, KeepsTheOrderOfAFileSentInManyRequests) {
  std::string lines, expected;
  for (int i = 0; i < 1000; ++i) {
    lines += absl::StrCat("line ", i, "\n");
    expected += absl::StrCat("LINE ", i, "\n");
  }
  EXPECT_EQ(Run({"translate", "--file", WriteFile(lines), "--batch_size=7", "--in_flight=5"}), 0);
  EXPECT_EQ(out_, expected);
  EXPECT_EQ(server_.calls(), 143);
}

TEST_F(Cli, ShowsABarForAFileOnATerminalAndTakesItAway) {
  terminal_ = true;
  const std::string path = WriteFile("a\nb\nc\n");
  EXPECT_EQ(Run({"translate", "--file=" + path, "--batch_size=1"}), 0);
  EXPECT_EQ(out_, "A\nB\nC\n");
  EXPECT_THAT(err_, AllOf(HasSubstr("%"), HasSubstr("lines"), ::testing::EndsWith("\r\x1b[K")));
  for (const char* flag : {"--noprogress", "--no-progress", "--no_progress", "--progress=false"}) {
    EXPECT_EQ(Run({"translate", "--file=" + path, flag}), 0);
    EXPECT_EQ(err_, "");
  }
  terminal_ = false;
  EXPECT_EQ(Run({"translate", "--file=" + path}), 0);
  EXPECT_EQ(err_, "");
}

TEST_F(Cli, PassesEveryOptionOn) {
  EXPECT_EQ(Run({"translate",
                 "--model=m",
                 "--model_version",
                 "v",
                 "--source_language=ko",
                 "--target-language=en",
                 "--beam_size=5",
                 "--n_best=2",
                 "--min_length=1",
                 "--max_length=99",
                 "--length_normalization=gnmt:0.7",
                 "--repetition_penalty=1.5",
                 "--no_repeat_ngram_size=3",
                 "--truncate",
                 "--energies",
                 "--attention",
                 "--contexts",
                 "--output=json",
                 "--attends=a,b",
                 "--max_reply_bytes=9000000",
                 "--noshortlist",
                 "--priority=batch",
                 "--time_budget=1.5s",
                 "text"}),
            0);
  const v1::TranslateRequest request = server_.requests().at(0);
  EXPECT_EQ(request.ShortDebugString(),
            "model { name: \"m\" version: \"v\" source_language: \"ko\" target_language: \"en\" } texts: \"text\" "
            "search { beam_size: 5 n_best: 2 min_length: 1 max_length: 99 repetition_penalty: 1.5 "
            "no_repeat_ngram_size: 3 gnmt { alpha: 0.7 } } too_long: TOO_LONG_POLICY_TRUNCATE "
            "attention { components: ATTENTION_COMPONENT_WEIGHTS components: ATTENTION_COMPONENT_ENERGIES "
            "components: ATTENTION_COMPONENT_CONTEXTS unit: ATTENTION_UNIT_PIECES attends: \"a\" attends: \"b\" } "
            "max_reply_bytes: 9000000 shortlist: false "
            "priority: PRIORITY_BATCH time_budget { seconds: 1 nanos: 500000000 }");
}

TEST_F(Cli, HasAFlagForEveryFieldOfTheSearch) {
  EXPECT_EQ(Run({"translate",
                 "--beam_policy=go_on",
                 "--beam-stop=places_ended",
                 "--unfinished=fill",
                 "--unknowns=ban",
                 "--unknown_penalty=0.5",
                 "--word_penalty=-1",
                 "--coverage_penalty=wu",
                 "--coverage_beta=0.2",
                 "--coverage_every_step",
                 "--nolength_every_step",
                 "--late_end_scores",
                 "--length_offset=-1",
                 "--max_length_a=1.5",
                 "--max_length_b=2",
                 "--max_length_cap=40",
                 "--max_length_rounds_up",
                 "--min_length_a=0.5",
                 "--min_length_b=3",
                 "--no_repeat_ngram_drops",
                 "--replace_unknowns",
                 "--attend=c",
                 "--length_normalization=gnmt:1:0",
                 "--beam_size=2",
                 "--n_best=1",
                 "--no_repeat_ngram_size=2",
                 "--repetition_penalty=2",
                 "text"}),
            0)
      << err_;
  const v1::SearchOptions search = server_.requests().at(0).search();
  EXPECT_EQ(search.ShortDebugString(),
            "beam_size: 2 n_best: 1 repetition_penalty: 2 no_repeat_ngram_size: 2 gnmt { alpha: 1 beta: 0 } "
            "length_offset: -1 length_every_step: false late_end_scores: true max_length_a: 1.5 max_length_b: 2 "
            "min_length_a: 0.5 min_length_b: 3 beam_policy: BEAM_POLICY_GO_ON beam_stop: BEAM_STOP_PLACES_ENDED "
            "unfinished: UNFINISHED_POLICY_FILL unknowns: UNKNOWN_POLICY_BAN unknown_penalty: 0.5 word_penalty: -1 "
            "coverage_penalty: COVERAGE_PENALTY_WU coverage_beta: 0.2 coverage_every_step: true "
            "no_repeat_ngram_drops: true replace_unknowns: true attend: \"c\" max_length_cap: 40 "
            "max_length_rounds_up: true");
  // Nothing is left out but what excludes the above, and what is a bundle's alone.
  std::vector<std::string> unset;
  for (int i = 0; i < search.GetDescriptor()->field_count(); ++i) {
    const auto* const field = search.GetDescriptor()->field(i);
    const bool is_set = !field->is_repeated() && search.GetReflection()->HasField(search, field);
    if (!is_set) unset.push_back(field->name());
  }
  EXPECT_THAT(unset, ::testing::ElementsAre("min_length", "max_length", "none", "average", "banned_ids"));
}

// Help, range and kind of each flag are those of the field's rules: nothing is written twice.
TEST_F(Cli, SaysOfEachFieldOfTheSearchWhatItsRulesSay) {
  EXPECT_EQ(Run({"translate", "--help"}), 0);
  const auto& message = *v1::SearchOptions::descriptor();
  for (int i = 0; i < message.field_count(); ++i) {
    const v1::FieldRules& rules = message.field(i)->options().GetExtension(v1::rules);
    if (rules.bundle_only() || message.field(i)->message_type() != nullptr) continue;
    EXPECT_THAT(out_, HasSubstr("--" + message.field(i)->name())) << out_;
    EXPECT_THAT(out_, HasSubstr(rules.help()));
  }
  EXPECT_THAT(out_, HasSubstr("none, average[:ALPHA] or gnmt[:ALPHA[:BETA]]"));
  EXPECT_THAT(out_, HasSubstr("(-100 to 100)"));
}

TEST_F(Cli, SaysWhatBecomesOfWhatIsTooLong) {
  const std::pair<const char*, v1::TooLongPolicy> flags[] = {{"--too_long=split", v1::TOO_LONG_POLICY_SPLIT},
                                                             {"--too_long=truncate", v1::TOO_LONG_POLICY_TRUNCATE},
                                                             {"--truncate", v1::TOO_LONG_POLICY_TRUNCATE},
                                                             {"--too_long=error", v1::TOO_LONG_POLICY_ERROR},
                                                             {"--plain", v1::TOO_LONG_POLICY_UNSPECIFIED}};
  for (const auto& [flag, policy] : flags) {
    EXPECT_EQ(Run({"translate", flag, "text"}), 0);
    EXPECT_EQ(server_.requests().back().too_long(), policy) << flag;
  }
}

TEST_F(Cli, LeavesBoundsToTheServer) {
  EXPECT_EQ(Run({"translate", "--beam_size=0", "--repetition_penalty=-1", "--max_length=-7", "text"}), 0);
  EXPECT_EQ(server_.requests()[0].search().beam_size(), 0);
  EXPECT_TRUE(server_.requests()[0].search().has_beam_size());
  EXPECT_EQ(server_.requests()[0].search().max_length(), -7);
}

struct UsageCase {
  std::string name;
  std::vector<std::string> arguments;
  std::string message;
};

class Usage : public Cli, public ::testing::WithParamInterface<UsageCase> {};

TEST_P(Usage, IsRefusedWithOneLine) {
  EXPECT_EQ(Run(GetParam().arguments), 2);
  EXPECT_EQ(err_, "heed: " + GetParam().message + "\n");
  EXPECT_EQ(out_, "");
  EXPECT_EQ(server_.calls(), 0);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Usage,
    ::testing::Values(
        UsageCase{"UnknownCommand",
                  {"translat"},
                  "there is no command translat; did you mean translate? heed --help lists them"},
        UsageCase{"NoCommand", {"xyzzy"}, "there is no command xyzzy; heed --help lists them"},
        UsageCase{"UnknownTopic", {"help", "xyzzy"}, "there is no command xyzzy; heed --help lists them"},
        UsageCase{"FlagBeforeCommand",
                  {"--address=a:1", "translate"},
                  "flags go behind the command: heed COMMAND --address=a:1"},
        UsageCase{
            "MisspeltFlag", {"translate", "--beam_sise=2"}, "there is no flag --beam_sise; did you mean --beam_size?"},
        UsageCase{"UnknownFlag", {"models", "--xyzzy"}, "there is no flag --xyzzy"},
        UsageCase{
            "ShortFlag", {"translate", "-x"}, "there is no flag -x (a text that begins with a dash goes behind --)"},
        UsageCase{"MissingValue", {"translate", "--model"}, "--model needs a value"},
        UsageCase{
            "NoNumber",
            {"translate", "--beam_size=two"},
            "--beam_size is \"two\"; it must be a whole number, 1 to the server's --max_beam_size (16 where it says "
            "nothing else)"},
        UsageCase{"NoFraction",
                  {"translate", "--repetition-penalty=high"},
                  "--repetition_penalty is \"high\"; it must be a number, 1 to 10"},
        UsageCase{"TooLargeABatch",
                  {"translate", "--batch_size=5000"},
                  "--batch_size is \"5000\"; it must be a whole number from 1 to 4096"},
        UsageCase{"NoReply",
                  {"translate", "--max_reply_bytes=0"},
                  "--max_reply_bytes is \"0\"; it must be a whole number from 1 to 2147483647"},
        UsageCase{
            "TooShortABudget",
            {"translate", "--time_budget=1us"},
            "--time_budget is \"1us\"; it must be a time such as 30s, 1m30s or 500ms (a plain number is seconds), at "
            "least 1ms and at most 24h"},
        UsageCase{
            "NoBoolean", {"translate", "--attention=maybe"}, "--attention is \"maybe\"; it must be true or false"},
        UsageCase{"NegatedValue", {"translate", "--nomodel"}, "there is no flag --nomodel; did you mean --model?"},
        UsageCase{
            "NoTime",
            {"translate", "--timeout=soon"},
            "--timeout is \"soon\"; it must be a time such as 30s, 1m30s or 500ms (a plain number is seconds), longer "
            "than 0 and at most a year"},
        UsageCase{
            "NoTimeLeft",
            {"health", "--timeout=0"},
            "--timeout is \"0\"; it must be a time such as 30s, 1m30s or 500ms (a plain number is seconds), longer "
            "than 0 and at most a year"},
        UsageCase{"UnknownOutput", {"translate", "--output=xml"}, "--output is \"xml\"; it must be text or json"},
        UsageCase{"UnknownNormalization",
                  {"translate", "--length_normalization=sum"},
                  "--length_normalization is \"sum\"; it must be none, average[:ALPHA] or gnmt[:ALPHA[:BETA]]"},
        UsageCase{"NormalizationOfTooMuch",
                  {"translate", "--length_normalization=average:1:2"},
                  "--length_normalization is \"average:1:2\"; it must be none, average[:ALPHA] or gnmt[:ALPHA[:BETA]]"},
        UsageCase{"NormalizationByNoNumber",
                  {"translate", "--length_normalization=gnmt:x"},
                  "--length_normalization is \"gnmt:x\"; what stands behind a colon must be a number: ALPHA 0 to 10, "
                  "BETA 0 to 100"},
        UsageCase{"UnknownStop",
                  {"translate", "--unfinished=drop"},
                  "--unfinished is \"drop\"; it must be count or fill or end"},
        UsageCase{"FileAndOperands",
                  {"translate", "--file=x", "y"},
                  "texts come from the command line or from --file, not from both"},
        UsageCase{"EnergiesOfWords",
                  {"translate", "--energies", "--unit=words", "x"},
                  "--energies cannot be folded to words; use --unit=pieces"},
        UsageCase{"ContextsOfWords",
                  {"translate", "--contexts", "--output=json", "--unit=words", "x"},
                  "--contexts cannot be folded to words; use --unit=pieces"},
        UsageCase{"ContextsDrawn",
                  {"translate", "--attention", "--contexts", "x"},
                  "--contexts are numbers, which are not drawn; use --output=json"},
        UsageCase{"HeadOfNothing",
                  {"translate", "--head=0", "x"},
                  "--head chooses what is drawn; use --attention or --energies"},
        UsageCase{"HeadOfJson",
                  {"translate", "--head=0", "--attention", "--output=json", "x"},
                  "--head chooses what is drawn; --output=json has every head"},
        UsageCase{"NoHead",
                  {"translate", "--head=first", "--attention", "x"},
                  "--head is \"first\"; it must be numbers from 0, as N or ATTEND:N, with commas between them"},
        UsageCase{"NarrowMap",
                  {"translate", "--width=19", "--attention", "x"},
                  "--width is \"19\"; it must be a whole number from 20 to 1000"},
        UsageCase{"WideMap",
                  {"translate", "--width=1001", "--attention", "x"},
                  "--width is \"1001\"; it must be a whole number from 20 to 1000"},
        UsageCase{"MissingFile", {"translate", "--file=/nowhere/at/all"}, "--file: cannot open /nowhere/at/all"},
        UsageCase{"Folder", {"translate", "--file=/tmp"}, "--file: /tmp is a folder"},
        UsageCase{
            "MissingCertificate", {"health", "--tls_ca=/nowhere"}, "--tls_ca: /nowhere cannot be read, or is empty"},
        UsageCase{"KeyAlone",
                  {"health", "--tls_certificate=/proc/self/cmdline"},
                  "a TLS certificate and its key go together; only one of them is given"},
        UsageCase{
            "TwoModels", {"models", "a", "b"}, "heed models takes one NAME at most, and --model_version only with it"}),
    [](const auto& info) { return info.param.name; });

TEST_F(Cli, PrintsHelpForEachCommand) {
  for (const char* command : {"translate", "summarize", "models", "health"}) {
    EXPECT_EQ(Run({command, "--help"}), 0);
    EXPECT_THAT(out_,
                AllOf(StartsWith(absl::StrCat("heed ", command)), HasSubstr("--address"), HasSubstr("Exit codes")));
    for (const absl::string_view line : absl::StrSplit(out_, '\n')) EXPECT_LE(line.size(), 120u) << line;
  }
  EXPECT_EQ(Run({"--help"}), 0);
  EXPECT_THAT(out_, HasSubstr("heed COMMAND --help"));
  EXPECT_EQ(Run({"help", "--help"}), 0);
  EXPECT_EQ(Run({}), 2);
}

TEST_F(Cli, PrintsTheSameHelpHoweverItIsAskedFor) {
  environment_["HEED_TIMEOUT"] = "soon";  // that is no reason to withhold it
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"translate"}, {"summarize"}, {"models"}, {"health"}, {"bench"}, {"bench", "plot"}}) {
    std::vector<std::string> ask = command;
    ask.emplace_back("--help");
    EXPECT_EQ(Run(ask), 0) << err_;
    const std::string help = out_;
    EXPECT_THAT(help, StartsWith(absl::StrCat("heed ", command[0])));
    ask.back() = "-h";
    EXPECT_EQ(Run(ask), 0) << err_;
    EXPECT_EQ(out_, help);
    for (const char* word : {"help", "--help", "-h"}) {
      ask = {word};
      ask.insert(ask.end(), command.begin(), command.end());
      EXPECT_EQ(Run(ask), 0) << err_;
      EXPECT_EQ(out_, help) << word;
    }
  }
}

TEST_F(Cli, WarnsOfAMistypedVariableAndGoesOn) {
  environment_["HEED_TIMOUT"] = "1s";
  environment_["HEED_XYZZY"] = "";
  EXPECT_EQ(Run({"translate", "one"}), 0);
  EXPECT_EQ(out_, "ONE\n");
  EXPECT_EQ(err_,
            "heed: warning: nothing reads the variable HEED_TIMOUT; did you mean HEED_TIMEOUT?\n"
            "heed: warning: nothing reads the variable HEED_XYZZY\n");
  environment_ = {{"HEED_ADDRESS", server_.address()},
                  {"HEED_MAX_ROWS", "3"},
                  {"HEED_TLS_CERT", "cert.pem"},
                  {"HEED_SERVICE_HOST", "10.0.0.1"},
                  {"HEED_WERROR", "ON"}};
  EXPECT_EQ(Run({"translate", "one"}), 0);
  EXPECT_EQ(err_, "") << "the server's are known";
}

TEST_F(Cli, TakesTextsThatBeginWithADash) {
  EXPECT_EQ(Run({"translate", "--", "--model", "-x"}), 0);
  EXPECT_EQ(out_, "--MODEL\n-X\n");
}

TEST_F(Cli, PrintsTheOtherTextsWhenOneFails) {
  server_.SetDecorator([](const std::string& text, v1::TextResult* result) {
    if (text != "long") return;
    result->mutable_error()->set_code(11);
    result->mutable_error()->set_message("600 source tokens; at most 512 are allowed");
  });
  EXPECT_EQ(Run({"translate"}, "a\nlong\nb\n"), 1);
  EXPECT_EQ(out_, "A\n\nB\n");
  EXPECT_EQ(err_, "heed: text 2: OUT_OF_RANGE: 600 source tokens; at most 512 are allowed\n");
}

TEST_F(Cli, DoesNotSendWhatIsNotUtf8) {
  EXPECT_EQ(Run({"translate"}, "a\nb\xff\nc\n"), 1);
  EXPECT_EQ(out_, "A\n\nC\n");
  EXPECT_EQ(err_, "heed: text 2: INVALID_ARGUMENT: byte 1 is not valid UTF-8; the text was not sent\n");
  EXPECT_THAT(server_.requests()[0].texts(), ElementsAre("a", "c"));
}

TEST_F(Cli, PrintsNothingOfAServersThatATerminalWouldObey) {
  const std::string obeyed = "\x1b[31mred\u009b2J\n\u202Eback";
  const std::string shown = "\uFFFD[31mred\uFFFD2J\uFFFD\uFFFDback";
  google::rpc::BadRequest bad_request;
  auto* const violation = bad_request.add_field_violations();
  violation->set_field("search" + obeyed);
  violation->set_description(obeyed);
  google::rpc::Status details;
  details.add_details()->PackFrom(bad_request);
  const grpc::Status failure(grpc::StatusCode::INVALID_ARGUMENT, obeyed, details.SerializeAsString());
  const std::string said =
      absl::StrCat("heed: INVALID_ARGUMENT: ", shown, "\nheed:   search", shown, ": ", shown, "\n");
  for (const char* command : {"translate", "summarize"}) {
    server_.Fail({{failure, ""}});
    EXPECT_EQ(Run({command, "x"}), 3);
    EXPECT_EQ(err_, said);
  }
  server_.Fail({{failure, ""}});
  EXPECT_EQ(Run({"models"}), 3);
  EXPECT_EQ(err_, said);
  server_.FailStream(failure);
  EXPECT_EQ(Run({"translate", "--stream", "x"}), 3);
  EXPECT_EQ(err_, said);
  server_.Fail({{failure, ""}});
  EXPECT_EQ(Run({"bench", "--texts=" + WriteFile("x\n"), "--concurrency=1", "--requests=1"}), 3);
  EXPECT_EQ(err_, absl::StrCat("heed: INVALID_ARGUMENT: ", shown, "\n"));
  EXPECT_THAT(out_, HasSubstr("the first error: \uFFFD[31mred\uFFFD2J "));
  EXPECT_THAT(out_, Not(HasSubstr("\x1b")));
  server_.Fail({{grpc::Status(grpc::StatusCode::INTERNAL, "no UTF-8: \xff\x1b"), ""}});
  EXPECT_EQ(Run({"bench", "--texts=" + WriteFile("x\n"), "--concurrency=1", "--requests=1", "--json=-"}), 8);
  EXPECT_EQ(nlohmann::json::parse(out_)["first_error"], "no UTF-8: \uFFFD\x1b");
  server_.SetDecorator([&](const std::string&, v1::TextResult* result) {
    result->mutable_error()->set_code(11);
    result->mutable_error()->set_message(obeyed);
  });
  for (const std::vector<std::string>& command : {std::vector<std::string>{"translate"}, {"translate", "--stream"}}) {
    EXPECT_EQ(Run(command, "x\n"), 1);
    EXPECT_THAT(err_, ::testing::EndsWith(shown + "\n"));
  }
}

TEST_F(Cli, PrintsOutputAsItIsButOnATerminalNothingThatItWouldObey) {
  server_.SetDecorator(
      [](const std::string&, v1::TextResult* result) { result->mutable_output()->set_text("a\x1b[31mb\tc"); });
  for (const bool terminal : {false, true}) {
    terminal_ = terminal;
    const std::string text = terminal ? "a\uFFFD[31mb\tc\n" : "a\x1b[31mb\tc\n";
    for (const std::vector<std::string>& command : {std::vector<std::string>{"translate"}, {"translate", "--stream"}}) {
      EXPECT_EQ(Run(command, "x\n"), 0);
      EXPECT_EQ(out_, text);
    }
  }
}

TEST_F(Cli, EveryConnectionFlagHasAVariable) {
  ConnectionOptions options;
  const std::map<std::string, std::string> values = {
      {"HEED_ADDRESS", "a:1"},        {"HEED_TIMEOUT", "7s"},          {"HEED_RETRIES", "9"},
      {"HEED_TLS", "true"},           {"HEED_TLS_CA", "ca"},           {"HEED_TLS_CLIENT_CERTIFICATE", "certificate"},
      {"HEED_TLS_CLIENT_KEY", "key"}, {"HEED_TLS_SERVER_NAME", "name"}};
  const std::vector<FlagGroup> flags = {ConnectionFlags(&options)};
  std::set<std::string> variables;
  for (const Flag& flag : flags[0].flags) variables.insert(flag.variable);
  EXPECT_EQ(variables.size(), flags[0].flags.size());
  for (const auto& [name, value] : values) EXPECT_EQ(variables.count(name), 1u) << name;
  EXPECT_EQ(variables.size(), values.size());
  const auto environment = [&values](const std::string& name) -> std::optional<std::string> { return values.at(name); };
  ASSERT_TRUE(ParseFlags(flags, {"--retries=3"}, environment).ok());
  EXPECT_EQ(options.client.address, "a:1");
  EXPECT_EQ(options.timeout, absl::Seconds(7));
  EXPECT_EQ(options.retries, 3) << "the command line wins";
  EXPECT_TRUE(options.client.tls);
  EXPECT_EQ(options.tls_ca_file, "ca");
  EXPECT_EQ(options.tls_certificate_file, "certificate");
  EXPECT_EQ(options.tls_key_file, "key");
  EXPECT_EQ(options.client.tls_server_name, "name");
}

TEST_F(Cli, AVariableThatIsWrongIsNamedAndAnEmptyOneSaysNothing) {
  environment_["HEED_TIMEOUT"] = "soon";
  EXPECT_EQ(Run({"health"}), 2);
  EXPECT_THAT(err_, StartsWith("heed: HEED_TIMEOUT is \"soon\"; it must be a time such as 30s, 1m30s or 500ms"));
  EXPECT_EQ(Run({"health", "--timeout=20s"}), 0) << "the command line wins: " << err_;
  environment_["HEED_TIMEOUT"] = "";
  environment_["HEED_TLS_CA"] = "";
  environment_["HEED_TLS_SERVER_NAME"] = "";
  EXPECT_EQ(Run({"health", "--timeout=20s"}), 0) << err_;
  EXPECT_EQ(Run({"health", "--help"}), 0);
  EXPECT_THAT(out_, HasSubstr("[$HEED_TLS_SERVER_NAME]"));
}

TEST_F(Cli, SaysThatATextWasCutShort) {
  server_.SetDecorator([](const std::string&, v1::TextResult* result) {
    v1::Segment* const segment = result->mutable_output()->add_segments();
    segment->set_end(4);
    segment->set_truncated(true);
  });
  EXPECT_EQ(Run({"translate", "--truncate", "text"}), 0);
  EXPECT_THAT(err_, HasSubstr("text 1: bytes 0 to 4 were too long for the model and were cut short"));
}

// "doubt" makes a doubtful output, "other" one whose source the model cannot know.
void Calibrate(const std::string& text, v1::TextResult* result) {
  v1::Segment* const segment = result->mutable_output()->add_segments();
  segment->set_end(static_cast<int>(text.size()));
  v1::Hypothesis* const hypothesis = segment->add_hypotheses();
  hypothesis->set_text(result->output().text());
  hypothesis->set_confidence(text == "doubt" ? 0.25F : 0.75F);
  hypothesis->set_doubtful(text == "doubt");
  v1::SourceCoverage* const coverage = segment->mutable_source_coverage();
  coverage->set_share(text == "other" ? 0.0996F : 1);
  coverage->set_least_share(0.1F);
  coverage->set_low(text == "other");
}

constexpr char kExplained[] =
    "heed: ~ stands by what is likely wrong, by how sure the model was; --output=json has the numbers, --plain leaves "
    "it "
    "out\n";

TEST_F(Cli, MarksDoubtfulLinesOnATerminalAndSaysOnceWhatThatIs) {
  server_.SetDecorator(Calibrate);
  terminal_ = true;
  EXPECT_EQ(Run({"translate", "sure", "doubt", "doubt"}), 0);
  EXPECT_EQ(out_, "SURE\n~ DOUBT\n~ DOUBT\n");
  EXPECT_EQ(err_, kExplained);
  EXPECT_EQ(Run({"translate", "--stream", "sure", "doubt"}), 0);
  EXPECT_EQ(out_, "SURE\nDOUBT ~\n") << "when the line is done";
  EXPECT_EQ(err_, kExplained);
  EXPECT_EQ(Run({"translate", "--n_best=2", "doubt"}), 0);
  EXPECT_EQ(out_, "~ 1.1.1\t0.0000\tDOUBT\n");
  EXPECT_EQ(err_, kExplained);
  for (const char* flag : {"--plain", "--output=json"}) {
    EXPECT_EQ(Run({"summarize", flag, "doubt"}), 0);
    EXPECT_THAT(out_, Not(HasSubstr("~"))) << flag;
    EXPECT_EQ(err_, "") << flag;
  }
}

TEST_F(Cli, LeavesLinesForProgramsAsTheyAreAndSaysAtTheEndWhichAreDoubtful) {
  server_.SetDecorator(Calibrate);
  EXPECT_EQ(Run({"translate"}, "sure\ndoubt\n\ndoubt\n"), 0);
  EXPECT_EQ(out_, "SURE\nDOUBT\n\nDOUBT\n");
  EXPECT_EQ(err_,
            "heed: 2 of 4 texts are likely wrong, by how sure the model was: 2, 4; --noplain marks them with ~, "
            "--output=json has the numbers, --plain says nothing\n");
  EXPECT_EQ(Run({"translate", "--stream"}, "sure\ndoubt\n"), 0);
  EXPECT_EQ(out_, "SURE\nDOUBT\n");
  EXPECT_THAT(err_, StartsWith("heed: 1 of 2 texts are likely wrong"));
  EXPECT_EQ(Run({"translate", "--batch_size=2"}, "doubt\ndoubt\ndoubt\ndoubt\ndoubt\ndoubt\n"), 0);
  EXPECT_THAT(err_, HasSubstr("6 of 6 texts are likely wrong, by how sure the model was: 1, 2, 3, 4, 5, ...;"));
  EXPECT_EQ(Run({"translate", "--plain"}, "doubt\n"), 0);
  EXPECT_EQ(out_ + err_, "DOUBT\n");
  EXPECT_EQ(Run({"translate", "--noplain"}, "sure\ndoubt\n"), 0);
  EXPECT_EQ(out_, "SURE\n~ DOUBT\n");
  EXPECT_EQ(err_, kExplained);
  EXPECT_EQ(Run({"translate", "--output=json", "doubt"}), 0);
  const auto json = nlohmann::json::parse(out_);
  const auto& hypothesis = json["result"]["output"]["segments"][0]["hypotheses"][0];
  EXPECT_EQ(hypothesis["confidence"], 0.25);
  EXPECT_EQ(hypothesis["doubtful"], true);
  EXPECT_EQ(err_, "");
}

TEST_F(Cli, SaysWhichTextsAreNotWhatTheModelReads) {
  server_.SetDecorator(Calibrate);
  const std::string said =
      "heed: text 2: 9 % of it is Korean (Hangul) as fake knows it, and 10 % or more should be: the output is likely "
      "worthless\n";
  for (const char* flag : {"--plain", "--stream", "--output=json"}) {
    EXPECT_EQ(Run({"translate", flag, "sure", "other"}), 0);
    EXPECT_EQ(err_, said) << flag;
  }
  EXPECT_EQ(Run({"translate"}, "other\nother\nother\nother\nother\nother\nother\n"), 0);
  EXPECT_EQ(std::count(err_.begin(), err_.end(), '\n'), 6) << err_;
  EXPECT_THAT(err_, HasSubstr("heed: text 5: "));
  EXPECT_THAT(err_, ::testing::EndsWith("heed: the same is to be said of 2 further texts\n"));
}

TEST_F(Cli, SaysWhichPartOfATextIsNotWhatTheModelReads) {
  server_.SetDecorator([](const std::string& text, v1::TextResult* result) {
    Calibrate("sure", result);
    Calibrate(text, result);
    result->mutable_output()->mutable_segments(1)->set_begin(2);
  });
  EXPECT_EQ(Run({"translate", "other"}), 0);
  EXPECT_THAT(err_, StartsWith("heed: text 1, bytes 2 to 5: 9 % of it is Korean"));
}

TEST(ReadsWhat, NamesLanguageAndScriptsAsFarAsTheyAreKnown) {
  EXPECT_EQ(ReadsWhat("ko", R"({"source_scripts": {"scripts": ["Hang"]}})"), "Korean (Hangul)");
  EXPECT_EQ(ReadsWhat("ja", R"({"sourceScripts": {"scripts": ["Hira", "Kana", "Hani"]}})"),
            "Japanese (Hiragana, Katakana, Han)");
  EXPECT_EQ(ReadsWhat("ko", "{}"), "Korean");
  EXPECT_EQ(ReadsWhat("", R"({"source_scripts": {"scripts": ["Qqqq", 7]}})"), "Qqqq");
  for (const char* spec : {"", "[", "[]", R"({"source_scripts": 1})", R"({"source_scripts": {"scripts": {}}})"}) {
    EXPECT_EQ(ReadsWhat("", spec), "") << spec;
  }
}

struct CodeCase {
  grpc::StatusCode code;
  int exit;
};

TEST_F(Cli, ExitsByTheClassOfTheError) {
  const CodeCase cases[] = {{grpc::StatusCode::INVALID_ARGUMENT, 3},
                            {grpc::StatusCode::NOT_FOUND, 3},
                            {grpc::StatusCode::FAILED_PRECONDITION, 3},
                            {grpc::StatusCode::UNIMPLEMENTED, 3},
                            {grpc::StatusCode::PERMISSION_DENIED, 4},
                            {grpc::StatusCode::UNAUTHENTICATED, 4},
                            {grpc::StatusCode::UNAVAILABLE, 5},
                            {grpc::StatusCode::RESOURCE_EXHAUSTED, 6},
                            {grpc::StatusCode::DEADLINE_EXCEEDED, 7},
                            {grpc::StatusCode::INTERNAL, 8},
                            {grpc::StatusCode::UNKNOWN, 8}};
  for (const CodeCase& row : cases) {
    server_.Fail({{grpc::Status(row.code, "why"), ""}});
    EXPECT_EQ(Run({"translate", "--retries=0", "x"}), row.exit) << row.code;
    EXPECT_THAT(err_, AllOf(StartsWith("heed: "), HasSubstr(": why\n")));
    EXPECT_EQ(out_, "");
  }
}

TEST_F(Cli, PrintsTheFieldsAtFault) {
  google::rpc::BadRequest bad_request;
  for (const char* field : {"search.beam_size", "search.n_best"}) {
    auto* const violation = bad_request.add_field_violations();
    violation->set_field(field);
    violation->set_description("is wrong");
  }
  google::rpc::Status details;
  details.add_details()->PackFrom(bad_request);
  server_.Fail(
      {{grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "search.beam_size is 0", details.SerializeAsString()), ""}});
  EXPECT_EQ(Run({"translate", "x"}), 3);
  EXPECT_EQ(err_, "heed: INVALID_ARGUMENT: search.beam_size is 0\nheed:   search.n_best: is wrong\n");
}

TEST_F(Cli, SaysWhichFlagWouldHelp) {
  google::rpc::BadRequest bad_request;
  auto* const violation = bad_request.add_field_violations();
  violation->set_field("texts");
  violation->set_description("is wrong");
  google::rpc::Status details;
  details.add_details()->PackFrom(bad_request);
  const std::string message = "texts is a list of 1000; it must be a list of 1 to 256";
  server_.Fail({{grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, message, details.SerializeAsString()), ""}});
  EXPECT_EQ(Run({"translate", "--batch-size=1000", "x"}), 3);
  EXPECT_EQ(err_, absl::StrCat("heed: INVALID_ARGUMENT: ", message,
                               "\nheed:   --batch_size says how many lines go into one request\n"));
  const auto answer = std::make_shared<absl::Notification>();  // the server's thread may outlive the call
  server_.SetHook([answer] { answer->WaitForNotification(); });
  EXPECT_EQ(Run({"translate", "--timeout=1ms", "x"}), 7);
  EXPECT_THAT(err_,
              HasSubstr("heed:   --timeout is 1ms for each request, retries included; a longer one may be enough\n"));
  answer->Notify();
}

// A pipe into `heed`, and what has come out of it so far.
class Piped : public Cli, private std::streambuf {
 protected:
  Piped() : out_stream_(this) {}
  ~Piped() override { End(); }

  void Start(const std::vector<std::string>& arguments) {
    EXPECT_EQ(pipe2(pipe_, O_CLOEXEC), 0);
    thread_ = std::thread([this, arguments] {
      std::ostringstream err;
      code_ = RunHeed(arguments, MakeConsole(pipe_[0], &out_stream_, &err));
      err_ = err.str();
    });
  }
  void Write(const std::string& bytes) {
    EXPECT_EQ(write(pipe_[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  // Whether that is what comes out next, flushed; waits for it.
  bool Said(const std::string& wanted) {
    absl::MutexLock lock(&mu_);
    const auto enough = [this, &wanted]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return said_.size() >= wanted.size(); };
    mu_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(60));
    const std::string said = std::exchange(said_, "");
    EXPECT_EQ(said, wanted);
    return said == wanted;
  }
  // The next line that comes out, without its end; waits for it.
  std::string NextLine() {
    absl::MutexLock lock(&mu_);
    const auto whole = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return said_.find('\n') != said_.npos; };
    mu_.AwaitWithTimeout(absl::Condition(&whole), absl::Seconds(60));
    std::string line = said_.substr(0, said_.find('\n'));
    said_.erase(0, line.size() + 1);
    return line;
  }
  // The exit code.
  int End() {
    if (pipe_[1] >= 0) close(std::exchange(pipe_[1], -1));
    if (thread_.joinable()) thread_.join();
    if (pipe_[0] >= 0) close(std::exchange(pipe_[0], -1));
    return code_;
  }

 private:
  int overflow(int c) override {
    if (c != traits_type::eof()) buffered_ += static_cast<char>(c);
    return c;
  }
  std::streamsize xsputn(const char* bytes, std::streamsize size) override {
    buffered_.append(bytes, static_cast<std::size_t>(size));
    return size;
  }
  int sync() override {
    absl::MutexLock lock(&mu_);
    said_ += std::exchange(buffered_, "");
    return 0;
  }

  int pipe_[2] = {-1, -1};
  std::thread thread_;
  int code_ = -1;
  std::string buffered_;  // the thread's
  absl::Mutex mu_;
  std::string said_ ABSL_GUARDED_BY(mu_);
  std::ostream out_stream_;
};

TEST_F(Piped, EachLineIsAnsweredAsItComes) {
  for (const bool streamed : {false, true}) {
    Start(streamed ? std::vector<std::string>{"translate", "--stream"} : std::vector<std::string>{"summarize"});
    Write("one\n");
    ASSERT_TRUE(Said("ONE\n"));
    Write("two\n\nthr");  // what is not a whole line yet holds nothing up
    ASSERT_TRUE(Said("TWO\n\n"));
    Write("ee\r\n");
    ASSERT_TRUE(Said("THREE\n"));
    Write("last");
    EXPECT_EQ(End(), 0) << err_;
    EXPECT_TRUE(Said("LAST\n"));
  }
}

TEST_F(Piped, AnswersAreJsonLinesAsTheyCome) {
  Start({"translate", "--output=json"});
  for (const char* text : {"one", "two"}) {
    Write(absl::StrCat(text, "\n"));
    const std::string begin = absl::StrCat("{\"source\":\"", text, "\"");
    const std::string line = NextLine();
    EXPECT_THAT(line, StartsWith(begin));
    EXPECT_EQ(nlohmann::json::parse(line)["source"], text);
  }
  EXPECT_EQ(End(), 0) << err_;
}

// What comes while an answer is waited for is sent beside it, in one request where it comes together; the order stays.
TEST_F(Piped, LinesThatComeMeanwhileAreSentTogetherAndAnsweredInOrder) {
  absl::Mutex mu;
  int held = 0;
  bool go_on = false;
  server_.SetHook([&] {
    absl::MutexLock lock(&mu);
    if (++held == 1) mu.Await(absl::Condition(&go_on));
  });
  const auto wait_for = [&](int calls) {
    absl::MutexLock lock(&mu);
    const auto enough = [&]() { return held >= calls; };
    return mu.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(60));
  };
  Start({"translate", "--in_flight=3"});
  Write("a\n");
  ASSERT_TRUE(wait_for(1));
  Write("b\nc\nd\n");
  ASSERT_TRUE(wait_for(2)) << "the first answer was waited for";
  {
    absl::MutexLock lock(&mu);
    go_on = true;
  }
  ASSERT_TRUE(Said("A\nB\nC\nD\n"));
  EXPECT_EQ(End(), 0) << err_;
  EXPECT_EQ(server_.calls(), 2);
}

// A segment that was read as these pieces, by a model whose vocabulary has no others than `known`.
void AddPieces(const std::string& text, const std::set<std::string>& known, v1::TextResult* result) {
  v1::Segment* const segment = result->mutable_output()->add_segments();
  segment->set_end(static_cast<int>(text.size()));
  int begin = 0;
  for (const absl::string_view part : absl::StrSplit(text, ' ')) {
    const std::string word(part);
    v1::Token* const token = segment->add_source_tokens();
    token->set_piece(known.count(word) > 0 ? word : "<unk>");
    token->set_begin(begin);
    token->set_end(begin + static_cast<int>(word.size()));
    begin = token->end() + 1;
  }
  segment->add_source_tokens()->set_special(true);
}

TEST_F(Cli, WarnsOnceWhereASentenceGoesToAModelThatWantsPieces) {
  server_.SetDecorator([](const std::string& text, v1::TextResult* result) {
    AddPieces(text, {"it", "is", "eas@@", "y", "."}, result);
  });
  server_.SetSpec(R"({"source": {"size": 9, "unk_id": 0, "pretokenized": {}}})");
  const std::string said =
      "heed: warning: the model fake takes pieces with spaces between them, and what was sent looks like plain text: "
      "cut it as the model's training text was\n";
  for (const char* text : {"it is easy.", "nothing known here\nnor here"}) {
    EXPECT_EQ(Run({"translate"}, text), 0);
    EXPECT_EQ(err_, said) << text;
  }
  EXPECT_EQ(Run({"translate", "it is eas@@ y ."}), 0);
  EXPECT_EQ(err_, "") << "that is as it should be";
  EXPECT_EQ(Run({"translate", "it is hard ."}), 0);
  EXPECT_EQ(err_, "") << "a rare word is none";
  server_.SetSpec(R"({"source": {"size": 9, "unk_id": 0, "words": {}}})");
  EXPECT_EQ(Run({"translate", "it is easy."}), 0);
  EXPECT_EQ(err_, "") << "words are what such a model wants";
}

TEST_F(Cli, SaysWhichTextsAFailedRequestHad) {
  server_.Fail({{grpc::Status(grpc::StatusCode::INTERNAL, "oops"), ""}});
  EXPECT_EQ(Run({"translate", "--batch_size=2", "--in_flight=1"}, "a\nb\nc\n"), 8);
  EXPECT_EQ(out_, "");
  server_.Fail({{grpc::Status(grpc::StatusCode::INTERNAL, "oops"), ""}});
  EXPECT_EQ(Run({"translate", "--batch_size=2", "--in_flight=2"}, "a\nb\nc\n"), 8);
  EXPECT_THAT(err_, HasSubstr("heed: INTERNAL: oops (texts "));
}

TEST_F(Cli, TriesAgainWhenAFullServerSaysWhen) {
  server_.Fail({{grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full"), "1"}});
  EXPECT_EQ(Run({"translate", "x"}), 0);
  EXPECT_EQ(server_.calls(), 2);
}

TEST_F(Cli, SaysWhereNobodyAnswered) {
  EXPECT_EQ(Run({"health", "--address=127.0.0.1:1"}), 5);
  EXPECT_THAT(err_, AllOf(StartsWith("heed: UNAVAILABLE: "), HasSubstr("that was 127.0.0.1:1; --address")));
}

TEST_F(Cli, PrintsEverythingAsJsonOneObjectPerText) {
  EXPECT_EQ(Run({"translate", "--output=json"}, "파이썬 \"x\"\n\nb\xff\n"), 1);
  const std::vector<std::string> lines = absl::StrSplit(out_, '\n');
  ASSERT_EQ(lines.size(), 4u);
  const auto first = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(first["source"], "파이썬 \"x\"");
  EXPECT_EQ(first["result"]["output"]["text"], "파이썬 \"X\"");
  EXPECT_EQ(first["result"]["output"]["segments"], nlohmann::json::array());
  EXPECT_EQ(first["model"]["name"], "fake");
  const auto second = nlohmann::json::parse(lines[1]);
  EXPECT_EQ(second["source"], "");
  EXPECT_EQ(second["result"]["output"]["text"], "");
  const auto third = nlohmann::json::parse(lines[2]);
  EXPECT_EQ(third["source"], "b\uFFFD");
  EXPECT_EQ(third["result"]["error"]["code"], 3);
}

// One segment "ab" of the source to "AB", each a piece, with attention.
void AddAttention(const std::string& text, v1::TextResult* result) {
  v1::Segment* const segment = result->mutable_output()->add_segments();
  segment->set_end(static_cast<int>(text.size()));
  segment->add_source_tokens()->set_piece("a");
  segment->add_source_tokens()->set_piece("b");
  for (float score : {-0.5f, -1.25f}) {
    v1::Hypothesis* const hypothesis = segment->add_hypotheses();
    hypothesis->set_text("AB");
    hypothesis->set_score(score);
    hypothesis->add_tokens()->set_piece("AB");
    v1::Attention* const attention = hypothesis->add_attentions();
    attention->set_attend("c");
    attention->set_component(v1::ATTENTION_COMPONENT_WEIGHTS);
    attention->set_unit(v1::ATTENTION_UNIT_PIECES);
    attention->mutable_dense()->set_rows(1);
    attention->mutable_dense()->set_columns(2);
    attention->mutable_dense()->add_values(0.25f);
    attention->mutable_dense()->add_values(0.75f);
  }
}

TEST_F(Cli, DrawsAttentionBelowTheText) {
  server_.SetDecorator([](const std::string& text, v1::TextResult* result) {
    AddAttention(text, result);
    result->mutable_output()->mutable_segments(0)->mutable_hypotheses()->RemoveLast();
  });
  EXPECT_EQ(Run({"translate", "--attention", "--unit=pieces", "ab"}), 0);
  EXPECT_EQ(out_,
            "AB\n"
            "\n"
            "attention \"c\", head 0, weights in %\n"
            "   a   b\n"
            "AB ▒25 █75\n"
            "\n");
}

TEST_F(Cli, DrawsAsWideAsItIsToldAndTheHeadsThatItIsTold) {
  server_.SetDecorator([](const std::string& text, v1::TextResult* result) {
    AddAttention(text, result);
    v1::Hypothesis* const hypothesis = result->mutable_output()->mutable_segments(0)->mutable_hypotheses(0);
    *hypothesis->add_attentions() = hypothesis->attentions(0);
    hypothesis->mutable_attentions(1)->set_head(1);
  });
  const auto lines = [this] {
    std::size_t longest = 0;
    for (const absl::string_view line : absl::StrSplit(out_, '\n')) longest = std::max(longest, line.size());
    return longest;
  };
  EXPECT_EQ(Run({"translate", "--attention", "--unit=pieces", "--head=1", "ab"}), 0);
  EXPECT_THAT(out_, AllOf(HasSubstr("hypothesis 1 of 2, attention \"c\", head 1 (of 0 to 1), weights in %\n"),
                          Not(HasSubstr("head 0 "))));
  EXPECT_EQ(Run({"translate", "--attention", "--unit=pieces", "--head=1", "--width=20", "ab"}), 0);
  EXPECT_LE(lines(), 20u) << out_;
  EXPECT_EQ(Run({"translate", "--attention", "--head=2", "ab"}), 2);
  EXPECT_EQ(out_, "");
  EXPECT_EQ(err_, "heed: --head asks for 2; it must be of the heads that there are: c:0 to 1\n");
}

TEST_F(Cli, PrintsALineForEachHypothesisOfAnNBest) {
  server_.SetDecorator(AddAttention);
  EXPECT_EQ(Run({"translate", "--beam_size=2", "--n_best=2", "ab", "ab"}), 0);
  EXPECT_THAT(out_, StartsWith("1.1.1\t-0.5000\tAB\n1.1.2\t-1.2500\tAB\n"));
  EXPECT_THAT(out_, HasSubstr("2.1.2\t-1.2500\tAB\n"));
}

TEST_F(Cli, ColorsMapsWhereTheTerminalHasColors) {
  server_.SetDecorator(AddAttention);
  const std::vector<std::string> command = {"translate", "--attention", "ab"};
  const auto with = [&command](const std::string& flag) {
    std::vector<std::string> arguments = command;
    arguments.push_back(flag);
    return arguments;
  };
  Run(command);
  EXPECT_THAT(out_, Not(HasSubstr("\x1b[")));
  Run(with("--color=always"));
  EXPECT_THAT(out_, HasSubstr("\x1b[48;5;"));
  terminal_ = true;
  Run(command);
  EXPECT_THAT(out_, Not(HasSubstr("\x1b["))) << "a terminal of unknown kind";
  environment_["TERM"] = "linux";
  Run(command);
  EXPECT_THAT(out_, AllOf(HasSubstr("\x1b[45;97m"), Not(HasSubstr("\x1b[48;")))) << "16 colours";
  environment_["TERM"] = "xterm-256color";
  Run(command);
  EXPECT_THAT(out_, HasSubstr("\x1b[48;5;"));
  environment_["COLORTERM"] = "truecolor";
  Run(command);
  EXPECT_THAT(out_, HasSubstr("\x1b[48;2;"));
  Run(with("--color=never"));
  EXPECT_THAT(out_, Not(HasSubstr("\x1b[")));
  environment_["NO_COLOR"] = "1";
  Run(command);
  EXPECT_THAT(out_, Not(HasSubstr("\x1b[")));
  Run(with("--color=always"));
  EXPECT_THAT(out_, HasSubstr("\x1b[48;2;"));
}

TEST_F(Cli, BenchReportsAClosedLoopAsATableAndAsJson) {
  const std::string texts = WriteFile("one\r\n\ntwo\n");
  const std::vector<std::string> command = {"bench", "--texts=" + texts, "--concurrency=2", "--requests=7"};
  EXPECT_EQ(Run(command), 0) << err_;
  EXPECT_THAT(out_, AllOf(StartsWith("7 requests in "), HasSubstr("7 OK, 0 errors"), HasSubstr("p99.9")));
  std::multiset<std::string> sent;
  for (const v1::TranslateRequest& request : server_.requests()) sent.insert(request.texts(0));
  EXPECT_EQ(sent.count("one"), 4u);
  EXPECT_EQ(sent.count("two"), 3u);

  const std::string json = ::testing::TempDir() + "/bench.json", svg = ::testing::TempDir() + "/bench.svg";
  EXPECT_EQ(Run({"bench", "--texts=" + texts, "--rate=1000", "--requests=5", "--json=" + json, "--label=first"}), 0);
  EXPECT_EQ(nlohmann::json::parse(std::ifstream(json))["ok"], 5);
  EXPECT_EQ(Run({"bench", "plot", "--svg=" + svg, "--title=Both", json, json}), 0) << err_;
  EXPECT_EQ(Run({"bench", "plot", "--over_time", "--svg=" + svg + ".time", json}), 0) << err_;
  std::stringstream plot;
  plot << std::ifstream(svg).rdbuf();
  EXPECT_THAT(plot.str(), AllOf(HasSubstr("<title>Both</title>"), HasSubstr(">first</text>")));
}

TEST_F(Cli, BenchSaysWhyNothingWasAnswered) {
  const std::string texts = WriteFile("one\n");
  server_.Fail({{grpc::Status(grpc::StatusCode::NOT_FOUND, "no such model"), ""},
                {grpc::Status(grpc::StatusCode::NOT_FOUND, "no such model"), ""}});
  EXPECT_EQ(Run({"bench", "--texts=" + texts, "--concurrency=1", "--requests=1", "--json=-"}), 3);
  EXPECT_EQ(nlohmann::json::parse(out_)["codes"]["NOT_FOUND"], 1);
  EXPECT_EQ(err_, "heed: NOT_FOUND: no such model\n");
  EXPECT_EQ(Run({"bench", "--texts=" + texts, "--find_rate", "--requests=1", "--first_rate=1000"}), 3)
      << "no rate would change it";
}

TEST_F(Cli, BenchRefusesFlagsThatMakeNoSenseInOneLine) {
  const std::string texts = WriteFile("one\n");
  const std::map<std::vector<std::string>, std::string> wrong = {
      {{"--texts=" + texts}, "give one of --rate, --arrivals, --concurrency and --find_rate"},
      {{"--texts=" + texts, "--rate=1", "--find_rate"},
       "give one of --rate, --arrivals, --concurrency and --find_rate"},
      {{"--rate=1"}, "--texts is missing"},
      {{"--rate=nan"}, "--rate is \"nan\"; it must be a number from 0.001 to 1e+06"},
      {{"--cancel_fraction=2"}, "--cancel_fraction is \"2\"; it must be a number from 0 to 1"},
      {{"--retries=2"}, "there is no flag --retries"},
      {{"--texts=" + texts, "--rate=1", "--mix=fly=1"}, "--mix: 'fly=1' is no share"},
      {{"--texts=" + texts, "--rate=1", "--warmup=10s"}, "--duration must be longer than --warmup"},
      {{"--texts=" + texts, "--rate=1", "--json=/nonexistent/run"}, "--json: cannot write /nonexistent/run"},
      {{"--texts=/nonexistent", "--rate=1"}, "--texts: cannot read /nonexistent"},
      {{"--texts=" + texts, "--arrivals=" + texts}, "--arrivals: " + texts + ": line 1 is no time"}};
  for (const auto& [flags, message] : wrong) {
    std::vector<std::string> command = {"bench"};
    command.insert(command.end(), flags.begin(), flags.end());
    EXPECT_EQ(Run(command), 2) << message;
    EXPECT_THAT(err_, StartsWith("heed: " + message));
    EXPECT_EQ(std::count(err_.begin(), err_.end(), '\n'), 1) << err_;
  }
  const std::string bytes = WriteFile("one\n\xff\n");
  EXPECT_EQ(Run({"bench", "--texts=" + bytes, "--rate=1"}), 2);
  EXPECT_THAT(err_, HasSubstr(": line 2, byte 0 is not valid UTF-8"));
  EXPECT_EQ(server_.calls(), 0);
}

v1::ListModelsResponse TwoModels() {
  v1::ListModelsResponse models;
  v1::ModelSummary* const good = models.add_models();
  good->set_name("pydocs-ko-en");
  good->set_version("1");
  good->set_state(v1::MODEL_STATE_READY);
  good->set_task(v1::TASK_TRANSLATE);
  good->set_source_language("ko");
  good->set_target_language("en");
  good->set_parameters(5500000);
  good->set_weight_bytes(5500000);
  good->set_precision("int8");
  good->set_load_seconds(0.25);
  good->add_attends("c");
  good->set_license("Apache-2.0");
  v1::ModelSummary* const bad = models.add_models();
  bad->set_folder("broken");
  bad->set_state(v1::MODEL_STATE_FAILED);
  bad->set_error("model.json: not JSON");
  return models;
}

TEST_F(Cli, ListsModelsAndWhyOthersFailed) {
  server_.SetModels(TwoModels());
  EXPECT_EQ(Run({"models"}), 0);
  EXPECT_EQ(out_,
            "NAME          VERSION  TASK       LANGUAGES  WEIGHTS  PRECISION  MEMORY  LOADED IN  ATTENDS  LICENSE\n"
            "pydocs-ko-en  1        translate  ko-en      5.5 M    int8       5.5 MB  250 ms     c        Apache-2.0\n"
            "failed to load: broken: model.json: not JSON\n");
  EXPECT_EQ(Run({"models", "--output=json"}), 0);
  EXPECT_EQ(nlohmann::json::parse(out_)["models"][1]["error"], "model.json: not JSON");
}

TEST_F(Cli, ShowsOneModel) {
  EXPECT_EQ(Run({"models", "m", "--model_version=2"}), 0);
  EXPECT_THAT(out_, AllOf(HasSubstr("m     2"), HasSubstr("parity: 2 cases by somebody\n"), HasSubstr("# The card")));
}

TEST(CertificateOutline, SaysWhoComputedItAndHowFarTheEngineWas) {
  EXPECT_EQ(CertificateOutline(R"({"reference": "NumPy, float64", "toolkit": "OpenNMT-py 3.5.1", "cases": [{}],
                                   "tolerance": {"weight": 1e-05, "margin": 0.001},
                                   "measured": {"by": "heed-server 0.1.0", "precision": "float32",
                                                "instruction_set": "AVX2",
                                                "values": {"log_probability": 3.25e-06, "c.weights": 0}}})"),
            "parity: 1 cases by NumPy, float64; toolkit OpenNMT-py 3.5.1\n"
            "  tolerances: weight 1e-05, margin 0.001\n"
            "  measured: log_probability 3.2e-06, c.weights 0\n"
            "  measured by: heed-server 0.1.0, float32, AVX2\n");
  EXPECT_EQ(CertificateOutline(R"({"reference": "so\u001bmebody", "cases": []})"),
            "parity: 0 cases by so\uFFFDmebody\n"
            "  measured: heed-server verify FOLDER says, on the serving machine\n");
}

TEST(CertificateOutline, ReadsWhateverAServerSends) {
  EXPECT_EQ(CertificateOutline(""), "parity: no certificate\n");
  for (const char* odd : {"{", "[]", "{}", R"({"cases": 3})", "\xff"}) {
    EXPECT_EQ(CertificateOutline(odd), "parity: a certificate that cannot be read (parity.json)\n") << odd;
  }
  EXPECT_THAT(
      CertificateOutline(R"({"cases": [], "reference": 3, "tolerance": [], "measured": {"values": {"c": "x"}}})"),
      StartsWith("parity: 0 cases by \n"));
}

TEST_F(Cli, TellsHealthByItsExitCode) {
  EXPECT_EQ(Run({"health"}), 0);
  EXPECT_EQ(out_, "SERVING\n");
  EXPECT_EQ(Run({"health", "--service=heed.v1.TranslationService"}), 0);
  EXPECT_EQ(Run({"health", "--service=nobody"}), 3);
  server_.SetServing(false);
  EXPECT_EQ(Run({"health"}), 1);
  EXPECT_EQ(out_, "NOT_SERVING\n");
}

}  // namespace
}  // namespace heed::cli
