#include "tests/support/test_models.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"

namespace heed {
namespace {

// Ops "f{layer}" and "b{layer}" over `input`, and their concatenation under `out`.
std::string BidirectionalLayer(BundleBuilder& b, const std::string& kind, int layer, const std::string& input,
                               const std::string& out, int inputs, int hidden, bool reset_before = false) {
  const auto cell = [&](const char* direction) {
    return b.AddCell({.prefix = absl::StrCat("encoder.", layer, ".", direction),
                      .kind = kind,
                      .hidden = hidden,
                      .inputs = inputs,
                      .reset_before = reset_before});
  };
  const std::string forward = cell("forward");
  const std::string backward = cell("backward");
  return absl::Substitute(R"json(
    {"name": "f$0", "rnn": {"input": "$1", "direction": "DIRECTION_FORWARD", "cell": $3}},
    {"name": "b$0", "rnn": {"input": "$1", "direction": "DIRECTION_BACKWARD", "cell": $4}},
    {"name": "$2", "concat": {"inputs": ["f$0", "b$0"]}})json",
                          layer, input, out, forward, backward);
}

void AddEmbeddings(BundleBuilder& b, const TestSizes& z) {
  b.AddTensor("source.embedding", {z.source_vocabulary, z.embedding}, 2);
  b.AddTensor("target.embedding", {z.target_vocabulary, z.embedding}, 4);
}

void AddLinear(BundleBuilder& b, const std::string& prefix, int outputs, int inputs, bool bias = true) {
  b.AddTensor(prefix + ".weight", {outputs, inputs});
  if (bias) b.AddTensor(prefix + ".bias", {outputs});
}

constexpr char kEmbedSource[] = R"json({"name": "x", "embed": {"table": "source.embedding"}})json";
constexpr char kEmbedTarget[] = R"json({"name": "e", "embed": {"table": "target.embedding"}})json";

}  // namespace

BundleBuilder LuongLstm(const TestSizes& z, std::uint32_t seed) {
  BundleBuilder b(seed, z.source_vocabulary, z.target_vocabulary);
  const int memory = 2 * z.encoder_hidden;
  AddEmbeddings(b, z);
  const std::string layer1 = BidirectionalLayer(b, "LSTM", 1, "x", "m1", z.embedding, z.encoder_hidden);
  const std::string layer2 = BidirectionalLayer(b, "LSTM", 2, "m1", "m", memory, z.encoder_hidden);
  b.Merge(absl::Substitute(R"json({"encoder": {
    "ops": [$0, $1, $2, {"name": "final", "concat": {"inputs": ["f2.h", "b2.h"]}}],
    "outputs": ["m", "final"]}})json",
                           kEmbedSource, layer1, layer2));
  AddLinear(b, "bridge", memory, memory);
  const std::string cell =
      b.AddCell({.prefix = "decoder", .kind = "LSTM", .hidden = memory, .inputs = z.embedding + z.attention});
  b.AddTensor("attention.key_weight", {memory, memory});
  AddLinear(b, "attention.output", z.attention, 2 * memory, /*bias=*/false);
  AddLinear(b, "readout", z.embedding, z.attention);
  b.AddTensor("output.bias", {z.target_vocabulary});
  b.Merge(absl::Substitute(R"json({
    "init": {
      "ops": [{"name": "c0", "linear": {"inputs": ["final"], "weight": "bridge.weight", "bias": "bridge.bias"}}],
      "initials": [{"name": "h", "from": "final"}, {"name": "h.c", "from": "c0"}, {"name": "a", "zero": true}]},
    "step": {
      "ops": [$0,
        {"name": "h", "cell": {"inputs": ["e", "a'"], "cell": $1}},
        {"name": "c", "attend": {"score": "SCORE_GENERAL", "query": ["h"], "memory": "m",
                                 "key_weight": "attention.key_weight"}},
        {"name": "a", "linear": {"inputs": ["c", "h"], "weight": "attention.output.weight",
                                 "function": "FUNCTION_TANH"}},
        {"name": "r", "linear": {"inputs": ["a"], "weight": "readout.weight", "bias": "readout.bias"}},
        {"name": "out", "output": {"inputs": ["r"], "weight": "target.embedding", "bias": "output.bias"}}],
      "output": "out", "start_id": 1}})json",
                           kEmbedTarget, cell));
  return b;
}

