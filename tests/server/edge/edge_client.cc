#include "tests/server/edge/edge_client.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace heed {
namespace {

nghttp2_nv Field(absl::string_view name, absl::string_view value) {
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(), 0};
}

}  // namespace

std::string Framed(absl::string_view message, bool compressed) {
  const auto size = static_cast<std::uint32_t>(message.size());
  std::string framed = {static_cast<char>(compressed ? 1 : 0), static_cast<char>(size >> 24),
                        static_cast<char>(size >> 16), static_cast<char>(size >> 8), static_cast<char>(size)};
  framed.append(message.data(), message.size());
  return framed;
}

EdgeClient::EdgeClient(bool takes) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                    const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* self) {
        static_cast<EdgeClient*>(self)
            ->answers_[frame->hd.stream_id]
            .headers[std::string(reinterpret_cast<const char*>(name), name_size)] =
            std::string(reinterpret_cast<const char*>(value), value_size);
        return 0;
      });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      callbacks,
      [](nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* bytes, std::size_t size, void* self) {
        static_cast<EdgeClient*>(self)->answers_[id].data.append(reinterpret_cast<const char*>(bytes), size);
        return 0;
      });
  nghttp2_session_callbacks_set_on_stream_close_callback(
      callbacks, [](nghttp2_session*, std::int32_t id, std::uint32_t error, void* self) {
        Answer& answer = static_cast<EdgeClient*>(self)->answers_[id];
        answer.closed = true;
        answer.error = error;
        return 0;
      });
  nghttp2_session_callbacks_set_on_frame_recv_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* data) {
        auto* const self = static_cast<EdgeClient*>(data);
        if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) ++self->pings_;
        if (frame->hd.type == NGHTTP2_GOAWAY) self->goaways_.push_back(frame->goaway.error_code);
        return 0;
      });
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, takes ? 0 : 1);
  nghttp2_session_client_new2(&http2_, callbacks, this, option);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_submit_settings(http2_, 0, nullptr, 0);
}

EdgeClient::~EdgeClient() { nghttp2_session_del(http2_); }

std::int32_t EdgeClient::Call(const Request& request) {
  std::vector<nghttp2_nv> fields = {Field(":method", request.method),
                                    Field(":scheme", "http"),
                                    Field(":path", request.path),
                                    Field(":authority", "localhost"),
                                    Field("content-type", request.content_type),
                                    Field("te", "trailers")};
  for (const auto& [name, value] : request.more) fields.push_back(Field(name, value));
  nghttp2_data_provider provider;
  provider.source.ptr = this;
  provider.read_callback = [](nghttp2_session*, std::int32_t id, std::uint8_t* out, std::size_t room,
                              std::uint32_t* flags, nghttp2_data_source* source, void*) -> ssize_t {
    Body& body = static_cast<EdgeClient*>(source->ptr)->bodies_[id];
    const std::size_t size = std::min(room, body.left.size());
    std::copy_n(body.left.data(), size, out);
    body.left.erase(0, size);
    if (body.left.empty() && body.ends) *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (size == 0 && !body.ends) return NGHTTP2_ERR_DEFERRED;
    return static_cast<ssize_t>(size);
  };
  const bool alone = request.data.empty() && request.ends;
  const std::int32_t id =
      nghttp2_submit_request(http2_, nullptr, fields.data(), fields.size(), alone ? nullptr : &provider, nullptr);
  bodies_[id] = {request.data, request.ends};
  answers_[id];
  return id;
}

void EdgeClient::Send(std::int32_t stream, absl::string_view data, bool ends) {
  Body& body = bodies_[stream];
  body.left.append(data.data(), data.size());
  body.ends = ends;
  nghttp2_session_resume_data(http2_, stream);
}

std::string EdgeClient::Produce() {
  std::string out;
  for (;;) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t size = nghttp2_session_mem_send(http2_, &bytes);
    if (size <= 0) return out;
    out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  }
}

void EdgeClient::Receive(absl::string_view bytes) {
  nghttp2_session_mem_recv(http2_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace heed
