// Where the texts come from: operands, standard input or a file, cut into batches of lines. A batch is one request: the
// lines that are there, so that a pipe which stays open is answered line by line.
//
// Not thread-safe: the main thread reads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/cli/console.h"
#include "client/cli/line_reader.h"
#include "client/cli/text_options.h"

namespace heed::cli {

// Consecutive texts.
struct Batch {
  std::int64_t first = 1;          // number of its first text, from 1
  std::vector<std::string> texts;  // as read, without line ends
  std::int64_t end_bytes = 0;      // of the input, read so far
};

class TextInput {
 public:
  // `console` and `options` outlive it.
  TextInput(const TextOptions* options, const Console* console, std::vector<std::string> operands);
  ~TextInput();
  TextInput(const TextInput&) = delete;
  TextInput& operator=(const TextInput&) = delete;

  // INVALID_ARGUMENT if the file cannot be opened. Call once, first.
  absl::Status Open();

  // Next will not wait. Where it says no, poll(2) on the descriptor says when to ask again.
  bool Ready();
  int descriptor() const { return lines_.has_value() ? lines_->descriptor() : -1; }
  // The next texts: waits for one, and takes as many more as are there, up to batch_size; fewer where they are long.
  // None at the end.
  std::optional<Batch> Next();

  // Not OK if reading stopped because of an error rather than the end.
  absl::Status status() const { return status_; }
  // Bytes of the input; 0 when they are not known beforehand.
  std::int64_t total_bytes() const { return total_bytes_; }
  // Texts come from a person.
  bool interactive() const { return interactive_; }

 private:
  bool ReadText(std::string* text);

  const TextOptions* const options_;
  const Console* const console_;
  const std::vector<std::string> operands_;
  std::size_t next_operand_ = 0;
  int file_ = -1;                    // that was opened for it
  std::optional<LineReader> lines_;  // absent: operands
  bool interactive_ = false;
  bool done_ = false;
  std::int64_t count_ = 0;
  std::int64_t bytes_ = 0;
  std::int64_t total_bytes_ = 0;
  absl::Status status_;
};

}  // namespace heed::cli
