// The data of one call in pieces of any size: gRPC's framing, and gzip that is inflated. No more than the bound is ever
// held for a message, all that was taken from an account is given back, and the pieces do not matter.
//
// An input: a byte of flags, a byte for the message bound, a byte for the budget of a turn, a byte for the size of a
// piece; the rest is data, or with kFramed a message that is compressed and framed here.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/edge/gzip.h"
#include "server/edge/message_reader.h"
#include "tests/fuzz/fuzz.h"

namespace heed::fuzz {
namespace {

constexpr int kCompressed = 1, kFramed = 2, kSmallAccount = 4;

struct Outcome {
  std::vector<std::string> messages;
  absl::StatusCode code = absl::StatusCode::kOk;
  bool inside = false;  // of a message at the end of the data
};

struct Way {
  std::size_t most = 0;    // bytes of a message
  std::size_t budget = 0;  // of a turn
  std::size_t piece = 0;
  std::int64_t account = 0;
  bool compressed = false;
};

Outcome ReadAll(const std::string& data, const Way& way) {
  ByteAccount all(way.account);
  const auto own = std::make_shared<ByteAccount>(way.account);
  Outcome outcome;
  {
    MessageReader reader({.max_message_bytes = way.most, .compressed = way.compressed, .all = &all, .own = own});
    for (std::size_t at = 0; at < data.size() && outcome.code == absl::StatusCode::kOk;) {
      absl::string_view piece(data.data() + at, std::min(way.piece, data.size() - at));
      at += piece.size();
      // Each turn takes a byte or makes one: more turns than this are a loop without an end.
      for (std::size_t turns = 0; outcome.code == absl::StatusCode::kOk; ++turns) {
        Require(turns < 100000, "reading comes to an end");
        std::size_t budget = way.budget;
        const absl::Status status = reader.Read(&piece, &budget);
        RequireOneLine(status);
        Require(budget <= way.budget, "a turn keeps to its budget");
        // While room is made, the old and the new are held; and what inflates it.
        Require(all.used() <= static_cast<std::int64_t>(2 * way.most + 2048 + Inflater::kOwnBytes),
                "what a message holds is bounded", absl::StrCat(all.used()));
        outcome.code = status.code();
        if (reader.whole()) {
          const std::unique_ptr<HeldBytes> message = reader.Take();
          Require(message->size() <= way.most && message->size() <= message->capacity(),
                  "a message is within its bound");
          outcome.messages.emplace_back(message->data(), message->size());
        } else if (reader.waits() || (piece.empty() && budget > 0)) {
          break;
        }
      }
    }
    outcome.inside = reader.inside();
  }
  Require(all.used() == 0 && own->used() == 0, "an account gets back what was taken");
  return outcome;
}

// Flag, length and bytes.
std::string Framed(const std::string& message, bool compressed) {
  std::string framed(1, compressed ? '\1' : '\0');
  for (int shift = 24; shift >= 0; shift -= 8) framed += static_cast<char>(message.size() >> shift & 255);
  return framed + message;
}

void Try(Input input) {
  const int flags = input.Byte();
  Way way = {.most = 4 * std::size_t{input.Byte()}, .compressed = (flags & kCompressed) != 0};
  way.budget = 1 + 8 * std::size_t{input.Byte()};
  way.piece = 1 + std::size_t{input.Byte()};
  const bool small = (flags & kSmallAccount) != 0;
  way.account = small ? 600 + static_cast<std::int64_t>(way.compressed ? Inflater::kOwnBytes : 0) : 1 << 20;
  const std::string given = input.Rest();
  const bool framed = (flags & kFramed) != 0;
  std::string data = given;
  if (framed) data = way.compressed ? Framed(Gzip(given), true) : Framed(given, false);
  const Outcome outcome = ReadAll(data, way);
  if (framed && given.size() <= way.most && data.size() - 5 <= way.most && !small) {
    Require(outcome.messages == std::vector<std::string>{given}, "a message comes out as it went in");
  }
  way.piece = std::max<std::size_t>(data.size(), 1);
  way.budget = 1 << 20;
  const Outcome at_once = ReadAll(data, way);
  if (small) return;
  Require(outcome.messages == at_once.messages, "the pieces do not matter");
  // A message that is not all there may be at fault already, or only when what it inflates to has been made.
  const bool cut = outcome.inside && outcome.code == absl::StatusCode::kOk;
  Require(outcome.code == at_once.code || cut, "nor do they to what is refused");
}
}  // namespace
}  // namespace heed::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  heed::fuzz::Try(heed::fuzz::Input(data, size));
  return 0;
}
