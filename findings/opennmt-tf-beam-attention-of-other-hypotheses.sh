#!/bin/bash
# OpenNMT-tf 2.32.0 (TensorFlow 2.13.1), the attention that beam search returns, of an LSTM model with random weights.
#
# Expected: row t of a hypothesis is the attention with which its token t was made: what scoring the same tokens gives,
# as with beam_width 1.
# Seen: with beam_width 4, 74 of 192 rows after the first differ, by up to 0.5. A step's attention lies where its
# hypothesis was before the step's choice, and is looked up where the choice put it: the row may be another hypothesis's.
#
# Alignments and replace_unknown_target are made of these rows: an unknown word is replaced by the wrong source word.
# Needs the network.
set -euo pipefail
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
/usr/bin/python3 -m venv "$temporary/venv"
"$temporary/venv/bin/pip" install --quiet OpenNMT-tf==2.32.0 tensorflow-cpu==2.13.1 tensorflow-addons==0.21.0 \
  numpy==1.24.3
cat > "$temporary/probe.py" <<'PYTHON'
import sys

import numpy as np
import opennmt
import tensorflow as tf

WORDS = ["<blank>", "<s>", "</s>", *(f"w{i}" for i in range(17))]
with open(f"{sys.argv[1]}/words", "w") as file:
    file.write("\n".join(WORDS) + "\n")
SOURCE = ["w1", "w5", "w9", "w2", "w3"]


def embedder():
    return opennmt.inputters.WordEmbedder(embedding_size=12)


def example(tokens):
    return {"tokens": tf.constant([tokens]), "length": tf.constant([len(tokens)])}


def off(beam_width, seed):
    """How far the rows of a beam's hypotheses are from those of the same tokens scored: the first, the others."""
    model = opennmt.models.SequenceToSequence(
        embedder(), embedder(), opennmt.encoders.LSTMEncoder(1, 12),
        opennmt.decoders.AttentionalRNNDecoder(1, 12, bridge_class=opennmt.layers.DenseBridge))
    model.initialize({side + "_vocabulary": f"{sys.argv[1]}/words" for side in ("source", "target")},
                     params={"beam_width": beam_width, "num_hypotheses": beam_width, "maximum_decoding_length": 10})
    model.create_variables()
    rng = np.random.default_rng(seed)
    for weight in sorted(model.trainable_variables, key=lambda v: v.name):
        weight.assign(rng.normal(0, 0.8, weight.shape))
    features = model.features_inputter.make_features(features=example(SOURCE))
    made = model.infer(features)
    first, others = [], []
    for tokens, length, rows in zip(made["tokens"][0].numpy(), made["length"][0].numpy(), made["alignment"][0].numpy()):
        if length > 1:
            hypothesis = [t.decode() for t in tokens[:length]]
            labels = model.labels_inputter.make_features(features=example(hypothesis), training=True)
            want = np.asarray(model.score(features, labels)["attention"])[0]
            n = min(len(rows), len(want), length)
            gap = np.abs(rows[:n] - want[:n]).max(axis=1)
            first.append(gap[0])
            others.extend(gap[1:])
    return first, others


for beam_width in 1, 4:
    first, others = (np.concatenate(gaps) for gaps in zip(*(off(beam_width, seed) for seed in range(6))))
    print(f"beam {beam_width}: first rows {first.max():.0e} off; of {len(others)} others {np.sum(others > 0.01)} by"
          f" more than 0.01, up to {others.max():.1e}")
    if not (first.max() < 1e-4 and (others.max() < 1e-4 if beam_width == 1 else np.mean(others > 0.01) > 0.1)):
        sys.exit(1)
PYTHON
CUDA_VISIBLE_DEVICES='' TF_CPP_MIN_LOG_LEVEL=3 "$temporary/venv/bin/python" "$temporary/probe.py" "$temporary" \
  2> "$temporary/log" || { tail -n 1 "$temporary/log"; exit 1; }
