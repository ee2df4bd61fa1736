// A connection of the HTTP listener: requests of any kind in pieces of any size, answers taken at any pace, time that
// passes. Nothing crashes it, its bounds hold, and the pieces do not matter.
//
// An input: a byte for the size of a piece, a byte for the room for answers, a byte for the time that passes between
// pieces, a byte of flags; the rest is what the client sends.
#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/http/http_protocol.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/fake_clock.h"

namespace heed::fuzz {
namespace {

constexpr int kEnds = 1;  // the client says that it sends no more
constexpr HttpLimits kLimits = {.max_header_bytes = 400, .max_body_bytes = 100};

class FakeWire : public Wire {
 public:
  void Flush() override {}
  void WakeAt(absl::Time time) override { wake = time; }
  const Peer& peer() const override { return peer_; }

  absl::Time wake = absl::InfiniteFuture();

 private:
  Peer peer_;
};

const HttpRoutes& Routes() {
  static const auto* const routes = new HttpRoutes{
      {"/metrics",
       [](const HttpRequest& request) {
         std::size_t fields = 0;
         for (const auto& [name, value] : request.fields) fields += name.size() + value.size();
         // Repeated ones are joined, which takes the place of a name and a line's end.
         Require(fields <= kLimits.max_header_bytes, "the fields are within the header's bound");
         return HttpResponse{.body = absl::StrCat(request.query, "\n", request.Field("accept"), "\n")};
       }},
      {"/large", [](const HttpRequest&) { return HttpResponse{.body = std::string(3000, 'x')}; }},
      {"/down",
       [](const HttpRequest& request) {
         Require(request.body.size() <= kLimits.max_body_bytes, "a body is within its bound");
         return HttpResponse{.status = 503, .body = request.body, .fields = {{"Retry-After", "1"}}};
       }},
  };
  return *routes;
}

struct Way {
  std::size_t piece = 1;
  std::size_t room = 1 << 16;
  absl::Duration wait;
  bool ends = false;
};

struct Outcome {
  std::string said;
  std::string fault;
  bool done = false;
};

class Driver {
 public:
  explicit Driver(const Way& way) : way_(way) {}

  Outcome Run(absl::string_view sent) {
    while (!sent.empty() && !protocol_.Done()) {
      TakeAll();
      if (!protocol_.Reads()) break;  // at its end, or what was said has its time over
      const absl::string_view piece = sent.substr(0, way_.piece);
      sent.remove_prefix(piece.size());
      protocol_.Receive(piece);
      Pass(way_.wait);
    }
    TakeAll();
    if (way_.ends) {
      protocol_.OnEnd();
      TakeAll();
      Require(protocol_.Done(), "who sends no more and has its answers is done");
    }
    Require(protocol_.fault().size() < 40, "a fault is a short constant", absl::StrCat(protocol_.fault()));
    return {.said = said_, .fault = std::string(protocol_.fault()), .done = protocol_.Done()};
  }

 private:
  // What is said, and the turns of further requests.
  void TakeAll() {
    for (int turns = 0;; ++turns) {
      Require(turns < 100000, "what is to be said has an end");
      std::string piece;
      protocol_.Produce(way_.room, &piece);
      Require(piece.size() <= way_.room, "a protocol keeps to the room that there is");
      said_ += piece;
      if (!piece.empty()) continue;
      if (protocol_.Done() || wire_.wake > clock_.Now()) return;
      Wake();
    }
  }

  void Pass(absl::Duration time) {
    clock_.Advance(time);
    if (wire_.wake <= clock_.Now()) Wake();
  }

  void Wake() {
    wire_.wake = absl::InfiniteFuture();
    protocol_.OnTime(clock_.Now());
  }

  const Way way_;
  FakeClock clock_;
  FakeWire wire_;
  HttpProtocol protocol_{&Routes(), &kLimits, &clock_, &wire_};
  std::string said_;
};

// Without the dates, which are the machine's.
std::string Undated(std::string said) {
  const std::string kDate = "\r\nDate: ";
  for (std::size_t at = said.find(kDate); at != std::string::npos; at = said.find(kDate, at + 1)) {
    const std::size_t begin = at + kDate.size();
    said.replace(begin, std::min<std::size_t>(29, said.size() - begin), 29, '-');
  }
  return said;
}

void Try(Input input) {
  Way way = {.piece = 1 + std::size_t{input.Byte()}, .room = 1 + 16 * std::size_t{input.Byte()}};
  const int wait = input.Byte();
  way.wait = wait < 128 ? absl::ZeroDuration() : absl::Seconds(wait - 127);
  way.ends = (input.Byte() & kEnds) != 0;
  const std::string sent = input.Rest();
  const Outcome outcome = Driver(way).Run(sent);
  Require(outcome.said.empty() || absl::StartsWith(outcome.said, "HTTP/1.1 "), "what is said is HTTP", outcome.said);
  if (way.wait > absl::ZeroDuration()) return;
  const Outcome at_once = Driver({.piece = std::max<std::size_t>(1, sent.size()), .ends = way.ends}).Run(sent);
  Require(Undated(outcome.said) == Undated(at_once.said), "the pieces do not matter to the answers",
          absl::StrCat(outcome.said, "|", at_once.said));
  Require(outcome.fault == at_once.fault && outcome.done == at_once.done, "nor to the end", outcome.fault);
}

}  // namespace
}  // namespace heed::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  heed::fuzz::Try(heed::fuzz::Input(data, size));
  return 0;
}
