// Where the texts come from: operands, standard input or a file, cut into batches of lines. A batch is one request.
//
// Not thread-safe: the main thread reads.
#pragma once

#include <cstdint>
#include <fstream>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/cli/console.h"
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

  // INVALID_ARGUMENT if the file cannot be opened. Call once, first.
  absl::Status Open();

  // The next texts: batch_size of them, fewer where they are long or the input ends; one line at a time from a
  // terminal. None at the end.
  std::optional<Batch> Next();

  // Not OK if reading stopped because of an error rather than the end.
  absl::Status status() const { return status_; }
  // Bytes of the input; 0 when they are not known beforehand.
  std::int64_t total_bytes() const { return total_bytes_; }
  // Texts come one by one from a person.
  bool interactive() const { return interactive_; }

 private:
  bool ReadText(std::string* text);

  const TextOptions* const options_;
  const Console* const console_;
  const std::vector<std::string> operands_;
  std::size_t next_operand_ = 0;
  std::ifstream file_;
  std::istream* stream_ = nullptr;  // null: operands
  bool interactive_ = false;
  bool done_ = false;
  std::int64_t count_ = 0;
  std::int64_t bytes_ = 0;
  std::int64_t total_bytes_ = 0;
  absl::Status status_;
};

}  // namespace heed::cli
