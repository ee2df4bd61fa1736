#include "tests/support/attention_models.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"

namespace heed {
namespace {

// A bidirectional layer "m" over "x", its ends "final" (and of an LSTM "final_c"), and embeddings for both sides.
void AddEncoder(BundleBuilder& b, const TestSizes& z, const std::string& kind, const std::string& outputs) {
  b.AddTensor("source.embedding", {z.source_vocabulary, z.embedding}, 2);
  b.AddTensor("target.embedding", {z.target_vocabulary, z.embedding}, 4);
  const auto cell = [&](const char* prefix) {
    return b.AddCell({.prefix = prefix, .kind = kind, .hidden = z.encoder_hidden, .inputs = z.embedding});
  };
  const std::string forward = cell("encoder.forward"), backward = cell("encoder.backward");
  b.Merge(absl::Substitute(
      R"json({"encoder": {"ops": [
    {"name": "x", "embed": {"table": "source.embedding"}},
    {"name": "f", "rnn": {"input": "x", "direction": "DIRECTION_FORWARD", "cell": $0}},
    {"name": "b", "rnn": {"input": "x", "direction": "DIRECTION_BACKWARD", "cell": $1}},
    {"name": "m", "concat": {"inputs": ["f", "b"]}},
    {"name": "final", "concat": {"inputs": ["f.h", "b.h"]}}$2], "outputs": [$3]}})json",
      forward, backward, kind == "LSTM" ? R"json(, {"name": "final_c", "concat": {"inputs": ["f.c", "b.c"]}})json" : "",
      outputs));
}

// A linear op in JSON, its tensors added.
std::string Linear(BundleBuilder& b, const std::string& name, const std::string& inputs, int n, int k,
                   const std::string& function = "IDENTITY") {
  b.AddTensor(name + ".weight", {n, k});
  b.AddTensor(name + ".bias", {n});
  return absl::Substitute(
      R"json({"name": "$0", "linear": {"inputs": [$1], "weight": "$0.weight", "bias": "$0.bias",
                                       "function": "FUNCTION_$2"}})json",
      name, inputs, function);
}

std::string Output(BundleBuilder& b, const TestSizes& z, const std::string& name, const std::string& inputs, int k) {
  b.AddTensor(name + ".weight", {z.target_vocabulary, k});
  b.AddTensor(name + ".bias", {z.target_vocabulary});
  return absl::Substitute(
      R"json({"name": "$0", "output": {"inputs": [$1], "weight": "$0.weight", "bias": "$0.bias"}})json", name, inputs);
}

constexpr char kEmbedTarget[] = R"json({"name": "e", "embed": {"table": "target.embedding"}})json";

// The attend but for its braces' end, so that coverage may follow. query: the query's name in JSON.
std::string AttendOpen(const TestAttend& a, const std::string& name, const std::string& query) {
  std::string json = absl::Substitute(
      R"json({"name": "$0", "attend": {"score": "SCORE_$1", "query": [$2], "memory": "m", "heads": $3)json", name,
      a.score, query, a.heads);
  const auto add = [&](const char* field) { absl::StrAppend(&json, ", \"", field, "\": \"attention.", field, "\""); };
  if (a.score != "LOCATION") {
    add("key_weight");
    if (a.keys) absl::StrAppend(&json, R"json(, "keys": "x")json");
  }
  if (a.score != "GENERAL") {
    add("query_weight");
    add("query_bias");
  }
  if (a.score == "LOCATION") absl::StrAppend(&json, R"json(, "slots": 43)json");
  if (a.score == "ADDITIVE") {
    add("v");
    add("v_bias");
  }
  if (a.values) {
    add("value_weight");
    add("value_bias");
  }
  if (a.sparsemax) absl::StrAppend(&json, R"json(, "normalizer": "NORMALIZER_SPARSEMAX")json");
  return json;
}

}  // namespace

