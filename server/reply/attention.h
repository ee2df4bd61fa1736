// Attention matrices as a reply carries them: dense, one row per target token or folded to words.
//
// Thread-safe: plain functions.
#pragma once

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "engine/run/job.h"
#include "heed/v1/attention.pb.h"
#include "heed/v1/text.pb.h"
#include "server/text/tokenizer.h"

namespace heed {

// The words that a side's tokens form.
std::vector<WordSpan> Words(const std::string& text, absl::Span<const v1::Token> tokens);

// [rows, columns] folded to [target.size(), source.size()]: the columns of a source word's pieces are summed, the rows
// of a target word's pieces averaged. So a row that sums to 1 over all pieces sums to 1 over all words.
std::vector<float> FoldToWords(const AttentionMatrix& matrix, absl::Span<const WordSpan> target,
                               absl::Span<const WordSpan> source);

// One matrix of a hypothesis. `target` and `source` are the words where the unit is words (of weights alone), else
// unused.
v1::Attention MakeAttention(const std::string& attend, AttentionMatrix matrix, v1::AttentionUnit unit,
                            absl::Span<const WordSpan> target, absl::Span<const WordSpan> source);

}  // namespace heed
