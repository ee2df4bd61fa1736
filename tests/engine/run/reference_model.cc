#include "tests/engine/run/reference_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace heed {
namespace {

using Vector = ReferenceModel::Vector;
using Sequence = ReferenceModel::Sequence;
using Values = ReferenceModel::Values;

double Apply(Activation f, double x) {
  switch (f) {
    case Activation::kIdentity:
      return x;
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::kRelu:
      return x > 0 ? x : 0;
    case Activation::kHardSigmoid:
      return std::min(1.0, std::max(0.0, 0.2 * x + 0.5));
    case Activation::kHardSigmoidSixth:
      return std::min(1.0, std::max(0.0, x / 6 + 0.5));
  }
  return x;
}

// W x + b; either may be absent.
Vector Affine(const Tensor* w, const Tensor* b, const Vector& x) {
  Vector y;
  if (w == nullptr) {
    y = x;
  } else {
    for (std::int64_t r = 0; r < w->rows(); ++r) {
      double sum = 0;
      for (std::int64_t c = 0; c < w->columns(); ++c) sum += w->data[r * w->columns() + c] * x.at(c);
      y.push_back(sum);
    }
  }
  for (std::size_t i = 0; b != nullptr && i < y.size(); ++i) y[i] += b->data[i];
  return y;
}

void Append(Vector& to, const Vector& from) { to.insert(to.end(), from.begin(), from.end()); }

struct State {
  Vector h, c;
};

// Blocks of each kind of cell.
int Blocks(CellType type) {
  return type == CellType::kLstm ? 4 : type == CellType::kGru ? 3 : type == CellType::kSsru ? 2 : 1;
}

double At(const Tensor* t, int i) { return t == nullptr ? 0 : t->data[i]; }

// (y - mean) / sqrt(var + epsilon) of elements [begin, end).
void Normalise(Vector& y, int begin, int end, double epsilon) {
  double mean = 0, variance = 0;
  for (int i = begin; i < end; ++i) mean += y[i] / (end - begin);
  for (int i = begin; i < end; ++i) variance += (y[i] - mean) * (y[i] - mean) / (end - begin);
  for (int i = begin; i < end; ++i) y[i] = (y[i] - mean) / std::sqrt(variance + epsilon);
}

// N of model.proto's CellNorm over blocks [begin, end) of y, which holds all of them; then scale and bias.
Vector Normed(const CellWeights& w, Vector y, const Tensor* scale, const Tensor* bias, int begin, int end) {
  const int n = w.hidden;
  std::vector<int> cuts = {begin};
  for (int block = begin + 1; block < end; ++block) {
    const bool cut = w.norm.groups == CellNormWeights::Groups::kBlocks ||
                     (w.norm.groups == CellNormWeights::Groups::kGates && block == 2);
    if (cut) cuts.push_back(block);
  }
  cuts.push_back(end);
  for (std::size_t i = 0; i + 1 < cuts.size(); ++i) Normalise(y, cuts[i] * n, cuts[i + 1] * n, w.norm.epsilon);
  for (int i = begin * n; i < end * n; ++i) y[i] = y[i] * scale->data[i] + At(bias, i);
  return y;
}

// The inputs' and the state's parts of all blocks, normalised where they are normalised apart, except that a GRU with
// reset before makes its candidate's state part itself.
struct Parts {
  Vector input, state;
};
Parts PartsOf(const CellWeights& w, const Vector& x, const State& in) {
  const int blocks = Blocks(w.type);
  Parts parts{Vector(static_cast<std::size_t>(blocks * w.hidden)), Vector(static_cast<std::size_t>(blocks * w.hidden))};
  parts.input = Affine(w.weight_input, w.bias_input, w.weight_input == nullptr ? parts.input : x);
  if (w.type != CellType::kSsru) parts.state = Affine(w.weight_state, w.bias_state, in.h);
  if (!w.norm.on) return parts;
  if (w.norm.input_scale != nullptr && (w.norm.state_scale != nullptr || w.type == CellType::kSsru)) {
    parts.input = Normed(w, parts.input, w.norm.input_scale, w.norm.input_bias, 0, blocks);
  }
  if (w.norm.state_scale != nullptr) {
    parts.state = Normed(w, parts.state, w.norm.state_scale, w.norm.state_bias, 0, w.reset_before ? 2 : blocks);
  }
  return parts;
}

State RunGru(const CellWeights& w, const Parts& parts, const State& in) {
  const int n = w.hidden;
  const auto gate = [&](int block, int i) {
    return Apply(w.gate, parts.input[block * n + i] + parts.state[block * n + i]);
  };
  State out{Vector(n), Vector(n)};
  Vector reset_h(n);
  for (int i = 0; i < n; ++i) reset_h[i] = gate(0, i) * in.h[i];
  Vector u_reset = Affine(w.weight_state, w.bias_state, reset_h);
  if (w.norm.on) u_reset = Normed(w, u_reset, w.norm.state_scale, w.norm.state_bias, 2, 3);
  for (int i = 0; i < n; ++i) {
    const double state = w.reset_before ? u_reset[2 * n + i] : gate(0, i) * parts.state[2 * n + i];
    const double candidate = Apply(w.function, parts.input[2 * n + i] + state);
    out.h[i] = (1 - gate(1, i)) * candidate + gate(1, i) * in.h[i];
  }
  return out;
}

// model.proto's CellKind and CellNorm, equation by equation.
State RunCell(const CellWeights& w, const Vector& x, const State& in) {
  const int n = w.hidden;
  const Parts parts = PartsOf(w, x, in);
  if (w.type == CellType::kGru) return RunGru(w, parts, in);
  Vector sum = parts.input;
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += parts.state[i];
  if (w.norm.on && w.norm.state_scale == nullptr && w.type != CellType::kSsru) {
    sum = Normed(w, sum, w.norm.input_scale, w.norm.input_bias, 0, Blocks(w.type));
  }
  State out{Vector(n), Vector(n)};
  if (w.type == CellType::kRnn) {
    for (int i = 0; i < n; ++i) out.h[i] = Apply(w.function, sum[i]);
    return out;
  }
  const auto gate = [&](int block, int i) { return Apply(w.gate, sum[block * n + i]); };
  if (w.type == CellType::kSsru) {
    for (int i = 0; i < n; ++i) {
      out.c[i] = gate(0, i) * in.c[i] + (1 - gate(0, i)) * sum[n + i];
      out.h[i] = Apply(w.function, out.c[i]);
    }
    return out;
  }
  for (int i = 0; i < n; ++i) out.c[i] = gate(1, i) * in.c[i] + gate(0, i) * Apply(w.function, sum[2 * n + i]);
  Vector c = out.c;
  if (w.norm.cell_scale != nullptr) {
    Normalise(c, 0, n, w.norm.epsilon);
    for (int i = 0; i < n; ++i) c[i] = c[i] * w.norm.cell_scale->data[i] + At(w.norm.cell_bias, i);
    if (w.norm.cell_carried) out.c = c;
  }
  for (int i = 0; i < n; ++i) out.h[i] = gate(3, i) * Apply(w.function, c[i]);
  return out;
}

// Runs one program. `previous` holds the primed values of a step program; `ids` what embed reads.
class Runner {
 public:
  Runner(const Program& program, Values values, const Values* previous, const std::vector<TokenId>& ids, bool zero,
         const DecodeJob& job, int position = 0)
      : program_(program),
        values_(std::move(values)),
        previous_(previous),
        ids_(ids),
        zero_(zero),
        job_(job),
        position_(position) {}