BundleBuilder AttentionModel(const TestAttend& a, const TestSizes& z, std::uint32_t seed) {
  BundleBuilder b(seed, z.source_vocabulary, z.target_vocabulary);
  const int memory = 2 * z.encoder_hidden, hidden = z.decoder_hidden;
  const int width = a.score == "LOCATION"  ? 43 * a.heads
                    : a.score == "GENERAL" ? hidden
                                           : (z.attention + a.heads - 1) / a.heads * a.heads;
  const int context = a.values ? 2 * a.heads : memory;
  AddEncoder(b, z, "GRU", a.keys ? R"json("m", "x", "final")json" : R"json("m", "final")json");
  b.Merge(R"json({"limits": {"max_source_tokens": 40}})json");
  if (a.score != "LOCATION") b.AddTensor("attention.key_weight", {width, a.keys ? z.embedding : memory}, 3);
  if (a.score != "GENERAL") {
    b.AddTensor("attention.query_weight", {width, hidden}, 4);
    b.AddTensor("attention.query_bias", {width});
  }
  if (a.score == "ADDITIVE") {
    b.AddTensor("attention.v", {width}, 6);
    b.AddTensor("attention.v_bias", {1});
  }
  if (a.values) {
    b.AddTensor("attention.value_weight", {context, memory});
    b.AddTensor("attention.value_bias", {context});
  }
  std::string init = Linear(b, "h0", "\"final\"", hidden, memory, "TANH");
  std::string initials = R"json({"name": "h", "from": "h0"})json";
  if (a.in_init) {
    absl::StrAppend(&init, ", ", AttendOpen(a, "c0", "\"h0\""), "}}");
    if (a.arithmetic) {
      absl::StrAppend(&init,
                      R"json(, {"name": "s0", "activation": {"input": "c0.energies", "function": "FUNCTION_SIGMOID"}},
                             {"name": "v0", "mul": {"inputs": ["s0", "c0.weights"]}})json");
    }
  }
  absl::StrAppend(&initials, R"json(, {"name": "c", )json", a.in_init ? R"("from": "c0"})" : R"("zero": true})");
  std::string step = AttendOpen(a, "c", "\"h\"");
  if (a.coverage) {
    b.AddTensor("attention.coverage_weight", {width}, a.arithmetic ? 1 : 5);
    absl::StrAppend(&step, R"json(, "coverage": "cov'", "coverage_weight": "attention.coverage_weight"}},)json");
    absl::StrAppend(&step,
                    !a.arithmetic ? R"json({"name": "cov", "add": {"inputs": ["cov'", "c.weights"]}})json" : R"json(
      {"name": "twice", "add": {"inputs": ["c.weights", "cov'", "c.weights'"]}},
      {"name": "most", "activation": {"input": "c.energies", "function": "FUNCTION_TANH"}},
      {"name": "both", "mul": {"inputs": ["most", "twice"]}},
      {"name": "cov", "lerp": {"gate": "c.weights", "a": "both", "b": "twice"}})json");
    absl::StrAppend(&initials, R"json(, {"name": "cov", )json",
                    !a.in_init     ? R"("zero": true})"
                    : a.arithmetic ? R"("from": "v0"})"
                                   : R"("from": "c0.weights"})");
    if (a.arithmetic) {
      absl::StrAppend(&initials, R"json(, {"name": "c.weights", )json",
                      a.in_init ? R"("from": "c0.weights"})" : R"("zero": true})");
    }
  } else {
    absl::StrAppend(&step, "}}");
  }
  const std::string cell =
      b.AddCell({.prefix = "decoder", .kind = "GRU", .hidden = hidden, .inputs = z.embedding + context});
  b.Merge(absl::Substitute(R"json({
    "init": {"ops": [$0], "initials": [$1]},
    "step": {"ops": [$2, {"name": "h", "cell": {"inputs": ["e", "c'"], "cell": $3}}, $4, $5],
             "output": "out", "start_id": 1}})json",
                           init, initials, kEmbedTarget, cell, step,
                           Output(b, z, "out", R"("h", "c")", hidden + context)));
  return b;
}

