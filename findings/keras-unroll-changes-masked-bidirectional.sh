#!/bin/bash
# Keras 3.15.1, Bidirectional(GRU(unroll=True)) over a masked batch, on TensorFlow 2.21.0 and on JAX 0.10.2.
#
# Expected: unroll trades memory for speed; what is computed stays, and stays the same on both backends.
# Seen: rolled up, both backends agree. Unrolled, the last states still do, but the outputs do not: on TensorFlow the
# backward half of a short row's real tokens is 0, since its outputs, which are in reversed time, are masked by the mask
# in forward time; on JAX the real tokens are right and padding keeps the last output where rolled up it is 0.
# Bidirectional asks for such zeros by itself, so no option of the caller is involved.
#
# An encoder trained unrolled on one backend and served on the other, or converted, attends to other keys.
# Needs the network.
set -euo pipefail
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
/usr/bin/python3 -m venv "$temporary/venv"
"$temporary/venv/bin/pip" install --quiet keras==3.15.1 tensorflow-cpu==2.21.0 jax==0.10.2 numpy==2.4.6
cat > "$temporary/encode.py" <<'PYTHON'
import sys

import keras
import numpy as np

rng = np.random.default_rng(0)
x = keras.ops.convert_to_tensor(rng.normal(size=(2, 6, 3)).astype("f"))
mask = keras.ops.convert_to_tensor(np.arange(6) < np.array([[6], [3]]))
weights = None
for unroll in False, True:
    layer = keras.layers.Bidirectional(keras.layers.GRU(4, return_sequences=True, return_state=True, unroll=unroll))
    layer(x)
    weights = weights or [rng.normal(size=w.shape).astype("f") for w in layer.get_weights()]
    layer.set_weights(weights)
    y, *states = (keras.ops.convert_to_numpy(a) for a in layer(x, mask=mask))
    np.savez(f"{sys.argv[1]}-{unroll}.npz", y=y, states=np.stack(states))
PYTHON
for backend in tensorflow jax; do
  KERAS_BACKEND=$backend TF_CPP_MIN_LOG_LEVEL=3 JAX_PLATFORMS=cpu "$temporary/venv/bin/python" "$temporary/encode.py" \
    "$temporary/$backend" 2> "$temporary/log" || { cat "$temporary/log"; exit 1; }
done
"$temporary/venv/bin/python" - "$temporary" <<'PYTHON'
import sys

import numpy as np

tf, tf_unrolled, jax, jax_unrolled = (np.load(f"{sys.argv[1]}/{name}-{unroll}.npz")
                                      for name in ("tensorflow", "jax") for unroll in (False, True))
short = np.s_[1, :3]  # the real tokens of the row of 3; the backward half are the last 4 units
gap = lambda a, b, part: np.abs(a["y"][part] - b["y"][part]).max()
states = max(np.abs(a["states"] - tf["states"]).max() for a in (tf_unrolled, jax, jax_unrolled))
zeroed = bool((tf_unrolled["y"][short][:, 4:] == 0).all() and (tf["y"][short][:, 4:] != 0).all())
padding = np.abs(jax_unrolled["y"][1, 3:]).max()
print(f"rolled up tf-jax {gap(tf, jax, np.s_[:]):.0e}, states {states:.0e}; unrolled: tf zeroes the backward half of"
      f" real tokens: {zeroed}; jax real {gap(jax, jax_unrolled, short):.0e}, padding up to {padding:.2f} instead of 0")
sys.exit(not (gap(tf, jax, np.s_[:]) < 1e-4 and states < 1e-4 and zeroed and gap(jax, jax_unrolled, short) < 1e-4
              and padding > 0.1 and (jax["y"][1, 3:] == 0).all()))
PYTHON
