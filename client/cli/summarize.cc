#include <utility>

#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/text_command.h"

namespace heed::cli {
namespace {

constexpr char kUsage[] =
    "heed summarize [FLAGS] [TEXT...]: summarises texts.\n"
    "\n"
    "Texts are the operands; without any, the lines of --file or of standard input. One line comes out for each that\n"
    "went in, in order; empty lines stay empty. With --n_best above 1, each hypothesis has a line of its own:\n"
    "TEXT.SEGMENT.RANK, score and text, separated by tabs. On a terminal, ~ stands before a line that is likely wrong\n"
    "(--plain).\n"
    "\n"
    "  heed summarize '회의실에 들어오기 전에 휴대폰 전원을 꺼 주세요.'\n"
    "  heed summarize --output=json --file=requests.txt\n";

absl::StatusOr<TextReply> Send(Client& client, const TextOptions& options, const std::vector<std::string>& texts) {
  auto response =
      client.Summarize(MakeRequest<v1::SummarizeRequest>(options, texts), absl::Now() + options.connection.timeout);
  if (!response.ok()) return response.status();
  return TextReply{{response->results().begin(), response->results().end()}, std::move(*response->mutable_model())};
}

absl::Status Stream(Client& client, const TextOptions& options, const std::vector<std::string>& texts,
                    const std::function<void(const v1::StreamEvent&)>& on_event) {
  return client.StreamSummarize(MakeRequest<v1::SummarizeRequest>(options, texts),
                                absl::Now() + options.connection.timeout, on_event);
}

}  // namespace

int RunSummarize(const std::vector<std::string>& arguments, const Console& console) {
  return RunTextCommand(kUsage, Send, Stream, arguments, console);
}

}  // namespace heed::cli