BundleBuilder PointerGenerator(const TestSizes& z, std::uint32_t seed) {
  BundleBuilder b(seed, z.source_vocabulary, z.target_vocabulary);
  const int memory = 2 * z.encoder_hidden, hidden = z.decoder_hidden, x = z.embedding;
  AddEncoder(b, z, "LSTM", R"json("m", "final", "final_c")json");
  b.AddTensor("attention.key_weight", {memory, memory}, 3);
  b.AddTensor("attention.query_weight", {memory, 2 * hidden}, 3);
  b.AddTensor("attention.query_bias", {memory});
  b.AddTensor("attention.v", {memory}, 6);
  b.AddTensor("attention.coverage_weight", {memory}, 5);
  const auto attend = [](const char* name, const char* query, const char* coverage) {
    return absl::Substitute(R"json({"name": "$0", "attend": {"score": "SCORE_ADDITIVE", "query": [$1], "memory": "m",
      "key_weight": "attention.key_weight", "query_weight": "attention.query_weight",
      "query_bias": "attention.query_bias", "v": "attention.v"$2}})json",
                            name, query, coverage);
  };
  const std::string h0 = Linear(b, "h0", "\"final\"", hidden, memory, "RELU");
  const std::string c0 = Linear(b, "c0", "\"final_c\"", hidden, memory, "RELU");
  b.Merge(absl::Substitute(R"json({"init": {"ops": [$0, $1, $2], "initials": [
    {"name": "s", "from": "h0"}, {"name": "s.c", "from": "c0"}, {"name": "c", "from": "first"},
    {"name": "cov", "from": "first.weights"}]}})json",
                           h0, c0, attend("first", R"("c0", "h0")", "")));
  const std::string feed = Linear(b, "x1", R"("e", "c'")", x, z.embedding + memory);
  const std::string cell = b.AddCell({.prefix = "decoder", .kind = "LSTM", .hidden = hidden, .inputs = x});
  const std::string gate = Linear(b, "gate", R"("c", "s.c", "s", "x1")", 1, memory + 2 * hidden + x, "SIGMOID");
  const std::string readout = Linear(b, "readout", R"("s", "c")", hidden, hidden + memory);
  b.Merge(absl::Substitute(
      R"json({"step": {"ops": [$0, $1, {"name": "s", "cell": {"inputs": ["x1"], "cell": $2}}, $3,
        {"name": "cov", "add": {"inputs": ["cov'", "c.weights"]}}, $4, $5, $6,
        {"name": "out", "copy": {"generate": "vocabulary", "gate": "gate", "attention": "c.weights",
                                 "gate_generates": true}}],
      "output": "out", "start_id": 1}})json",
      kEmbedTarget, feed, cell,
      attend("c", R"("s.c", "s")", R"(, "coverage": "cov'", "coverage_weight": "attention.coverage_weight")"), gate,
      readout, Output(b, z, "vocabulary", R"("readout")", hidden)));
  return b;
}

BundleBuilder CopyAttention(bool own, const TestSizes& z, std::uint32_t seed) {
  BundleBuilder b(seed, z.source_vocabulary, z.target_vocabulary);
  const int hidden = 2 * z.encoder_hidden;  // of the memory too
  AddEncoder(b, z, "LSTM", R"json("m", "final", "final_c")json");
  b.Merge(R"json({"init": {"initials": [
    {"name": "h", "from": "final"}, {"name": "h.c", "from": "final_c"}, {"name": "a", "zero": true}]}})json");
  const auto attend = [&](const std::string& name, const char* query) {
    b.AddTensor(name + ".query_weight", {hidden, hidden}, 4);
    return absl::Substitute(R"json({"name": "$0", "attend": {"score": "SCORE_GENERAL", "query": ["$1"], "memory": "m",
                                                        "query_weight": "$0.query_weight"}},)json",
                            name, query);
  };
  const std::string cell =
      b.AddCell({.prefix = "decoder", .kind = "LSTM", .hidden = hidden, .inputs = z.embedding + hidden});
  const std::string c = attend("c", "h");
  const std::string a = Linear(b, "a", R"("c", "h")", hidden, 2 * hidden, "TANH");
  const std::string copying = own ? attend("copying", "a") : "";
  const std::string gate = Linear(b, "gate", R"("a")", 1, hidden, "SIGMOID");
  b.Merge(absl::Substitute(
      R"json({"step": {"ops": [$0, {"name": "h", "cell": {"inputs": ["e", "a'"], "cell": $1}}, $2 $3, $4 $5, $6,
        {"name": "out", "copy": {"generate": "vocabulary", "gate": "gate", "attention": "$7.weights",
                                 "masked_ids": [3]}}],
      "output": "out", "start_id": 1}})json",
      kEmbedTarget, cell, c, a, copying, gate, Output(b, z, "vocabulary", R"("a")", hidden), own ? "copying" : "c"));
  return b;
}

BundleBuilder Shortlisted(const TestSizes& z, std::uint32_t seed) {
  TestSizes same = z;
  same.target_vocabulary = z.source_vocabulary;
  BundleBuilder b = LuongLstm(same, seed);
  b.spec().mutable_shortlist()->set_file("lex.bin");
  return b;
}

}  // namespace heed
