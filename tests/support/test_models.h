// Ready-made small models, one per kind of program that the engine must run, in any size.
//
// Each function returns a builder, so that a test may still change the spec or a tensor before Build(). Sizes differ
// from each other by default, so that a mix-up of two shows.
#pragma once

#include <cstdint>

#include "tests/support/bundle_builder.h"

namespace heed {

struct TestSizes {
  int source_vocabulary = 23;
  int target_vocabulary = 19;
  int embedding = 6;
  int encoder_hidden = 5;  // per direction
  int decoder_hidden = 8;  // LuongLstm takes 2 * encoder_hidden instead
  int attention = 7;       // width of the additive score, and of LuongLstm's attention vector
};

// Luong et al. 2015 with input feeding. Encoder: two bidirectional LSTM layers.
//   h = cell.lstm([e, a']); c = attend.general(h, m); a = linear.tanh([c, h]); r = linear(a); out = output(r), tied
// h starts as the last layer's final [forward; backward] h, its c as a linear of that; a starts as zeros; start is bos.
BundleBuilder LuongLstm(const TestSizes& z = {}, std::uint32_t seed = 1);

// Bahdanau et al. 2015 with a GRU (reset after). Encoder: one bidirectional GRU layer.
//   c = attend.additive(h', m); h = cell.gru([e, c]); r = linear([h, c, e]); out = output(r), tied
// h starts as tanh(linear([forward; backward] final h)); start is bos.
BundleBuilder BahdanauGru(const TestSizes& z = {}, std::uint32_t seed = 1);

// Cho et al. 2014: no attention. One forward GRU whose final state is read at every step as the vector f.h.
//   h = cell.gru([e, f.h]); out = output([h, e])
// h starts as f.h through a linear; start is bos.
BundleBuilder NoAttention(const TestSizes& z = {}, std::uint32_t seed = 1);

// Marian's and Nematus's conditional GRU, with reset before. Encoder: one bidirectional GRU layer.
//   s1 = cell.gru([e], state=s'); c = attend.additive(s1, m); s = cell.gru([c], state=s1); r = linear.tanh([e, s, c])
// s starts as tanh(linear(mean of m)); start is the zero vector.
BundleBuilder Marian(const TestSizes& z = {}, std::uint32_t seed = 1);

// Every other op once: a plain RNN each way, dot attention with 2 heads and a value projection, layer_norm, add, mul,
// lerp, slice, maxout, activation, an embedding scale, a cell without input, ops on sequences in the encoder.
// `attention` and `decoder_hidden` are rounded up to even; start is eos.
BundleBuilder Variety(const TestSizes& z = {}, std::uint32_t seed = 1);

// A Marian student (Kim et al. 2019), 2 + 2 layers: embeddings scaled and with positions; encoder layers of two-headed
// self-attention and a feed-forward of 3 * embedding, each added to its input and normalised; decoder layers
//   x1 = layer_norm(add(cell.ssru([x]), x)); c = attend.dot(x1, m), two heads; x2 = layer_norm(add(linear(c), x1));
//   layer_norm(add(linear(linear.relu(x2)), x2))
// with the output tied; start is the zero vector. `embedding` is rounded up to an even number of at least 4.
BundleBuilder Student(const TestSizes& given = {}, std::uint32_t seed = 1);

// Recurrences of one kind with all of `options`, whose prefix, hidden and inputs are not read. Encoder: forward
// with a transition behind each step, then backward over that.
//   s1 = cell([e, r'], state=s'); s = cell([], state=s1); r = linear.tanh([s, mean of m]); out = output(r)
// An SSRU has no transition and no s: it is s1. Start is bos.
BundleBuilder CellModel(const TestCell& options, const TestSizes& z = {}, std::uint32_t seed = 1);

// NoAttention whose encoder joins a value with itself again and again: a bundle of a few kilobytes whose sequences have
// `embedding` * 2^doublings elements a position.
BundleBuilder Doubling(int doublings, const TestSizes& z = {}, std::uint32_t seed = 1);

}  // namespace heed
