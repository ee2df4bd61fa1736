#!/bin/bash
# Keras 3.15.1 (on JAX 0.10.2), MultiHeadAttention, for a row whose values are all masked, as an empty text's are.
#
# Expected: return_attention_scores=True returns the weights that made the output, and changes nothing in it. A wholly
# masked row gets equal weights, as from this library's Attention and AdditiveAttention, or zeros, but one of the two.
# Seen: with the scores asked for, the row's weights are all 0 and so its output is the bias of the output projection;
# without, another kernel runs and its output is the mean over all the padding. Rows with a real value are the same.
#
# Who turns scores on to show attention changes what the model says of such rows, and its loss.
# Needs the network.
set -euo pipefail
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
/usr/bin/python3 -m venv "$temporary/venv"
"$temporary/venv/bin/pip" install --quiet keras==3.15.1 jax==0.10.2 numpy==2.4.6
KERAS_BACKEND=jax JAX_PLATFORMS=cpu "$temporary/venv/bin/python" - <<'PYTHON'
import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
x = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("f")
mask = keras.ops.convert_to_tensor(np.array([[1, 1, 1, 0, 0], [0, 0, 0, 0, 0]], bool))
layer = keras.layers.MultiHeadAttention(2, 4)
array = keras.ops.convert_to_numpy
with_scores, weights = map(array, layer(x, x, value_mask=mask, return_attention_scores=True))
without = array(layer(x, x, value_mask=mask))
additive = array(keras.layers.AdditiveAttention(use_scale=False)(
    [x, x], mask=[None, mask], return_attention_scores=True)[1])

# The mean over all five values, through the layer's own projections.
value, output = (np.asarray(d.kernel) for d in (layer.value_dense, layer.output_dense))
mean = np.einsum("d,dhk,hko->o", x[1].mean(axis=0), value, output)
real, masked = (np.abs(with_scores[r] - without[r]).max() for r in (0, 1))
to_mean, to_zero = np.abs(without[1] - mean).max(), np.abs(with_scores[1]).max()
print(f"asking for scores changes a real row by {real:.0e}, a masked row by {masked:.2f}; masked row: weights up to"
      f" {np.abs(weights[1]).max():.1f}, output {to_zero:.0e} from 0; without scores {to_mean:.0e} from the mean;"
      f" AdditiveAttention's weights {additive[1].min():.1f}..{additive[1].max():.1f}")
sys.exit(not (real < 1e-5 < 0.01 < masked and (weights[1] == 0).all() and to_zero < 1e-6 and to_mean < 1e-5
              and np.allclose(additive[1], 0.2)))
PYTHON