  Values Run() {
    for (const Node& node : program_.nodes) std::visit([this](const auto& n) { On(n); }, node);
    return std::move(values_);
  }
  Vector log_probabilities;
  std::vector<ReferenceAttention> attentions;

 private:
  const Sequence& Get(Ref ref) const { return ref.previous ? (*previous_)[ref.value] : values_[ref.value]; }

  Sequence Joined(const std::vector<Ref>& refs) const {
    Sequence out = Get(refs.at(0));
    for (std::size_t i = 1; i < refs.size(); ++i) {
      for (std::size_t r = 0; r < out.size(); ++r) Append(out[r], Get(refs[i]).at(r));
    }
    return out;
  }
  template <typename F>
  void Each(const std::vector<Ref>& refs, int out, F f) {
    Sequence y = Joined(refs);
    for (Vector& row : y) row = f(row);
    values_[out] = std::move(y);
  }

  void On(const PositionNode& n) {
    Sequence y = Get(n.input);
    for (std::size_t p = 0; p < y.size(); ++p) {
      const int t = static_cast<int>(y[p].size()) / 2;
      for (int c = 0; c < 2 * t; ++c) {
        const double rate = std::pow(1e-4, static_cast<double>(c % t) / (t - 1));
        const double shift = c < t ? 0 : std::acos(0.0);
        y[p][c] += std::sin(static_cast<double>(position_ + p) * rate + shift);
      }
    }
    values_[n.out] = y;
  }
  void On(const SelfAttendNode& n) {
    const Sequence& x = values_[n.input];
    Sequence q, k, v, out;
    for (const Vector& row : x) {
      q.push_back(Affine(n.query_weight, n.query_bias, row));
      k.push_back(Affine(n.key_weight, n.key_bias, row));
      v.push_back(Affine(n.value_weight, n.value_bias, row));
    }
    const int all = static_cast<int>(x[0].size()), size = all / n.heads;
    for (const Vector& query : q) {
      Vector context(all, 0.0);
      for (int begin = 0; begin < all; begin += size) {
        Vector e;
        for (const Vector& key : k) {
          double sum = 0;
          for (int i = begin; i < begin + size; ++i) sum += query[i] * key[i];
          e.push_back(sum / std::sqrt(size));
        }
        const Vector w = ReferenceSoftmax(e);
        for (std::size_t j = 0; j < w.size(); ++j) {
          for (int i = begin; i < begin + size; ++i) context[i] += w[j] * v[j][i];
        }
      }
      out.push_back(Affine(n.output_weight, n.output_bias, context));
    }
    values_[n.out] = out;
  }
  void On(const CopyNode& n) {
    log_probabilities = ReferenceCopy(n, logits_, Get(n.gate)[0][0], Get(n.attention)[0], job_.copy_ids);
  }
  void On(const EmbedNode& n) {
    Sequence out;
    for (const TokenId id : ids_) {
      Vector row(n.table->columns(), 0.0);
      for (std::size_t i = 0; !zero_ && i < row.size(); ++i) {
        row[i] = double{n.table->data[id * row.size() + i]} * n.scale;
      }
      out.push_back(row);
    }
    values_[n.out] = out;
  }
  void On(const RnnNode& n) {
    const Sequence x = values_[n.input];
    Sequence out(x.size());
    State state{Vector(n.cell.hidden, 0.0), Vector(n.cell.hidden, 0.0)};
    for (std::size_t t = 0; t < x.size(); ++t) {
      const std::size_t at = n.backward ? x.size() - 1 - t : t;
      state = RunCell(n.cell, x[at], state);
      for (const CellWeights& transition : n.transitions) state = RunCell(transition, {}, state);
      out[at] = state.h;
    }
    values_[n.out] = out;
    if (n.out_h >= 0) values_[n.out_h] = {state.h};
    if (n.out_c >= 0) values_[n.out_c] = {state.c};
  }
  void On(const CellNode& n) {
    const Vector x = n.inputs.empty() ? Vector{} : Joined(n.inputs)[0];
    const State in{Get(n.state_h)[0], n.state_c.value < 0 ? Vector{} : Get(n.state_c)[0]};
    const State out = RunCell(n.cell, x, in);
    values_[n.out_h] = {out.h};
    if (n.out_c >= 0) values_[n.out_c] = {out.c};
  }
  void On(const AttendNode& n) {
    const Sequence& memory = values_[n.memory];
    const Vector query = Affine(n.query_weight, n.query_bias, Joined(n.query)[0]);
    Sequence keys, values;
    for (const Vector& m : memory) values.push_back(Affine(n.value_weight, n.value_bias, m));
    if (n.score != AttendNode::Score::kLocation) {
      for (const Vector& k : values_[n.keys >= 0 ? n.keys : n.memory]) {
        keys.push_back(Affine(n.key_weight, n.key_bias, k));
      }
    }
    const Vector coverage = n.coverage.value < 0 ? Vector{} : Get(n.coverage)[0];
    const ReferenceAttention made = ReferenceAttend(n, query, keys, values, coverage);
    values_[n.out] = {made.context};
    values_[n.out_weights] = {made.weights};
    values_[n.out_energies] = {made.energies};
    attentions.push_back(made);
  }
  void On(const LinearNode& n) {
    Each(n.inputs, n.out, [&](const Vector& x) {
      Vector y = Affine(n.weight, n.bias, x);
      for (double& v : y) v = Apply(n.function, v);
      return y;
    });
  }
  void On(const ActivationNode& n) {
    Each({n.input}, n.out, [&](Vector x) {
      for (double& v : x) v = Apply(n.function, v);
      return x;
    });
  }
  void On(const ConcatNode& n) {
    Each(n.inputs, n.out, [](const Vector& x) { return x; });
  }
  void On(const AddNode& n) { Combine(n.inputs, n.out, false); }
  void On(const MulNode& n) { Combine(n.inputs, n.out, true); }
  void Combine(const std::vector<Ref>& inputs, int out, bool product) {
    Sequence y = Get(inputs.at(0));
    for (std::size_t k = 1; k < inputs.size(); ++k) {
      const Sequence& x = Get(inputs[k]);
      for (std::size_t r = 0; r < y.size(); ++r) {
        for (std::size_t i = 0; i < y[r].size(); ++i) y[r][i] = product ? y[r][i] * x[r][i] : y[r][i] + x[r][i];
      }
    }
    values_[out] = std::move(y);
  }
  void On(const LerpNode& n) {
    Sequence y = Get(n.a);
    for (std::size_t r = 0; r < y.size(); ++r) {
      for (std::size_t i = 0; i < y[r].size(); ++i) {
        const double g = Get(n.gate)[r][i];
        y[r][i] = (1 - g) * y[r][i] + g * Get(n.b)[r][i];
      }
    }
    values_[n.out] = std::move(y);
  }
  void On(const LayerNormNode& n) {
    Each({n.input}, n.out, [&](Vector x) {
      double mean = 0, variance = 0;
      for (const double v : x) mean += v / static_cast<double>(x.size());
      for (const double v : x) variance += (v - mean) * (v - mean) / static_cast<double>(x.size());
      for (std::size_t i = 0; i < x.size(); ++i) {
        x[i] = (x[i] - mean) / std::sqrt(variance + n.epsilon) * n.scale->data[i];
        if (n.bias != nullptr) x[i] += n.bias->data[i];
      }
      return x;
    });
  }
  void On(const PoolNode& n) {
    const Sequence& x = values_[n.input];
    Vector y(x[0].size(), 0.0);
    if (n.kind == PoolNode::Kind::kFirst) y = x.front();
    if (n.kind == PoolNode::Kind::kLast) y = x.back();
    if (n.kind == PoolNode::Kind::kMean) {
      for (const Vector& row : x) {
        for (std::size_t i = 0; i < y.size(); ++i) y[i] += row[i] / static_cast<double>(x.size());
      }
    }
    values_[n.out] = {y};
  }
  void On(const SliceNode& n) {
    Each({n.input}, n.out, [&](const Vector& x) { return Vector(x.begin() + n.begin, x.begin() + n.end); });
  }
  void On(const MaxoutNode& n) {
    Each({n.input}, n.out, [&](const Vector& x) {
      Vector y;
      for (std::size_t i = 0; i < x.size(); i += n.group) y.push_back(*std::max_element(&x[i], &x[i] + n.group));
      return y;
    });
  }
  void On(const OutputNode& n) {
    logits_ = Affine(n.weight, n.bias, Joined(n.inputs)[0]);
    if (!job_.shortlist.empty()) {
      Vector listed(logits_.size(), -INFINITY);
      for (const TokenId id : job_.shortlist) listed[id] = logits_[id];
      logits_ = listed;
    }
    for (const double p : ReferenceSoftmax(logits_)) log_probabilities.push_back(std::max(std::log(p), -1e4));
  }

