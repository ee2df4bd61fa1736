#include "client/cli/text_command.h"

#include <algorithm>
#include <deque>
#include <future>
#include <memory>
#include <ostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/doubts.h"
#include "client/cli/print_result.h"
#include "client/cli/progress.h"
#include "client/cli/stream_command.h"
#include "client/cli/text_input.h"
#include "client/cli/utf8.h"

namespace heed::cli {
namespace {

// A batch whose results are known, or on their way.
struct Sent {
  Batch batch;
  std::future<absl::StatusOr<TextReply>> reply;
};

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

// Keeps up to in_flight requests under way and prints what comes back, in order.
int Run(TextInput* input, const SendTexts& send, Client* client, const TextOptions& options, const Console& console) {
  Doubts doubts(&options, &console, client);
  const ResultPrinter printer{options, console, ChooseDrawing(options, console), &doubts};
  Progress progress(&console, options.progress && !input->interactive() && input->total_bytes() > 0,
                    input->total_bytes());
  bool all_well = true;
  std::deque<Sent> under_way;
  for (;;) {
    while (under_way.size() < static_cast<std::size_t>(input->interactive() ? 1 : options.in_flight)) {
      std::optional<Batch> batch = input->Next();
      if (!batch.has_value()) break;
      auto reply = std::async(std::launch::async, [&send, client, &options, texts = batch->texts] {
        return SendBatch(send, *client, options, texts);
      });
      under_way.push_back({*std::move(batch), std::move(reply)});
    }
    if (under_way.empty()) break;
    Sent first = std::move(under_way.front());
    under_way.pop_front();
    const absl::StatusOr<TextReply> reply = first.reply.get();
    if (console.out_is_terminal || !reply.ok()) progress.Clear();
    if (!reply.ok()) {
      const bool several = first.batch.first > 1 || !under_way.empty();
      absl::Status status(reply.status().code(),
                          absl::StrCat(std::string(reply.status().message()), Where(first.batch, several)));
      reply.status().ForEachPayload(
          [&status](absl::string_view url, const absl::Cord& payload) { status.SetPayload(url, payload); });
      console.out->flush();
      return PrintError(status, options.connection.client.address, console);
    }
    for (const v1::TextResult& result : reply->results) {
      if (absl::Status status = CheckHeads(options.heads, result.output()); !status.ok()) {
        progress.Clear();
        return PrintUsageError(std::string(status.message()), console);
      }
    }
    for (std::size_t i = 0; i < first.batch.texts.size(); ++i) {
      if (SaysSomething(reply->results[i])) progress.Clear();
      all_well &= printer.Print(first.batch.first + static_cast<std::int64_t>(i), first.batch.texts[i],
                                reply->results[i], reply->model);
    }
    console.out->flush();
    if (!*console.out) return PrintUsageError("standard output cannot be written", console);
    progress.Update(first.batch.end_bytes, first.batch.first + static_cast<std::int64_t>(first.batch.texts.size()) - 1);
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
