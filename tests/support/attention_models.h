// Small models with attention beyond Luong's and Bahdanau's: every option of attend, models that copy, shortlists.
#pragma once

#include <string>

#include "tests/support/test_models.h"

namespace heed {

// Options of the one attend of AttentionModel.
struct TestAttend {
  std::string score = "ADDITIVE";  // "DOT", "GENERAL", "LOCATION"
  int heads = 1;
  bool sparsemax = false;
  bool coverage = false;    // additive: the sum of earlier weights, per head
  bool arithmetic = false;  // coverage is a mixture of weights, energies and itself instead of a sum
  bool keys = false;        // keys are made of the embeddings instead of the memory
  bool values = false;      // projected values
  bool in_init = false;     // the context and coverage of the first step come from an attend in init
};

// h = cell.gru([e, c']); c = attend(h, m); out = output([h, c]). Encoder: one bidirectional GRU layer. Sources of at
// most 40 tokens; a location score has 43 slots.
BundleBuilder AttentionModel(const TestAttend& attend = {}, const TestSizes& z = {}, std::uint32_t seed = 1);

// See et al. 2017 as it decodes: the first step's context and coverage come from an attend in init. Coverage inside the
// score, gate for generating.
BundleBuilder PointerGenerator(const TestSizes& z = {}, std::uint32_t seed = 1);

// OpenNMT-py's copy attention with input feeding: gate for copying, id 3 masked. `own`: an attention of its own that
// asks with the attention vector, else the decoder's.
BundleBuilder CopyAttention(bool own, const TestSizes& z = {}, std::uint32_t seed = 1);

// LuongLstm whose jobs may have a shortlist; 23 source and target ids.
BundleBuilder Shortlisted(const TestSizes& z = {}, std::uint32_t seed = 1);

}  // namespace heed
