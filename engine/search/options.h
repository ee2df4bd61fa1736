// How hypotheses are searched for. Defaults are greedy search without penalties.
#pragma once

namespace heed {

enum class LengthNormalization {
  kNone,     // score = log p
  kAverage,  // score = log p / n^alpha
  kGnmt,     // score = log p / ((5 + n) / 6)^alpha (Wu et al. 2016, eq. 14)
};

struct SearchOptions {
  int beam_size = 1;             // rows the job takes; 1 is greedy
  int n_best = 1;                // hypotheses returned, at most beam_size
  int min_length = 0;            // tokens before </s> may be chosen
  int max_length = 128;          // tokens at most, </s> included; at least 1
  float repetition_penalty = 1;  // log-probabilities of tokens already emitted are multiplied by it; 1 is off
  int no_repeat_ngram_size = 0;  // no n-gram of this size twice; 0 is off
  LengthNormalization length_normalization = LengthNormalization::kNone;
  float length_alpha = 1;
};

}  // namespace heed
