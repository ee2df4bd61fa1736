#include "server/http/gzip.h"

#include <zlib.h>

#include <cassert>

namespace heed {
namespace {

constexpr int kGzipOfLargestWindow = 15 + 16;
constexpr int kUsualMemory = 8;

}  // namespace

std::string Gzip(absl::string_view text) {
  z_stream stream = {};
  int result =
      deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipOfLargestWindow, kUsualMemory, Z_DEFAULT_STRATEGY);
  assert(result == Z_OK);
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  result = deflate(&stream, Z_FINISH);
  assert(result == Z_STREAM_END);
  static_cast<void>(result);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

}  // namespace heed