BundleBuilder BahdanauGru(const TestSizes& z, std::uint32_t seed) {
  BundleBuilder b(seed, z.source_vocabulary, z.target_vocabulary);
  const int memory = 2 * z.encoder_hidden;
  AddEmbeddings(b, z);
  const std::string layer = BidirectionalLayer(b, "GRU", 1, "x", "m", z.embedding, z.encoder_hidden);
  b.Merge(absl::Substitute(R"json({"encoder": {
    "ops": [$0, $1, {"name": "final", "concat": {"inputs": ["f1.h", "b1.h"]}}],
    "outputs": ["m", "final"]}})json",
                           kEmbedSource, layer));
  AddLinear(b, "bridge", z.decoder_hidden, memory);
  b.AddTensor("attention.query_weight", {z.attention, z.decoder_hidden});
  b.AddTensor("attention.key_weight", {z.attention, memory});
  b.AddTensor("attention.key_bias", {z.attention});
  b.AddTensor("attention.v", {z.attention}, 4);
  const std::string cell =
      b.AddCell({.prefix = "decoder", .kind = "GRU", .hidden = z.decoder_hidden, .inputs = z.embedding + memory});
  AddLinear(b, "readout", z.embedding, z.decoder_hidden + memory + z.embedding);
  b.AddTensor("output.bias", {z.target_vocabulary});
  b.Merge(absl::Substitute(R"json({
    "init": {
      "ops": [{"name": "h0", "linear": {"inputs": ["final"], "weight": "bridge.weight", "bias": "bridge.bias",
                                        "function": "FUNCTION_TANH"}}],
      "initials": [{"name": "h", "from": "h0"}]},
    "step": {
      "ops": [$0,
        {"name": "c", "attend": {"score": "SCORE_ADDITIVE", "query": ["h'"], "memory": "m",
                                 "query_weight": "attention.query_weight", "key_weight": "attention.key_weight",
                                 "key_bias": "attention.key_bias", "v": "attention.v"}},
        {"name": "h", "cell": {"inputs": ["e", "c"], "cell": $1}},
        {"name": "r", "linear": {"inputs": ["h", "c", "e"], "weight": "readout.weight", "bias": "readout.bias"}},
        {"name": "out", "output": {"inputs": ["r"], "weight": "target.embedding", "bias": "output.bias"}}],
      "output": "out", "start_id": 1}})json",
                           kEmbedTarget, cell));
  return b;
}

BundleBuilder NoAttention(const TestSizes& z, std::uint32_t seed) {
  BundleBuilder b(seed, z.source_vocabulary, z.target_vocabulary);
  AddEmbeddings(b, z);
  const std::string encoder =
      b.AddCell({.prefix = "encoder.1.forward", .kind = "GRU", .hidden = z.encoder_hidden, .inputs = z.embedding});
  b.Merge(absl::Substitute(R"json({"encoder": {
    "ops": [$0, {"name": "f", "rnn": {"input": "x", "direction": "DIRECTION_FORWARD", "cell": $1}}],
    "outputs": ["f.h"]}})json",
                           kEmbedSource, encoder));
  AddLinear(b, "bridge", z.decoder_hidden, z.encoder_hidden);
  const std::string cell = b.AddCell(
      {.prefix = "decoder", .kind = "GRU", .hidden = z.decoder_hidden, .inputs = z.embedding + z.encoder_hidden});
  AddLinear(b, "output", z.target_vocabulary, z.decoder_hidden + z.embedding);
  b.Merge(absl::Substitute(R"json({
    "init": {
      "ops": [{"name": "h0", "linear": {"inputs": ["f.h"], "weight": "bridge.weight", "bias": "bridge.bias"}}],
      "initials": [{"name": "h", "from": "h0"}]},
    "step": {
      "ops": [$0,
        {"name": "h", "cell": {"inputs": ["e", "f.h"], "cell": $1}},
        {"name": "out", "output": {"inputs": ["h", "e"], "weight": "output.weight", "bias": "output.bias"}}],
      "output": "out", "start_id": 1}})json",
                           kEmbedTarget, cell));
  return b;
}

