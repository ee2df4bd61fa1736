#!/bin/bash
# ONNX Runtime 1.31.1 and Flax 0.12.8 beside Keras 3.15.1 (both on JAX 0.10.2): the state that a recurrent layer is
# given for a row of length 0, as a stream has that got no token since the last call while others in its batch did.
#
# Expected: no step is made, so the row's last state is the one it was given, as Keras has it.
# Seen: ONNX Runtime's GRU, LSTM and RNN return 0 for it, whatever initial_h and initial_c were; Flax's RNN runs through
# the padding and returns the state after that. ONNX Runtime's other rows are right.
#
# A server that carries states from call to call loses an idle stream's in the one and spoils it in the other.
# Needs the network.
set -euo pipefail
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
/usr/bin/python3 -m venv "$temporary/venv"
"$temporary/venv/bin/pip" install --quiet onnxruntime==1.31.1 onnx==1.23.2 flax==0.12.8 jax==0.10.2 keras==3.15.1 \
  numpy==2.4.6
KERAS_BACKEND=jax JAX_PLATFORMS=cpu "$temporary/venv/bin/python" - <<'PYTHON'
import sys

import flax.linen
import jax
import keras
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

TIME, INPUT, UNITS = 5, 4, 6
LENGTHS = np.array([3, 0], np.int32)
rng = np.random.default_rng(0)
x = rng.normal(size=(2, TIME, INPUT)).astype("f")
given = rng.normal(size=(2, UNITS)).astype("f")


def in_onnxruntime(kind, gates):
    """The last states [kinds of state, rows, units], with both rows and with the first row's tokens alone."""
    states = {"LSTM": ["h", "c"]}.get(kind, ["h"])
    shapes = {"W": (1, gates * UNITS, INPUT), "R": (1, gates * UNITS, UNITS)}
    weights = [onnx.numpy_helper.from_array(rng.normal(size=s).astype("f"), n) for n, s in shapes.items()]
    node = helper.make_node(kind, ["X", "W", "R", "", "lens", *states], ["", *(s.upper() for s in states)],
                            hidden_size=UNITS)
    value = lambda name, shape, of=TensorProto.FLOAT: helper.make_tensor_value_info(name, of, shape)
    graph = helper.make_graph(
        [node], "g", [value("X", ["t", "b", INPUT]), value("lens", ["b"], TensorProto.INT32),
                      *(value(s, [1, "b", UNITS]) for s in states)],
        [value(s.upper(), [1, "b", UNITS]) for s in states], weights)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    session = onnxruntime.InferenceSession(model.SerializeToString())
    run = lambda x, lens, h: np.concatenate(
        session.run(None, {"X": x.swapaxes(0, 1), "lens": lens, **{s: h[None] for s in states}}))
    return run(x, LENGTHS, given), run(x[:1, :3], LENGTHS[:1], given[:1])


zero = right = True
for kind, gates in ("GRU", 3), ("LSTM", 4), ("RNN", 1):
    both, alone = in_onnxruntime(kind, gates)
    right = right and np.allclose(both[:, :1], alone, atol=1e-5)
    zero = zero and not both[:, 1].any()

layer = flax.linen.RNN(flax.linen.GRUCell(UNITS), return_carry=True)
weights = layer.init(jax.random.PRNGKey(0), x)
last = lambda **options: np.asarray(layer.apply(weights, x, initial_carry=given, **options)[0])
flax_padding = np.abs(last(seq_lengths=LENGTHS)[1] - last()[1]).max()
flax_given = np.abs(last(seq_lengths=LENGTHS)[1] - given[1]).max()

mask = np.arange(TIME) < LENGTHS[:, None]
keras_given = np.abs(np.asarray(keras.layers.GRU(UNITS, return_state=True)(x, initial_state=given, mask=mask)[1])[1]
                     - given[1]).max()
print(f"idle row: onnxruntime 0 {zero} (other row right {right}); flax {flax_given:.1f} from the given state,"
      f" {flax_padding:.0e} from the padding's; keras {keras_given:.0e} from the given")
sys.exit(not (zero and right and flax_padding < 1e-5 and flax_given > 0.1 and keras_given < 1e-6))
PYTHON
