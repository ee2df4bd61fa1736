#include "client/cli/text_command.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <ostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/doubts.h"
#include "client/cli/pretokenized.h"
#include "client/cli/print_result.h"
#include "client/cli/progress.h"
#include "client/cli/senders.h"
#include "client/cli/stream_command.h"
#include "client/cli/text_input.h"
#include "client/cli/utf8.h"

namespace heed::cli {
namespace {

v1::TextResult NotUtf8(std::size_t byte) {
  v1::TextResult result;
  result.mutable_error()->set_code(static_cast<int>(absl::StatusCode::kInvalidArgument));
  result.mutable_error()->set_message(absl::StrCat("byte ", byte, " is not valid UTF-8; the text was not sent"));
  return result;
}

// Sends what needs sending: an empty line stays one, and a line that is not UTF-8 would spoil the whole request.
absl::StatusOr<TextReply> SendBatch(const SendTexts& send, Client& client, const TextOptions& options,
                                    const std::vector<std::string>& texts) {
  TextReply reply;
  std::vector<std::string> sent;
  std::vector<std::size_t> places;
  for (const std::string& text : texts) {
    v1::TextResult& result = reply.results.emplace_back();
    if (const auto bad = FirstInvalidUtf8(text)) {
      result = NotUtf8(*bad);
    } else if (text.empty()) {
      result.mutable_output();
    } else {
      places.push_back(reply.results.size() - 1);
      sent.push_back(text);
    }
  }
  if (sent.empty()) return reply;
  absl::StatusOr<TextReply> answer = send(client, options, sent);
  if (!answer.ok()) return answer;
  if (answer->results.size() != sent.size()) {
    return absl::InternalError(
        absl::StrCat("the server answered ", answer->results.size(), " results for ", sent.size(), " texts"));
  }
  for (std::size_t i = 0; i < places.size(); ++i) reply.results[places[i]] = std::move(answer->results[i]);
  reply.model = std::move(answer->model);
  return reply;
}

// Which texts an error of a request is about, where there is more than one request.
std::string Where(const Batch& batch, bool several) {
  if (!several) return "";
  const std::int64_t last = batch.first + static_cast<std::int64_t>(batch.texts.size()) - 1;
  return absl::StrCat(" (texts ", batch.first, " to ", last, ")");
}

// Whether printing the result writes to standard error.
bool SaysSomething(const v1::TextResult& result) {
  const auto& segments = result.output().segments();
  return result.has_error() || Doubts::MayExplain(result) ||
         std::any_of(segments.begin(), segments.end(), [](const v1::Segment& segment) { return segment.truncated(); });
}

// Waits until a line or a reply may be there. False where nobody reads standard output any more and the process is to
// outlive that: by default it does not, as if it had written there.
bool WaitForEither(int input, int reply, const Console& console) {
  pollfd all[] = {{input, POLLIN, 0}, {reply, POLLIN, 0}, {console.out_descriptor, 0, 0}};
  if (poll(all, 3, -1) <= 0 || (all[2].revents & POLLERR) == 0) return true;
  raise(SIGPIPE);
  return false;
}

// Prints what became of a batch. OK: go on; else what to end with.
ExitCode PrintBatch(const Answered& done, bool several, const ResultPrinter& printer, Progress* progress,
                    bool* all_well) {
  const Console& console = printer.console;
  const auto& [batch, reply] = done;
  if (console.out_is_terminal || !reply.ok()) progress->Clear();
  if (!reply.ok()) {
    absl::Status status(reply.status().code(),
                        absl::StrCat(std::string(reply.status().message()), Where(batch, several)));
    reply.status().ForEachPayload(
        [&status](absl::string_view url, const absl::Cord& payload) { status.SetPayload(url, payload); });
    console.out->flush();
    return PrintError(status, printer.options.connection, console);
  }
  for (const v1::TextResult& result : reply->results) {
    if (absl::Status status = CheckHeads(printer.options.heads, result.output()); !status.ok()) {
      progress->Clear();
      return PrintUsageError(std::string(status.message()), console);
    }
  }
  for (std::size_t i = 0; i < batch.texts.size(); ++i) {
    if (SaysSomething(reply->results[i])) progress->Clear();
    *all_well &=
        printer.Print(batch.first + static_cast<std::int64_t>(i), batch.texts[i], reply->results[i], reply->model);
  }
  console.out->flush();
  if (!*console.out) return PrintUsageError("standard output cannot be written", console);
  progress->Update(batch.end_bytes, batch.first + static_cast<std::int64_t>(batch.texts.size()) - 1);
  return kExitOk;
}

// Sends lines as they come, up to in_flight requests at once, and prints what comes back, in order.
int Run(TextInput* input, const SendTexts& send, Client* client, const TextOptions& options, const Console& console) {
  Doubts doubts(&options, &console, client);
  const ResultPrinter printer{options, console, ChooseDrawing(options, console), &doubts};
  PretokenizedNote pretokenized(client, &options, &console);
  Progress progress(&console, options.progress && !input->interactive() && input->total_bytes() > 0,
                    input->total_bytes());
  Senders senders(static_cast<std::size_t>(options.in_flight),
                  [&](const std::vector<std::string>& texts) { return SendBatch(send, *client, options, texts); });
  bool all_well = true, ended = false;
  while (!ended || !senders.idle()) {
    const bool reads = !ended && !senders.full();
    if (reads && input->Ready()) {
      std::optional<Batch> batch = input->Next();
      ended = !batch.has_value();
      if (!ended) senders.Start(*std::move(batch));
    } else if (senders.Done()) {
      const Answered done = senders.Take();
      const bool several = done.batch.first > 1 || !senders.idle();
      const ExitCode code = PrintBatch(done, several, printer, &progress, &all_well);
      if (code != kExitOk) return code;
      for (std::size_t i = 0; i < done.batch.texts.size(); ++i) {
        pretokenized.Look(done.batch.texts[i], done.reply->results[i], done.reply->model);
      }
    } else if (!WaitForEither(reads ? input->descriptor() : -1, senders.descriptor(), console)) {
      return PrintUsageError("standard output cannot be written", console);
    }
  }
  if (!input->status().ok()) return PrintUsageError(std::string(input->status().message()), console);
  return all_well ? kExitOk : kExitSomeTexts;
}

}  // namespace

int RunTextCommand(const std::string& usage, const SendTexts& send, const StreamTexts& stream,
                   const std::vector<std::string>& arguments, const Console& console) {
  TextOptions options;
  bool help = false;
  std::vector<FlagGroup> flags = TextFlags(&options);
  flags.push_back({"Other", {BoolFlag("help", "print this", &help)}});
  absl::StatusOr<std::vector<std::string>> operands = ParseFlags(flags, arguments, console.environment);
  if (!operands.ok()) return PrintUsageError(std::string(operands.status().message()), console);
  if (help) {
    *console.out << usage << "\n" << FlagHelp(flags) << kExitCodeHelp;
    return kExitOk;
  }
  if (absl::Status status = CheckTextOptions(options, !operands->empty()); !status.ok()) {
    return PrintUsageError(std::string(status.message()), console);
  }
  TextInput input(&options, &console, *std::move(operands));
  if (absl::Status status = input.Open(); !status.ok()) {
    return PrintUsageError(std::string(status.message()), console);
  }
  const absl::StatusOr<std::unique_ptr<Client>> client = Connect(options.connection);
  if (!client.ok()) return PrintUsageError(std::string(client.status().message()), console);
  if (options.stream) return RunStream(&input, stream, client->get(), options, console);
  return Run(&input, send, client->get(), options, console);
}

}  // namespace heed::cli
