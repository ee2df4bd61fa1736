// A connection of the edge: frames and headers of a client that keeps to no rule, answers that come at any time, and a
// clock that goes on. Nothing crashes it; what reaches the backend is whole and within its bounds; every call is ended
// or dropped, and whatever was taken from an account is given back.
//
// An input: deeds, each a byte for the kind and what that kind reads (Deed below).
#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/edge/edge.h"
#include "server/edge/gzip.h"
#include "server/edge/session.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/fake_clock.h"

namespace heed::fuzz {
namespace {

enum Deed { kBytes, kFrame, kRequest, kData, kWait, kProduce, kAnswer, kEnd, kLeave, kHangUp, kPreface };
constexpr int kDeeds = kPreface + 1;

constexpr std::size_t kMaxMessage = 600;
constexpr EdgeLimits kLimits = {.stream_window = 4 << 10,
                                .connection_window = 64 << 10,
                                .max_header_bytes = 500,
                                .max_header_block_bytes = 1000,
                                .max_streams = 4,
                                .max_control_frames = 20,
                                .max_connection_bytes = 4000,
                                .max_connection_unread_bytes = 2000,
                                .max_idle = absl::Minutes(5),
                                .age_grace = absl::Seconds(30)};

class FakeWire : public Wire {
 public:
  void Flush() override {}
  void WakeAt(absl::Time time) override { wake_ = time; }
  const Peer& peer() const override { return peer_; }
  absl::Time wake() const { return wake_; }

 private:
  absl::Time wake_ = absl::InfiniteFuture();
  Peer peer_ = {.address = "192.0.2.1", .port = 7};
};

// Keeps the calls until the input says what becomes of them.
class PuppetBackend : public Backend {
 public:
  ~PuppetBackend() override { Require(calls_.empty(), "every call is ended or dropped"); }

  BackendCall* Start(CallStart start, CallAnswer* answer) override {
    Require(start.shape == Shape::kBidi || start.message != nullptr, "a call has its message");
    Require(start.message == nullptr || start.message->size() <= kMaxMessage, "a message is within its bound");
    std::size_t bytes = 0;
    for (const auto& [name, value] : start.metadata) bytes += name.size() + value.size() + 32;
    Require(bytes <= kLimits.max_header_bytes, "metadata are within their bound");
    calls_.push_back(std::make_unique<Call>(this, answer, start.shape, std::move(start.message)));
    return calls_.back().get();
  }

  // Call `which` gets a message of `size` bytes.
  void Message(std::size_t which, std::size_t size, bool gzip) {
    if (calls_.empty()) return;
    Call& call = *calls_[which % calls_.size()];
    const auto bytes = std::make_shared<std::string>(size, 'm');
    call.answer->OnMessage({.bytes = *bytes, .keeper = bytes}, gzip);
  }

  void End(std::size_t which, int code) {
    if (calls_.empty()) return;
    const auto found = calls_.begin() + static_cast<std::ptrdiff_t>(which % calls_.size());
    const std::unique_ptr<Call> call = std::move(*found);
    calls_.erase(found);
    const bool ok = code % 3 == 0;
    call->answer->OnEnd(ok ? absl::OkStatus() : absl::NotFoundError("wörd\n%"), ok ? "" : std::string("\0\xff", 2),
                        {{"k", "v"}, {"k-bin", std::string("\0\1", 2)}});
  }

 private:
  struct Call : BackendCall {
    Call(PuppetBackend* backend, CallAnswer* told, Shape call_shape, std::unique_ptr<HeldBytes> first)
        : owner(backend), answer(told), shape(call_shape), message(std::move(first)) {}
    void Give(std::unique_ptr<HeldBytes> given) override {
      Require(shape == Shape::kBidi && !ended, "only a stream is given more");
      Require(given->size() <= kMaxMessage, "a message is within its bound");
      message = std::move(given);
      owner->untaken_.push_back(this);
    }
    void GiveEnd() override { ended = true; }
    void Drop() override { owner->Forget(this); }