BundleBuilder Doubling(int doublings, const TestSizes& z, std::uint32_t seed) {
  BundleBuilder b = NoAttention(z, seed);
  std::string last = "x";
  for (int i = 1; i <= doublings; ++i) {
    const std::string next = absl::StrCat("d", i);
    b.Merge(absl::Substitute(R"json({"encoder": {"ops": [{"name": "$0", "concat": {"inputs": ["$1", "$1"]}}]}})json",
                             next, last));
    last = next;
  }
  b.Merge(absl::Substitute(R"json({
    "encoder": {"ops": [{"name": "p", "pool": {"input": "$0", "pooling": "POOLING_LAST"}}], "outputs": ["p"]},
    "init": {"ops": [{"name": "cut", "slice": {"input": "p", "begin": 0, "end": 1}}]}})json",
                           last));
  return b;
}

BundleBuilder Marian(const TestSizes& z, std::uint32_t seed) {
  BundleBuilder b(seed, z.source_vocabulary, z.target_vocabulary);
  const int memory = 2 * z.encoder_hidden;
  AddEmbeddings(b, z);
  const std::string layer =
      BidirectionalLayer(b, "GRU", 1, "x", "m", z.embedding, z.encoder_hidden, /*reset_before=*/true);
  b.Merge(absl::Substitute(R"json({"encoder": {"ops": [$0, $1], "outputs": ["m"]}})json", kEmbedSource, layer));
  AddLinear(b, "bridge", z.decoder_hidden, memory);
  const auto cell = [&](const char* prefix, int inputs) {
    return b.AddCell(
        {.prefix = prefix, .kind = "GRU", .hidden = z.decoder_hidden, .inputs = inputs, .reset_before = true});
  };
  const std::string cell1 = cell("decoder.1", z.embedding);
  const std::string cell2 = cell("decoder.2", memory);
  b.AddTensor("attention.query_weight", {z.attention, z.decoder_hidden});
  b.AddTensor("attention.query_bias", {z.attention});
  b.AddTensor("attention.key_weight", {z.attention, memory});
  b.AddTensor("attention.v", {z.attention}, 4);
  b.AddTensor("attention.v_bias", {1});
  AddLinear(b, "readout", z.embedding, z.embedding + z.decoder_hidden + memory);
  AddLinear(b, "output", z.target_vocabulary, z.embedding);
  b.Merge(absl::Substitute(R"json({
    "init": {
      "ops": [{"name": "mean", "pool": {"input": "m", "pooling": "POOLING_MEAN"}},
              {"name": "s0", "linear": {"inputs": ["mean"], "weight": "bridge.weight", "bias": "bridge.bias",
                                        "function": "FUNCTION_TANH"}}],
      "initials": [{"name": "s", "from": "s0"}]},
    "step": {
      "ops": [$0,
        {"name": "s1", "cell": {"inputs": ["e"], "state": "s'", "cell": $1}},
        {"name": "c", "attend": {"score": "SCORE_ADDITIVE", "query": ["s1"], "memory": "m",
                                 "query_weight": "attention.query_weight", "query_bias": "attention.query_bias",
                                 "key_weight": "attention.key_weight", "v": "attention.v",
                                 "v_bias": "attention.v_bias"}},
        {"name": "s", "cell": {"inputs": ["c"], "state": "s1", "cell": $2}},
        {"name": "r", "linear": {"inputs": ["e", "s", "c"], "weight": "readout.weight", "bias": "readout.bias",
                                 "function": "FUNCTION_TANH"}},
        {"name": "out", "output": {"inputs": ["r"], "weight": "output.weight", "bias": "output.bias"}}],
      "output": "out", "start_zero": true}})json",
                           kEmbedTarget, cell1, cell2));
  return b;
}

