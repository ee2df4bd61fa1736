#include "server/edge/gzip.h"

#include <utility>

namespace heed {
namespace {

constexpr int kEitherForm = 15 + 32;  // zlib: the largest window, gzip's header or zlib's
constexpr int kGzipForm = 15 + 16;
constexpr int kFast = 1;

}  // namespace

Inflater::~Inflater() {
  if (begun_) inflateEnd(&stream_);
}

absl::Status Inflater::Begin() {
  at_end_ = false;
  const int result = begun_ ? inflateReset(&stream_) : inflateInit2(&stream_, kEitherForm);
  if (result != Z_OK) return absl::ResourceExhaustedError("no memory to inflate the message");
  begun_ = true;
  return absl::OkStatus();
}

absl::Status Inflater::Run(absl::string_view* in, char* out, std::size_t room, std::size_t* made) {
  stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in->data()));
  stream_.avail_in = static_cast<uInt>(in->size());
  stream_.next_out = reinterpret_cast<Bytef*>(out);
  stream_.avail_out = static_cast<uInt>(room);
  const int result = inflate(&stream_, Z_NO_FLUSH);
  in->remove_prefix(in->size() - stream_.avail_in);
  *made = room - stream_.avail_out;
  at_end_ = result == Z_STREAM_END;
  // Z_BUF_ERROR: it needs more than there is.
  if (at_end_ || result == Z_OK || result == Z_BUF_ERROR) return absl::OkStatus();
  return absl::InvalidArgumentError("the compressed message does not inflate");
}

Gzipper::~Gzipper() {
  if (begun_) deflateEnd(&stream_);
}

bool Gzipper::Run(absl::string_view bytes, int flush) {
  if (!begun_) begun_ = deflateInit2(&stream_, kFast, Z_DEFLATED, kGzipForm, 8, Z_DEFAULT_STRATEGY) == Z_OK;
  failed_ = failed_ || !begun_;
  if (failed_) return false;
  stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream_.avail_in = static_cast<uInt>(bytes.size());
  char made[1 << 14];
  do {
    stream_.next_out = reinterpret_cast<Bytef*>(made);
    stream_.avail_out = sizeof(made);
    deflate(&stream_, flush);
    out_.append(made, sizeof(made) - stream_.avail_out);
  } while (stream_.avail_out == 0);
  return true;
}

std::string Gzipper::Finish() { return Run("", Z_FINISH) ? std::move(out_) : ""; }

std::string Gzip(absl::string_view bytes) {
  z_stream stream = {};
  if (deflateInit2(&stream, kFast, Z_DEFLATED, kGzipForm, 8, Z_DEFAULT_STRATEGY) != Z_OK) return "";
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return result == Z_STREAM_END ? out : "";
}

}  // namespace heed