    PuppetBackend* const owner;
    CallAnswer* const answer;
    const Shape shape;
    std::unique_ptr<HeldBytes> message;
    bool ended = false;
  };

  void Forget(Call* call) {
    std::erase(untaken_, call);
    const auto is_it = [call](const std::unique_ptr<Call>& other) { return other.get() == call; };
    const auto found = std::find_if(calls_.begin(), calls_.end(), is_it);
    Require(found != calls_.end(), "a call is dropped once");
    calls_.erase(found);
  }

 public:
  // What was given is read: the next may come.
  void TakeGiven() {
    while (!untaken_.empty()) {
      Call* const call = untaken_.back();
      untaken_.pop_back();
      const bool live = std::any_of(calls_.begin(), calls_.end(),
                                    [call](const std::unique_ptr<Call>& other) { return other.get() == call; });
      if (!live) continue;
      call->message.reset();
      call->answer->OnTaken();
    }
  }

 private:
  std::vector<std::unique_ptr<Call>> calls_;
  std::vector<Call*> untaken_;
};

std::string Frame(int type, int flags, std::uint32_t stream, absl::string_view payload) {
  std::string frame;
  for (const std::size_t part : {payload.size() >> 16, payload.size() >> 8, payload.size()}) {
    frame += static_cast<char>(part & 255);
  }
  frame += static_cast<char>(type);
  frame += static_cast<char>(flags);
  for (const std::uint32_t part : {stream >> 24, stream >> 16, stream >> 8, stream}) {
    frame += static_cast<char>(part & 255);
  }
  return absl::StrCat(frame, payload);
}

// A literal that enters no table (RFC 7541, section 6.2.2); sizes below 127.
std::string Header(absl::string_view name, absl::string_view value) {
  name = name.substr(0, 126);
  value = value.substr(0, 126);
  return absl::StrCat(std::string(1, '\0'), std::string(1, static_cast<char>(name.size())), name,
                      std::string(1, static_cast<char>(value.size())), value);
}

std::string Message(const std::string& message, bool gzip) {
  const std::string bytes = gzip ? Gzip(message) : message;
  std::string framed(1, gzip ? '\1' : '\0');
  for (int shift = 24; shift >= 0; shift -= 8) framed += static_cast<char>(bytes.size() >> shift & 255);
  return framed + bytes;
}

class Driver {
 public:
  explicit Driver(Input input) : input_(input) {
    edge_.clock = &clock_;
    edge_.methods = {{"/s/Unary", {Shape::kUnary, kMaxMessage}},
                     {"/s/Stream", {Shape::kServerStream, kMaxMessage}},
                     {"/s/Bidi", {Shape::kBidi, kMaxMessage}}};
    session_ = std::make_unique<Session>(&edge_, &backend_, &wire_);
  }

  void Run() {
    for (int deeds = 0; deeds < 400 && !input_.empty(); ++deeds) {
      Do(input_.Byte() % kDeeds);
      backend_.TakeGiven();
      const absl::string_view fault = session_->fault();
      Require(fault.size() < 40, "a fault is a short constant", absl::StrCat(fault));
    }
    ProduceAll();
    session_.reset();
    Require(edge_.unread.used() == 0, "answers that nobody took are given back", absl::StrCat(edge_.unread.used()));
    Require(edge_.transport.used() == 0, "what calls took is given back", absl::StrCat(edge_.transport.used()));
  }