BundleBuilder Variety(const TestSizes& z, std::uint32_t seed) {
  BundleBuilder b(seed, z.source_vocabulary, z.target_vocabulary);
  const int memory = 2 * z.encoder_hidden;
  const int attention = z.attention + z.attention % 2;
  const int hidden = z.decoder_hidden + z.decoder_hidden % 2;
  AddEmbeddings(b, z);
  const std::string layer = BidirectionalLayer(b, "RNN", 1, "x", "fb", z.embedding, z.encoder_hidden);
  AddLinear(b, "encoder.project", memory, z.embedding);
  b.AddTensor("encoder.norm.scale", {memory}, 8);
  b.AddTensor("encoder.norm.bias", {memory});
  b.Merge(absl::Substitute(R"json({"encoder": {
    "ops": [{"name": "x", "embed": {"table": "source.embedding", "scale": 1.5}}, $0,
      {"name": "p", "linear": {"inputs": ["x"], "weight": "encoder.project.weight", "bias": "encoder.project.bias",
                               "function": "FUNCTION_RELU"}},
      {"name": "sum", "add": {"inputs": ["fb", "p"]}},
      {"name": "m", "layer_norm": {"input": "sum", "scale": "encoder.norm.scale", "bias": "encoder.norm.bias",
                                   "epsilon": 1e-5}}],
    "outputs": ["m", "fb"]}})json",
                           layer));
  AddLinear(b, "bridge", 2 * hidden, 2 * memory);
  const std::string cell1 =
      b.AddCell({.prefix = "decoder.1", .kind = "RNN", .hidden = hidden, .inputs = z.embedding, .bias_state = false});
  const std::string cell2 = b.AddCell({.prefix = "decoder.2", .kind = "GRU", .hidden = hidden, .bias_input = false});
  b.AddTensor("attention.query_weight", {attention, hidden});
  b.AddTensor("attention.query_bias", {attention});
  b.AddTensor("attention.key_weight", {attention, memory});
  b.AddTensor("attention.key_bias", {attention});
  b.AddTensor("attention.value_weight", {hidden, memory});
  b.AddTensor("attention.value_bias", {hidden});
  AddLinear(b, "gate", hidden, hidden + z.embedding);
  b.AddTensor("norm.scale", {hidden}, 8);
  AddLinear(b, "output", z.target_vocabulary, hidden / 2 + hidden);
  b.Merge(absl::Substitute(R"json({
    "init": {
      "ops": [{"name": "first", "pool": {"input": "fb", "pooling": "POOLING_FIRST"}},
              {"name": "last", "pool": {"input": "m", "pooling": "POOLING_LAST"}},
              {"name": "both", "concat": {"inputs": ["first", "last"]}},
              {"name": "wide", "linear": {"inputs": ["both"], "weight": "bridge.weight", "bias": "bridge.bias"}},
              {"name": "h0", "maxout": {"input": "wide", "group": 2}},
              {"name": "cut", "slice": {"input": "wide", "begin": 0, "end": $3}},
              {"name": "n0", "activation": {"input": "cut", "function": "FUNCTION_TANH"}}],
      "initials": [{"name": "s", "from": "h0"}, {"name": "n", "from": "n0"}]},
    "step": {
      "ops": [{"name": "e", "embed": {"table": "target.embedding", "scale": 0.5}},
        {"name": "s1", "cell": {"inputs": ["e"], "state": "s'", "cell": $1}},
        {"name": "s", "cell": {"state": "s1", "cell": $2}},
        {"name": "c", "attend": {"score": "SCORE_DOT", "query": ["s"], "memory": "m", "heads": 2, "scale": 0.7,
                                 "query_weight": "attention.query_weight", "query_bias": "attention.query_bias",
                                 "key_weight": "attention.key_weight", "key_bias": "attention.key_bias",
                                 "value_weight": "attention.value_weight", "value_bias": "attention.value_bias"}},
        {"name": "g", "linear": {"inputs": ["s", "e"], "weight": "gate.weight", "bias": "gate.bias",
                                 "function": "FUNCTION_SIGMOID"}},
        {"name": "l", "lerp": {"gate": "g", "a": "c", "b": "n'"}},
        {"name": "q", "mul": {"inputs": ["l", "s"]}},
        {"name": "t", "add": {"inputs": ["q", "c", "s1"]}},
        {"name": "n", "layer_norm": {"input": "t", "scale": "norm.scale", "epsilon": 1e-5}},
        {"name": "u", "activation": {"input": "n", "function": "FUNCTION_TANH"}},
        {"name": "half", "slice": {"input": "s", "begin": $0, "end": $3}},
        {"name": "v", "concat": {"inputs": ["u", "half"]}},
        {"name": "out", "output": {"inputs": ["v"], "weight": "output.weight", "bias": "output.bias"}}],
      "output": "out", "start_id": 2}})json",
                           hidden / 2, cell1, cell2, hidden));
  return b;
}

