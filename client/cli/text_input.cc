#include "client/cli/text_input.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <ostream>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

namespace heed::cli {
namespace {

// Requests stay well under gRPC's 4 MiB.
constexpr std::size_t kBatchBytes = 1 << 20;

}  // namespace

TextInput::TextInput(const TextOptions* options, const Console* console, std::vector<std::string> operands)
    : options_(options), console_(console), operands_(std::move(operands)) {}

TextInput::~TextInput() {
  if (file_ >= 0) close(file_);
}

absl::Status TextInput::Open() {
  if (!operands_.empty()) return absl::OkStatus();
  if (options_->file.empty() || options_->file == "-") {
    lines_.emplace(console_->in);
    interactive_ = console_->in_is_terminal && !options_->whole;
    if (console_->in_is_terminal && console_->err_is_terminal) {
      *console_->err << (options_->whole ? "heed: reading one text from the terminal; Ctrl-D ends it\n"
                                         : "heed: reading texts from the terminal, one per line; Ctrl-D ends\n");
    }
    return absl::OkStatus();
  }
  std::error_code error;
  if (std::filesystem::is_directory(options_->file, error)) {
    return absl::InvalidArgumentError(absl::StrCat("--file: ", options_->file, " is a folder"));
  }
  file_ = open(options_->file.c_str(), O_RDONLY | O_CLOEXEC);
  if (file_ < 0) return absl::InvalidArgumentError(absl::StrCat("--file: cannot open ", options_->file));
  lines_.emplace(file_);
  const auto size = std::filesystem::file_size(options_->file, error);
  if (!error) total_bytes_ = static_cast<std::int64_t>(size);
  return absl::OkStatus();
}

bool TextInput::Ready() { return !lines_.has_value() || done_ || options_->whole || lines_->Ready(); }

std::optional<Batch> TextInput::Next() {
  Batch batch;
  batch.first = count_ + 1;
  std::size_t bytes = 0;
  const auto most = static_cast<std::size_t>(options_->batch_size);
  std::string text;
  while (batch.texts.size() < most && bytes < kBatchBytes && (batch.texts.empty() || Ready()) && ReadText(&text)) {
    bytes += text.size();
    batch.texts.push_back(std::move(text));
  }
  if (batch.texts.empty()) return std::nullopt;
  count_ += static_cast<std::int64_t>(batch.texts.size());
  batch.end_bytes = bytes_;
  return batch;
}

bool TextInput::ReadText(std::string* text) {
  if (!lines_.has_value()) {
    if (next_operand_ == operands_.size()) return false;
    *text = operands_[next_operand_++];
    return true;
  }
  if (done_) return false;
  if (options_->whole) {
    *text = lines_->ReadAll();
    done_ = true;
  } else if (!lines_->Read(text)) {
    done_ = true;
  } else if (!text->empty() && text->back() == '\r') {
    text->pop_back();
    ++bytes_;
  }
  if (lines_->failed() && done_) {
    status_ = absl::InvalidArgumentError("reading the input failed");
    return false;
  }
  if (done_ && !options_->whole) return false;
  bytes_ += static_cast<std::int64_t>(text->size()) + 1;
  return true;
}

}  // namespace heed::cli
