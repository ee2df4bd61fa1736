// How hypotheses are searched for. Defaults are greedy search without penalties. Each value of an enum is some
// toolkit's own rule; docs/bundle.md has each toolkit's settings, with the files that they were read in.
#pragma once

#include <vector>

#include "engine/base/types.h"

namespace heed {

// How length enters a score; n tokens, </s> included, plus SearchOptions::length_offset.
enum class LengthNormalization {
  kNone,   // score = log p
  kPower,  // score = log p / n^alpha
  kGnmt,   // score = log p / ((beta + n) / (beta + 1))^alpha (Wu et al. 2016, eq. 14, with beta 5)
};

// Which of a step's continuations, ranked by running score, go on. B is the beam size.
enum class BeamPolicy {
  kFairseq,  // of the best 2 B those that end within the first B are finished, the best B others go on
  kRefill,   // of the best B those that end are finished, the others go on
  kShrink,   // the same, of the best B less the number finished
  kKeep,     // of the best B, finished ones among them with their final scores, those that have not ended go on
  kWalk,     // from the best on: those that end are finished, others go on, until B go on or B have finished
  kGoOn,     // of the best B those that end are finished, and all B go on; ending a second time is not counted
};

// When search is over, besides when nothing goes on or at max_length.
enum class BeamStop {
  kBeamFull,          // B hypotheses have finished
  kBestEnds,          // the best continuation of this step ends, and n_best have finished
  kBestEnded,         // that of some step has ended, and n_best have finished
  kBestEndedAndFull,  // that of some step has ended, and B have finished
  kAllEnded,          // all of the beam have ended (kKeep)
  kAnyEnded,          // one has finished
  kPlacesEnded,       // each of the B places has once been taken by a continuation that ends, or by none
  kFinishedLead,      // the worst of the best B finished beats the best that goes on, both by running score
};

// What becomes of those that go on at max_length.
enum class UnfinishedPolicy {
  kCount,  // they are results like those that ended
  kFill,   // they are where fewer than n_best ended
  kEnd,    // at the last step only </s> may be chosen
};

// C, taken from a score times coverage_beta; c_i the sum of a hypothesis's attention weights of source position i.
enum class CoveragePenalty {
  kNone,
  kWu,       // C = sum of -log(min(c_i, 1))
  kSummary,  // C = sum of max(c_i, 1) - 1
};

struct SearchOptions {
  int beam_size = 1;                   // rows the job takes; 1 is greedy
  int n_best = 1;                      // hypotheses returned, at most beam_size
  int min_length = 0;                  // tokens before </s> may be chosen
  int max_length = 128;                // tokens at most, </s> included; at least 1
  float repetition_penalty = 1;        // log-probabilities of tokens already emitted are multiplied by it; 1 is off
  int no_repeat_ngram_size = 0;        // no n-gram of this size twice; 0 is off
  bool no_repeat_ngram_drops = false;  // instead of banning tokens, what holds one twice does not go on
  LengthNormalization length_normalization = LengthNormalization::kNone;
  float length_alpha = 1;
  float length_beta = 5;           // of kGnmt
  int length_offset = 0;           // added to n
  bool length_every_step = false;  // kKeep: live hypotheses are ranked by normalised scores too
  bool late_end_scores = false;    // kKeep, every step: the end counts in ranking from the next step on
  BeamPolicy beam_policy = BeamPolicy::kFairseq;
  BeamStop beam_stop = BeamStop::kBeamFull;
  UnfinishedPolicy unfinished = UnfinishedPolicy::kCount;
  std::vector<TokenId> banned;  // never chosen; distinct ids of the vocabulary, not </s>
  TokenId unknown = -1;         // id that unknown_penalty is for
  float unknown_penalty = 0;    // taken from its log-probability in ranking
  float word_penalty = 0;       // times n: taken from a final score, before normalisation
  CoveragePenalty coverage_penalty = CoveragePenalty::kNone;
  float coverage_beta = 0;
  bool coverage_every_step = false;  // in running scores, from the second step on; else in final scores
};

}  // namespace heed