BundleBuilder Student(const TestSizes& given, std::uint32_t seed) {
  TestSizes z = given;
  z.embedding = std::max(4, z.embedding + z.embedding % 2);
  BundleBuilder b(seed, z.source_vocabulary, z.target_vocabulary);
  const int n = z.embedding;
  AddEmbeddings(b, z);
  const auto square = [&](const std::string& prefix, std::initializer_list<const char*> names, bool fields) {
    std::string json;
    for (const char* name : names) {
      b.AddTensor(absl::StrCat(prefix, ".", name, "_weight"), {n, n}, 3);
      b.AddTensor(absl::StrCat(prefix, ".", name, "_bias"), {n});
      if (fields) {
        absl::StrAppend(
            &json, absl::Substitute(R"json(, "$1_weight": "$0.$1_weight", "$1_bias": "$0.$1_bias")json", prefix, name));
      }
    }
    return json;
  };
  // OUT = layer_norm(add(X, Y)).
  const auto norm = [&](const std::string& prefix, const std::string& x, const std::string& y, const std::string& out) {
    b.AddTensor(prefix + ".scale", {n}, 6);
    b.AddTensor(prefix + ".bias", {n});
    return absl::Substitute(R"json(
      {"name": "$3_sum", "add": {"inputs": ["$1", "$2"]}},
      {"name": "$3", "layer_norm": {"input": "$3_sum", "scale": "$0.scale", "bias": "$0.bias", "epsilon": 1e-6}})json",
                            prefix, x, y, out);
  };
  const auto feed_forward = [&](const std::string& prefix, const std::string& x, const std::string& out) {
    AddLinear(b, prefix + ".1", 3 * n, n);
    AddLinear(b, prefix + ".2", n, 3 * n);
    return absl::Substitute(R"json(
      {"name": "$2_1", "linear": {"inputs": ["$1"], "weight": "$0.1.weight", "bias": "$0.1.bias",
                                  "function": "FUNCTION_RELU"}},
      {"name": "$2_2", "linear": {"inputs": ["$2_1"], "weight": "$0.2.weight", "bias": "$0.2.bias"}}, $3)json",
                            prefix, x, out, norm(prefix + ".norm", out + "_2", x, out));
  };
  const std::string embed = R"json({"name": "x", "embed": {"table": "$0.embedding", "scale": 1.7}},
                                   {"name": "$1", "position": {"input": "x"}})json";
  std::string encoder = absl::Substitute(embed, "source", "l0");
  std::string decoder = absl::Substitute(embed, "target", "y0");
  std::string initials;
  for (int layer = 1; layer <= 2; ++layer) {
    const std::string e = absl::StrCat("encoder.", layer), d = absl::StrCat("decoder.", layer);
    const std::string x = absl::StrCat("l", layer - 1), y = absl::StrCat("y", layer - 1);
    const std::string projections = square(e + ".self", {"query", "key", "value", "output"}, true);
    absl::StrAppend(&encoder, absl::Substitute(R"json(,
      {"name": "a$0", "self_attend": {"input": "$1", "heads": 2$2}}, )json",
                                               layer, x, projections));
    absl::StrAppend(&encoder, norm(e + ".self.norm", absl::StrCat("a", layer), x, absl::StrCat("n", layer)), ",",
                    feed_forward(e + ".ffn", absl::StrCat("n", layer), layer == 2 ? "m" : absl::StrCat("l", layer)));

    const std::string cell = b.AddCell({.prefix = d + ".rnn", .kind = "SSRU", .hidden = n, .inputs = n});
    absl::StrAppend(&decoder, absl::Substitute(R"json(, {"name": "h$0", "cell": {"inputs": ["$1"], "cell": $2}}, )json",
                                               layer, y, cell));
    absl::StrAppend(&decoder, norm(d + ".rnn.norm", absl::StrCat("h", layer), y, absl::StrCat("s", layer)));
    const std::string attend = square(d + ".context", {"query", "key", "value"}, true);
    square(d + ".context", {"output"}, false);
    absl::StrAppend(&decoder, absl::Substitute(R"json(,
      {"name": "attention$0", "attend": {"score": "SCORE_DOT", "query": ["s$0"], "memory": "m", "heads": 2,
                                         "scale": 0.577$1}},
      {"name": "c$0", "linear": {"inputs": ["attention$0"], "weight": "$2.context.output_weight",
                                 "bias": "$2.context.output_bias"}}, )json",
                                               layer, attend, d));
    absl::StrAppend(
        &decoder,
        norm(d + ".context.norm", absl::StrCat("c", layer), absl::StrCat("s", layer), absl::StrCat("t", layer)), ",",
        feed_forward(d + ".ffn", absl::StrCat("t", layer), absl::StrCat("y", layer)));
    absl::StrAppend(
        &initials, layer == 1 ? "" : ", ",
        absl::Substitute(R"json({"name": "h$0", "zero": true}, {"name": "h$0.c", "zero": true})json", layer));
  }
  b.AddTensor("output.bias", {z.target_vocabulary});
  b.Merge(absl::StrCat(R"json({"encoder": {"ops": [)json", encoder, R"json(], "outputs": ["m"]},
    "init": {"initials": [)json",
                       initials, R"json(]}, "step": {"ops": [)json", decoder, R"json(,
      {"name": "out", "output": {"inputs": ["y2"], "weight": "target.embedding", "bias": "output.bias"}}],
    "output": "out", "start_zero": true}})json"));
  return b;
}

