#!/bin/bash
# CTranslate2 4.8.5: the score of translate_batch beside score_batch's of the same tokens (a small random Transformer).
#
# Expected: with length_penalty=0 the score is the model's log-probability of the hypothesis, as score_batch gives it.
# Sampling keeps to that: neither top-k nor a temperature enters the score.
# Seen: what a search forbids is taken out before the softmax, and the rest is scaled up. The usual
# min_decoding_length=1 forbids </s> in the first step, so every score is too high by -log(1 - p(</s> first)), which is
# the larger the surer the model is that nothing should be said; disable_unk adds as much in every step.
#
# Thresholds on scores, and rescoring with score_batch, see two scales; with min_decoding_length=0 they agree.
# Needs the network.
set -euo pipefail
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
/usr/bin/python3 -m venv "$temporary/venv"
"$temporary/venv/bin/pip" install --quiet ctranslate2==4.8.5 numpy==2.4.6
OMP_NUM_THREADS=1 "$temporary/venv/bin/python" - "$temporary/model" <<'PYTHON'
import os
import sys

import ctranslate2
import numpy as np

DEPTH, WORDS = 16, 20
rng = np.random.default_rng(0)
spec = ctranslate2.specs.TransformerSpec.from_config((1, 1), 2)


def linear(layer, out, into=DEPTH):
    layer.weight = rng.normal(0, 0.6 / into**0.5, (out, into)).astype("f")
    layer.bias = rng.normal(0, 0.1, out).astype("f")


def normed(layer):
    layer.gamma, layer.beta = np.ones(DEPTH, "f"), np.zeros(DEPTH, "f")


for side, embedding in (spec.encoder, spec.encoder.embeddings[0]), (spec.decoder, spec.decoder.embeddings):
    embedding.weight = rng.normal(0, 1, (WORDS, DEPTH)).astype("f")
    side.position_encodings.encodings = rng.normal(0, 1, (64, DEPTH)).astype("f")
    normed(side.layer_norm)
    (layer,) = side.layer
    for attention, sizes in (layer.self_attention, (3, 1)), (getattr(layer, "attention", None), (1, 2, 1)):
        if attention:
            normed(attention.layer_norm)
            for part, size in zip(attention.linear, sizes):
                linear(part, size * DEPTH)
    normed(layer.ffn.layer_norm)
    linear(layer.ffn.linear_0, 4 * DEPTH)
    linear(layer.ffn.linear_1, DEPTH, 4 * DEPTH)
linear(spec.decoder.projection, WORDS)
spec.decoder.projection.weight *= 4
spec.decoder.projection.bias[0] += 3  # <unk> is likely, as for a name
vocabulary = ["<unk>", "<s>", "</s>", *(f"w{i}" for i in range(WORDS - 3))]
spec.register_source_vocabulary(vocabulary)
spec.register_target_vocabulary(vocabulary)
spec.config.add_source_eos = True
spec.validate()
os.mkdir(sys.argv[1])
spec.save(sys.argv[1])
translator = ctranslate2.Translator(sys.argv[1], intra_threads=1)


def compare(**options):
    """Scores less log-probabilities, and what forbidding </s> in step 1 adds; lines cut at the limit are left out."""
    off, scaled_up = [], []
    for i in range(60):
        source = [f"w{i % 17}", f"w{i // 4}"]
        ctranslate2.set_random_seed(1)
        result = translator.translate_batch([source], return_scores=True, length_penalty=0, max_decoding_length=40,
                                            **options)[0]
        if len(result.hypotheses[0]) < 40:
            whole, empty = translator.score_batch([source] * 2, [result.hypotheses[0], []])
            off.append(result.scores[0] - sum(whole.log_probs))
            scaled_up.append(-np.log1p(-np.exp(empty.log_probs[0])))
    return np.array(off), np.array(scaled_up)


bare, _ = compare(beam_size=4, min_decoding_length=0)
sampled, _ = compare(beam_size=1, min_decoding_length=0, sampling_topk=5, sampling_temperature=0.5)
usual, scaled_up = compare(beam_size=4)
banned, _ = compare(beam_size=4, min_decoding_length=0, disable_unk=True)
print(f"score - log-probability, {len(bare)} {len(sampled)} {len(usual)} {len(banned)} lines: nothing forbidden"
      f" {abs(bare).max():.0e}, sampled {abs(sampled).max():.0e}, usual {usual.min():.3f}..{usual.max():.3f}"
      f" ({abs(usual - scaled_up).max():.0e} from -log(1 - p)), disable_unk {banned.min():.3f}..{banned.max():.3f}")
sys.exit(not (min(map(len, (bare, sampled, usual, banned))) > 5 and max(abs(bare).max(), abs(sampled).max()) < 1e-4
              and abs(usual - scaled_up).max() < 1e-4 and usual.min() > 0.01 and banned.min() > 0.01))
PYTHON
