#include "server/admission/source.h"

#include <utility>

#include "absl/container/flat_hash_map.h"

namespace heed {

int AddedSpecials(const model::v1::Vocabulary& source) {
  return static_cast<int>(source.add_bos()) + static_cast<int>(source.add_eos());
}

SourceTokens WithSpecials(const model::v1::Vocabulary& source, EncodedText encoded, int bytes) {
  SourceTokens tokens{std::move(encoded.ids), std::move(encoded.ranges), std::move(encoded.spellings)};
  if (source.add_bos()) {
    tokens.ids.insert(tokens.ids.begin(), source.bos_id());
    tokens.ranges.insert(tokens.ranges.begin(), {0, 0});
    tokens.spellings.insert(tokens.spellings.begin(), "");
    tokens.text_begin = 1;
  }
  tokens.text_end = static_cast<int>(tokens.ids.size());
  if (source.add_eos()) {
    tokens.ids.push_back(source.eos_id());
    tokens.ranges.push_back({bytes, bytes});
    tokens.spellings.emplace_back();
  }
  return tokens;
}

std::vector<TokenId> CopyIds(const SourceTokens& source, const ServedModel& model) {
  const model::v1::Vocabulary& target = model.spec.target();
  absl::flat_hash_map<std::string_view, TokenId> own;
  std::vector<TokenId> ids(source.ids.size(), target.unk_id());
  for (int i = 0; i < static_cast<int>(ids.size()); ++i) {
    TokenId& id = ids[static_cast<std::size_t>(i)];
    if (i < source.text_begin) {
      if (target.has_bos_id()) id = target.bos_id();
    } else if (i >= source.text_end) {
      id = target.eos_id();
    } else {
      const std::string& spelling = source.spellings[static_cast<std::size_t>(i)];
      const std::optional<TokenId> found = model.target_tokenizer->Find(spelling);
      id = found.has_value()
               ? *found
               : own.try_emplace(spelling, target.size() + static_cast<TokenId>(own.size())).first->second;
    }
  }
  return ids;
}

void SetSource(const SourceTokens& source, const ServedModel& model, bool shortlist, DecodeJob* job) {
  job->source = source.ids;
  job->text_begin = source.text_begin;
  job->text_end = source.text_end;
  if (model.plan->copies()) job->copy_ids = CopyIds(source, model);
  if (shortlist && model.shortlist.has_value()) job->shortlist = model.shortlist->Candidates(source.ids);
}

}  // namespace heed