  const Program& program_;
  Values values_;
  const Values* previous_;
  const std::vector<TokenId>& ids_;
  const bool zero_;
  const DecodeJob& job_;
  Vector logits_;
  const int position_;  // of the first row
};

// A program's values before it runs: those that are the encoder's are there already.
Values Given(const Program& program, const Values& encoder) {
  Values values(program.values.size());
  for (std::size_t v = 0; v < values.size(); ++v) {
    if (program.values[v].encoder_value >= 0) values[v] = encoder[program.values[v].encoder_value];
  }
  return values;
}

}  // namespace

ReferenceModel::ReferenceModel(const CheckedProgram& program, const DecodeJob& job, TokenId unk)
    : program_(program), job_(job), unk_(unk) {
  encoder_ = Runner(program.encoder, Values(program.encoder.values.size()), nullptr, job.source, false, job).Run();
  init_ = Runner(program.init, Given(program.init, encoder_), nullptr, job.source, false, job).Run();
}

ReferenceModel::StepResult ReferenceModel::Step(const StepResult* previous, TokenId input) const {
  Values first;
  if (previous == nullptr) {
    first.resize(program_.step.values.size());
    for (const Primed& primed : program_.primed) {
      const Value& value = program_.step.values[primed.step_value];
      const std::size_t size = value.type == ValueType::kPositions ? value.size * job_.source.size() : value.size;
      first[primed.step_value] = primed.init_value >= 0 ? init_[primed.init_value] : Sequence{Vector(size, 0.0)};
    }
  }
  const std::vector<TokenId> ids = {input < program_.step.values[program_.output].size ? input : unk_};
  Runner runner(program_.step, Given(program_.step, encoder_), previous == nullptr ? &first : &previous->values, ids,
                previous == nullptr && program_.start_zero, job_, previous == nullptr ? 0 : previous->position + 1);
  StepResult result;
  result.position = previous == nullptr ? 0 : previous->position + 1;
  result.values = runner.Run();
  result.log_probabilities = std::move(runner.log_probabilities);
  result.attentions = std::move(runner.attentions);
  return result;
}

std::vector<ReferenceModel::StepResult> ReferenceModel::Force(const std::vector<TokenId>& tokens) const {
  std::vector<StepResult> results;
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    results.push_back(t == 0 ? First() : Step(&results.back(), tokens[t - 1]));
  }
  return results;
}

std::vector<TokenId> ReferenceModel::Greedy(TokenId eos, int max_length) const {
  std::vector<TokenId> tokens;
  StepResult last = First();
  while (true) {
    const auto best = std::max_element(last.log_probabilities.begin(), last.log_probabilities.end());
    tokens.push_back(static_cast<TokenId>(best - last.log_probabilities.begin()));
    if (tokens.back() == eos || static_cast<int>(tokens.size()) == max_length) return tokens;
    last = Step(&last, tokens.back());
  }
}

}  // namespace heed
