// Lines of a descriptor as they come: it tells whether a whole line is there, so that whoever reads a pipe that stays
// open can do something else meanwhile.
//
// Not thread-safe.
#pragma once

#include <cstddef>
#include <string>

namespace heed::cli {

class LineReader {
 public:
  // The descriptor stays the caller's and outlives this.
  explicit LineReader(int descriptor) : descriptor_(descriptor) {}

  // A line, or the end, is here, so that Read will not wait. Takes a piece of what the descriptor has, without waiting:
  // where it says no, poll(2) on the descriptor says when to ask again.
  bool Ready();

  // The next line, without its "\n"; waits for it. What stands behind the last "\n" is a line, if there is something.
  // False at the end, and where reading failed.
  bool Read(std::string* line);
  // All that is left; waits for the end.
  std::string ReadAll();

  int descriptor() const { return descriptor_; }
  // The end came of an error.
  bool failed() const { return failed_; }

 private:
  bool HasLine();
  void Fill(bool wait);

  const int descriptor_;
  std::string buffer_;
  std::size_t begin_ = 0;     // what is before it has been given away
  std::size_t searched_ = 0;  // no "\n" between begin_ and here
  bool ended_ = false;
  bool failed_ = false;
};

}  // namespace heed::cli