BundleBuilder CellModel(const TestCell& options, const TestSizes& z, std::uint32_t seed) {
  BundleBuilder b(seed, z.source_vocabulary, z.target_vocabulary);
  const int readout = z.attention;
  const bool ssru = options.kind == "SSRU", has_c = ssru || options.kind == "LSTM";
  AddEmbeddings(b, z);
  const auto cell = [&](const char* prefix, int hidden, int inputs) {
    TestCell made = options;
    made.prefix = prefix;
    made.hidden = hidden;
    made.inputs = inputs;
    return b.AddCell(made);
  };
  const std::string forward = cell("encoder.forward", z.encoder_hidden, z.embedding);
  const std::string transition = ssru ? "" : cell("encoder.transition", z.encoder_hidden, 0);
  const std::string backward = cell("encoder.backward", z.decoder_hidden, z.encoder_hidden);
  b.Merge(absl::Substitute(R"json({"encoder": {"ops": [$0,
      {"name": "f", "rnn": {"input": "x", "direction": "DIRECTION_FORWARD", "cell": $1, "transitions": [$2]}},
      {"name": "b", "rnn": {"input": "f", "direction": "DIRECTION_BACKWARD", "cell": $3}},
      {"name": "mean", "pool": {"input": "b", "pooling": "POOLING_MEAN"}}],
    "outputs": ["mean", "b.h"$4]}})json",
                           kEmbedSource, forward, transition, backward, has_c ? ", \"b.c\"" : ""));
  const std::string first = cell("decoder.1", z.decoder_hidden, z.embedding + readout);
  const std::string second = ssru ? "" : cell("decoder.2", z.decoder_hidden, 0);
  AddLinear(b, "bridge", readout, z.decoder_hidden);
  AddLinear(b, "readout", readout, 2 * z.decoder_hidden);
  AddLinear(b, "output", z.target_vocabulary, readout);
  const char* last = ssru ? "s1" : "s";
  std::string initials =
      absl::Substitute(R"json({"name": "r", "from": "r0"}, {"name": "$0", "from": "b.h"})json", last);
  if (has_c) absl::StrAppend(&initials, absl::Substitute(R"json(, {"name": "$0.c", "from": "b.c"})json", last));
  b.Merge(absl::Substitute(
      R"json({
    "init": {"ops": [{"name": "r0", "linear": {"inputs": ["b.h"], "weight": "bridge.weight", "bias": "bridge.bias"}}],
             "initials": [$0]},
    "step": {"ops": [$1,
      {"name": "s1", "cell": {"inputs": ["e", "r'"], "state": "$2'", "cell": $3}}, $4
      {"name": "r", "linear": {"inputs": ["$2", "mean"], "weight": "readout.weight", "bias": "readout.bias",
                               "function": "FUNCTION_TANH"}},
      {"name": "out", "output": {"inputs": ["r"], "weight": "output.weight", "bias": "output.bias"}}],
      "output": "out", "start_id": 1}})json",
      initials, kEmbedTarget, last, first,
      ssru ? "" : absl::StrCat(R"json({"name": "s", "cell": {"state": "s1", "cell": )json", second, "}},")));
  return b;
}

}  // namespace heed
