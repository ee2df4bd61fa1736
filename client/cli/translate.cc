#include <utility>

#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/text_command.h"

namespace heed::cli {
namespace {

constexpr char kUsage[] =
    "heed translate [FLAGS] [TEXT...]: translates texts.\n"
    "\n"
    "Texts are the operands; without any, the lines of --file or of standard input. One line comes out for each that\n"
    "went in, in order; empty lines stay empty. With --n_best above 1, each hypothesis has a line of its own:\n"
    "TEXT.SENTENCE.RANK, score and text, separated by tabs. On a terminal, ~ stands before a line that is likely "
    "wrong\n"
    "(--plain).\n"
    "\n"
    "  heed translate '이 함수는 문자열을 반환합니다.'\n"
    "  heed translate --attention '이 함수는 문자열을 반환합니다.'\n"
    "  heed translate --file=korean.txt > english.txt\n";

absl::StatusOr<TextReply> Send(Client& client, const TextOptions& options, const std::vector<std::string>& texts) {
  auto response =
      client.Translate(MakeRequest<v1::TranslateRequest>(options, texts), absl::Now() + options.connection.timeout);
  if (!response.ok()) return response.status();
  return TextReply{{response->results().begin(), response->results().end()}, std::move(*response->mutable_model())};
}

absl::Status Stream(Client& client, const TextOptions& options, const std::vector<std::string>& texts,
                    const std::function<void(const v1::StreamEvent&)>& on_event) {
  return client.StreamTranslate(MakeRequest<v1::TranslateRequest>(options, texts),
                                absl::Now() + options.connection.timeout, on_event);
}

}  // namespace

int RunTranslate(const std::vector<std::string>& arguments, const Console& console) {
  return RunTextCommand(kUsage, Send, Stream, arguments, console);
}

}  // namespace heed::cli