 private:
  void Do(int deed) {
    switch (deed) {
      case kBytes:
        return Receive(input_.Part());
      case kFrame: {
        const int type = input_.Byte(), flags = input_.Byte(), stream = input_.Byte();
        return Receive(Frame(type % 12, flags, static_cast<std::uint32_t>(stream), input_.Part()));
      }
      case kRequest:
        return Request();
      case kData: {
        const int stream = input_.Byte(), flags = input_.Byte();
        const std::string message = input_.Part();
        return Receive(Frame(0, flags & 1, static_cast<std::uint32_t>(stream), Message(message, (flags & 2) != 0)));
      }
      case kWait:
        return Wait(input_.Byte());
      case kProduce:
        return Produce(64 * std::size_t{input_.Byte()});
      case kAnswer: {
        const std::size_t which = input_.Byte(), size = input_.Byte();
        return backend_.Message(which, 8 * size, size % 2 == 1);
      }
      case kEnd: {
        const std::size_t which = input_.Byte();
        return backend_.End(which, input_.Byte());
      }
      case kLeave:
        return session_->GoAway();
      case kHangUp:
        return session_->OnEnd();
      default:
        return Receive(absl::StrCat("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Frame(4, 0, 0, "")));
    }
  }

  void Receive(const std::string& bytes) {
    if (session_->Reads()) session_->Receive(bytes);
  }

  // HEADERS as a gRPC client sends them, with one header more.
  void Request() {
    static constexpr absl::string_view kPaths[] = {"/s/Unary", "/s/Stream", "/s/Bidi", "/s/None"};
    static constexpr absl::string_view kEncodings[] = {"", "gzip", "identity", "deflate", "br"};
    const int stream = input_.Byte(), flags = input_.Byte(), how = input_.Byte();
    const std::string name = input_.Part(), value = input_.Part();
    std::string block = Header(":method", how % 16 == 15 ? "GET" : "POST");
    block += Header(":scheme", "http") + Header(":path", kPaths[how % std::size(kPaths)]);
    block += Header("content-type", "application/grpc") + Header("te", "trailers");
    const absl::string_view encoding = kEncodings[how / 16 % std::size(kEncodings)];
    if (!encoding.empty()) block += Header("grpc-encoding", encoding);
    if (!name.empty()) block += Header(name, value);
    Receive(Frame(1, flags ^ 4, static_cast<std::uint32_t>(stream), block));
  }

  // 0 to 127: milliseconds; above: seconds.
  void Wait(int byte) {
    clock_.Advance(byte < 128 ? absl::Milliseconds(byte) : absl::Seconds(byte - 127));
    for (int turns = 0; wire_.wake() <= clock_.Now() && turns < 50; ++turns) {
      wire_.WakeAt(absl::InfiniteFuture());
      session_->OnTime(clock_.Now());
    }
  }

  void Produce(std::size_t room) {
    const std::size_t before = out_.size();
    session_->Produce(before + room, &out_);
    Require(out_.size() - before <= room + (16 << 10) + 9, "a protocol keeps to about the room that there is");
    TakeFrames();
  }

  void ProduceAll() {
    for (int turns = 0;; ++turns) {
      Require(turns < 1000, "what is to be said has an end");
      const std::size_t before = out_.size();
      Produce(64 << 10);
      if (out_.size() <= before) break;
    }
    Require(out_.empty(), "what is sent is whole frames");
  }

  // Takes whole frames off what was produced.
  void TakeFrames() {
    while (out_.size() >= 9) {
      const auto byte = [this](int at) { return static_cast<std::size_t>(static_cast<unsigned char>(out_[at])); };
      const std::size_t size = byte(0) << 16 | byte(1) << 8 | byte(2);
      Require(size <= 16 << 10 && byte(3) <= 9, "frames are as the protocol has them");
      if (out_.size() < 9 + size) return;
      out_.erase(0, 9 + size);
    }
  }

  Input input_;
  FakeClock clock_;
  FakeWire wire_;
  Edge edge_{kLimits, /*transport_bytes=*/50000, /*unread_bytes=*/100000};
  PuppetBackend backend_;
  std::unique_ptr<Session> session_;
  std::string out_;
};

}  // namespace
}  // namespace heed::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  heed::fuzz::Driver(heed::fuzz::Input(data, size)).Run();
  return 0;
}
