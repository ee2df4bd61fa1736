#include "client/cli/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace heed::cli {
namespace {

constexpr std::size_t kBlock = 64 << 10;  // bytes at a time, as many as a pipe holds

}  // namespace

bool LineReader::HasLine() {
  if (searched_ < buffer_.size() && buffer_[searched_] == '\n') return true;
  searched_ = std::min(buffer_.find('\n', searched_), buffer_.size());
  return searched_ < buffer_.size();
}

void LineReader::Fill(bool wait) {
  pollfd readable = {descriptor_, POLLIN, 0};
  if (poll(&readable, 1, wait ? -1 : 0) <= 0) return;
  buffer_.erase(0, begin_);
  searched_ -= begin_;
  begin_ = 0;
  const std::size_t size = buffer_.size();
  buffer_.resize(size + kBlock);
  const ssize_t got = read(descriptor_, buffer_.data() + size, kBlock);
  buffer_.resize(size + (got > 0 ? static_cast<std::size_t>(got) : 0));
  if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) return;
  ended_ = true;
  failed_ = got < 0;
}

bool LineReader::Ready() {
  if (!HasLine() && !ended_) Fill(false);
  return ended_ || HasLine();
}

bool LineReader::Read(std::string* line) {
  while (!HasLine() && !ended_) Fill(true);
  if (failed_ && !HasLine()) return false;  // half a line is none
  if (begin_ == buffer_.size()) return false;
  line->assign(buffer_, begin_, searched_ - begin_);
  begin_ = searched_ = std::min(searched_ + 1, buffer_.size());
  return true;
}

std::string LineReader::ReadAll() {
  while (!ended_) Fill(true);
  std::string all = buffer_.substr(begin_);
  begin_ = searched_ = buffer_.size();
  return all;
}

}  // namespace heed::cli
