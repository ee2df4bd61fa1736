// Each toolkit's beam search as its own source has it, for one sentence and in plain vectors: what Search's policies
// are compared with. They share nothing with it.
//
// Plain functions, thread-safe.
#pragma once

#include <vector>

#include "tests/engine/search/toy_model.h"

namespace heed {

struct LoopHypothesis {
  Prefix tokens;  // </s> included where it was emitted
  double score = 0;
};
using LoopHypotheses = std::vector<LoopHypothesis>;  // best first

// fairseq: fairseq/sequence_generator.py (_generate, finalize_hypos), fairseq/search.py (BeamSearch.step).
struct FairseqSettings {
  int beam = 1, max_len = 200, min_len = 1;
  double lenpen = 1, unkpen = 0;
  int no_repeat_ngram_size = 0;
};
LoopHypotheses FairseqLoop(const ToyModel& model, const FairseqSettings& settings);

// OpenNMT-py from 1.0: onmt/translate/beam_search.py, decode_strategy.py, penalties.py.
struct OpenNmtSettings {
  enum class Stop { kTopEnded, kTopEndedAndBeam, kTopEnds };  // up to 2.2; 2.3 to 3.4.2; later
  int beam = 1, n_best = 1, max_length = 100, min_length = 0;
  Stop stop = Stop::kTopEnded;
  enum class Length { kNone, kWu, kAvg } length = Length::kNone;
  double alpha = 0;
  CoveragePenalty coverage = CoveragePenalty::kNone;
  double beta = 0;
  bool stepwise_penalty = false;
  int block_ngram_repeat = 0;
  bool ban_unk = false;
};
LoopHypotheses OpenNmtLoop(const ToyModel& model, const OpenNmtSettings& settings);

// OpenNMT-py before 0.8: onmt/translate/beam.py (Beam, GNMTGlobalScorer), translator.py (_translate_batch). The same
// settings; stop is kTopEnded, ban_unk is not there.
LoopHypotheses OldOpenNmtLoop(const ToyModel& model, const OpenNmtSettings& settings);

// JoeyNMT: joeynmt/search.py (beam_search). `all_places`: from 2.0, else up to 1.3.
struct JoeySettings {
  int beam = 1, n_best = 1, max_output_length = 30, min_output_length = 0;
  double alpha = -1;
  bool all_places = false;
};
LoopHypotheses JoeyLoop(const ToyModel& model, const JoeySettings& settings);

// Marian: src/translator/beam_search.cpp, history.h. unk is suppressed.
struct MarianSettings {
  int beam = 12;
  double normalize = 0, word_penalty = 0, max_length_factor = 3;
};
LoopHypotheses MarianLoop(const ToyModel& model, const MarianSettings& settings);

// Nematus up to 0.2: nematus/nmt.py (gen_sample), translate.py. From 0.5: nematus/beam_search_sampler.py.
struct NematusSettings {
  int beam = 12, maxlen = 200;
  double alpha = 0;
  bool suppress_unk = false;  // up to 0.2
};
LoopHypotheses OldNematusLoop(const ToyModel& model, const NematusSettings& settings);
LoopHypotheses NematusLoop(const ToyModel& model, const NematusSettings& settings);

// Sockeye: sockeye/inference.py (_beam_search, UpdateScores, NormalizeAndUpdateFinished). `each_step`: up to 1.18.5.
struct SockeyeSettings {
  int beam = 5, max_output_length = 100;
  double alpha = 1, beta = 0;
  bool each_step = false, stop_first = false;
};
LoopHypotheses SockeyeLoop(const ToyModel& model, const SockeyeSettings& settings);

// TensorFlow 1.x: tensorflow/contrib/seq2seq/python/ops/beam_search_decoder.py (_beam_search_step, _get_scores).
struct TensorFlowSettings {
  int beam = 10, maximum_iterations = 100;
  double length_penalty_weight = 0, coverage_penalty_weight = 0;
};
LoopHypotheses TensorFlowLoop(const ToyModel& model, const TensorFlowSettings& settings);

// See et al. 2017: abisee/pointer-generator, beam_search.py (run_beam_search), which returns the best alone.
struct SeeSettings {
  int beam = 4, max_dec_steps = 100, min_dec_steps = 35;
};
LoopHypotheses SeeLoop(const ToyModel& model, const SeeSettings& settings);

}  // namespace heed
