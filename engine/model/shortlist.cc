#include "engine/model/shortlist.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace heed {
namespace {

static_assert(std::endian::native == std::endian::little, "the file stores little-endian values");

constexpr std::uint64_t kMagic = 0xF11A48D5013417F5;

struct Header {
  std::uint64_t magic, checksum, first, best, offsets, ids;
};

template <typename... Args>
absl::Status Fault(absl::string_view name, const Args&... what) {
  return absl::InvalidArgumentError(absl::StrCat(name, ": ", what...));
}

// boost::hash_combine over the whole u64 of `bytes` (marian-dev src/common/hash.h, hashMem).
std::uint64_t Checksum(absl::string_view bytes) {
  std::uint64_t seed = 0;
  for (; bytes.size() >= sizeof(std::uint64_t); bytes.remove_prefix(sizeof(std::uint64_t))) {
    std::uint64_t value;
    std::memcpy(&value, bytes.data(), sizeof value);
    seed ^= value + 0x9e3779b9 + (seed << 6) + (seed >> 2);
  }
  return seed;
}

absl::StatusOr<Header> ReadHeader(absl::string_view name, absl::string_view bytes) {
  Header header;
  if (bytes.size() < sizeof header) {
    return Fault(name, bytes.size(), " bytes, expected a header of ", sizeof header, " at least");
  }
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != kMagic) {
    return Fault(name, "starts with ", absl::Hex(header.magic), ", expected ", absl::Hex(kMagic),
                 ", a binary lexical shortlist");
  }
  // Bounds first, so that the sum below cannot wrap.
  const std::uint64_t rest = bytes.size() - sizeof header;
  if (header.offsets > rest / 8 || header.ids > rest / 4 || header.offsets * 8 + header.ids * 4 != rest) {
    return Fault(name, header.offsets, " offsets and ", header.ids, " ids do not fill the ", rest,
                 " bytes behind the header");
  }
  const std::uint64_t checksum = Checksum(bytes.substr(offsetof(Header, first)));
  if (checksum != header.checksum) {
    return Fault(name, "checksum is ", absl::Hex(checksum), ", expected ", absl::Hex(header.checksum));
  }
  return header;
}

}  // namespace

absl::StatusOr<Shortlist> Shortlist::Parse(absl::string_view name, absl::string_view bytes, int source_vocabulary,
                                           int target_vocabulary, bool shared) {
  HEED_ASSIGN_OR_RETURN(const Header header, ReadHeader(name, bytes));
  if (header.offsets != static_cast<std::uint64_t>(source_vocabulary) + 1) {
    return Fault(name, header.offsets, " offsets, expected ", source_vocabulary + 1, ", one more than source ids");
  }
  Shortlist list;
  list.shared_ = shared;
  list.target_vocabulary_ = target_vocabulary;
  list.first_ = static_cast<int>(std::min<std::uint64_t>(header.first, target_vocabulary));
  list.offsets_.resize(header.offsets);
  list.ids_.resize(header.ids);
  const char* data = bytes.data() + sizeof header;
  std::memcpy(list.offsets_.data(), data, header.offsets * 8);
  // Empty lists: no pointer to copy to.
  if (header.ids > 0) std::memcpy(list.ids_.data(), data + header.offsets * 8, header.ids * 4);
  for (std::size_t i = 0; i < list.offsets_.size(); ++i) {
    const std::uint64_t next = i + 1 < list.offsets_.size() ? list.offsets_[i + 1] : header.ids;
    if (list.offsets_[i] > next) {
      return Fault(name, "offset ", i, " is ", list.offsets_[i], ", expected at most ", next);
    }
  }
  if (list.offsets_.back() != header.ids) {
    return Fault(name, "the last offset is ", list.offsets_.back(), ", expected ", header.ids);
  }
  for (std::size_t i = 0; i < list.ids_.size(); ++i) {
    if (list.ids_[i] >= static_cast<std::uint32_t>(target_vocabulary)) {
      return Fault(name, "id ", i, " is ", list.ids_[i], ", expected below ", target_vocabulary);
    }
  }
  return list;
}

std::vector<TokenId> Shortlist::Candidates(absl::Span<const TokenId> source) const {
  // One bit a target id.
  std::vector<std::uint64_t> in((static_cast<std::size_t>(target_vocabulary_) + 63) / 64);
  int count = 0;
  const auto add = [&](std::size_t id) {
    std::uint64_t& word = in[id / 64];
    const std::uint64_t bit = std::uint64_t{1} << id % 64;
    count += (word & bit) == 0 ? 1 : 0;
    word |= bit;
  };
  for (int id = 0; id < first_; ++id) add(id);
  for (const TokenId id : source) {
    if (shared_) add(id);
    for (std::uint64_t i = offsets_[id]; i < offsets_[id + 1]; ++i) add(ids_[i]);
  }
  for (int id = first_; id < target_vocabulary_ && count % 8 != 0; ++id) add(id);
  std::vector<TokenId> candidates;
  candidates.reserve(count);
  for (std::size_t w = 0; w < in.size(); ++w) {
    for (std::uint64_t word = in[w]; word != 0; word &= word - 1) {
      candidates.push_back(static_cast<TokenId>(w * 64 + std::countr_zero(word)));
    }
  }
  return candidates;
}

}  // namespace heed
