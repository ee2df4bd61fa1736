#include "client/cli/stream_command.h"

#include <ostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/doubts.h"
#include "client/cli/pretokenized.h"
#include "client/cli/utf8.h"

namespace heed::cli {
namespace {

constexpr char kMark[] = " ~";

// Prints one text's events: its first sentence as it is decoded, the others, which are decoded beside it, with the
// spaces between them when the text is done.
class LivePrinter {
 public:
  LivePrinter(const Console* console, std::int64_t number, Doubts* doubts)
      : console_(console), number_(number), doubts_(doubts) {}

  void Print(const v1::StreamEvent& event) {
    if (event.has_progress() && event.progress().segment() == 0) {
      *console_->out << ForOutput(event.progress().delta(), *console_) << std::flush;
      printed_ += event.progress().delta();
    } else if (event.has_model()) {
      model_ = event.model();
    } else if (event.has_result()) {
      result_ = event.result().result();
    }
  }

  const v1::ModelIdentity& model() const { return model_; }

  // The rest of the text, with the source's own spacing between segments, and the mark, which is known only now.
  const v1::TextResult& End() {
    const std::string& text = result_.output().text();
    // Space before the first segment is the source's and comes with the whole text alone.
    const std::size_t at = text.find(printed_);
    const std::string rest = at == std::string::npos ? "" : text.substr(at + printed_.size());
    *console_->out << ForOutput(rest, *console_) << (doubts_->Marks(number_, result_) ? kMark : "") << "\n"
                   << std::flush;
    doubts_->Explain(number_, result_, model_);
    return result_;
  }

 private:
  const Console* const console_;
  const std::int64_t number_;
  Doubts* const doubts_;
  std::string printed_;
  v1::ModelIdentity model_;
  v1::TextResult result_;
};

}  // namespace

int RunStream(TextInput* input, const StreamTexts& stream, Client* client, const TextOptions& options,
              const Console& console) {
  Doubts doubts(&options, &console, client);
  bool all_well = true;
  std::int64_t number = 0;
  PretokenizedNote pretokenized(client, &options, &console);
  while (const std::optional<Batch> batch = input->Next()) {
    for (const std::string& text : batch->texts) {
      ++number;
      if (const auto bad = FirstInvalidUtf8(text)) {
        *console.out << "\n" << std::flush;
        PrintNote(absl::StrCat("text ", number, ": byte ", *bad, " is not valid UTF-8; the text was not sent"),
                  console);
        all_well = false;
        continue;
      }
      if (text.empty()) {
        *console.out << "\n" << std::flush;
        continue;
      }
      LivePrinter printer(&console, number, &doubts);
      const absl::Status status =
          stream(*client, options, {text}, [&](const v1::StreamEvent& event) { printer.Print(event); });
      if (!status.ok()) {
        *console.out << "\n" << std::flush;
        return PrintError(status, options.connection, console);
      }
      const v1::TextResult& result = printer.End();
      if (result.has_error()) {
        PrintNote(absl::StrCat("text ", number, ": ", result.error().message()), console);
        all_well = false;
      }
      pretokenized.Look(text, result, printer.model());
      if (!*console.out) return PrintUsageError("standard output cannot be written", console);
    }
  }
  if (!input->status().ok()) return PrintUsageError(std::string(input->status().message()), console);
  return all_well ? kExitOk : kExitSomeTexts;
}

}  // namespace heed::cli
