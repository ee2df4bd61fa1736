#!/bin/bash
# tract 0.23.9 (PyPI), Sonos's ONNX runtime in Rust, on recurrent layers of one direction, "reverse".
#
# Expected: LSTM, GRU and RNN with direction="reverse" read the sequence from its end, as the backward half of
# direction="bidirectional" does; a direction that is not supported is refused.
# Seen: "forward" and "bidirectional" are right, "reverse" runs forward: outputs and last state are those of
# "forward" to 1e-6, with no error. (sequence_lens, which it has not, it does refuse.)
#
# Marian's and Nematus's alternating stacks, and encoders that are split into two layers for export, come out wrong.
# Needs the network.
set -euo pipefail
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
/usr/bin/python3 -m venv "$temporary/venv"
"$temporary/venv/bin/pip" install --quiet tract==0.23.9 onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6
OMP_NUM_THREADS=1 "$temporary/venv/bin/python" - "$temporary/layer.onnx" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
import tract
from onnx import TensorProto, helper

TIME, INPUT, UNITS = 5, 4, 6
x = np.random.default_rng(0).normal(size=(TIME, 1, INPUT)).astype("f")


def run(kind, gates, direction):
    """What ONNX Runtime and tract say of the same layer, [time, directions, 1, units]."""
    ways = 1 + (direction == "bidirectional")
    rng = np.random.default_rng(1)
    shapes = {"W": (ways, gates * UNITS, INPUT), "R": (ways, gates * UNITS, UNITS)}
    weights = [onnx.numpy_helper.from_array(rng.normal(size=s).astype("f"), n) for n, s in shapes.items()]
    node = helper.make_node(kind, ["X", "W", "R"], ["Y"], hidden_size=UNITS, direction=direction)
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("X", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, (TIME, ways, 1, UNITS))], weights)
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), sys.argv[1])
    model = tract.onnx().load(sys.argv[1])
    model.set_input_fact(0, f"{TIME},1,{INPUT},f32")
    (got,) = model.into_model().into_runnable().run([x])
    return onnxruntime.InferenceSession(sys.argv[1]).run(None, {"X": x})[0], got.to_numpy()


same = True
for kind, gates in ("LSTM", 4), ("GRU", 3), ("RNN", 1):
    forward, both, reverse = (run(kind, gates, way) for way in ("forward", "bidirectional", "reverse"))
    right = [float(np.abs(a - b).max()) for a, b in (forward, both)]
    wrong = float(np.abs(reverse[0] - reverse[1]).max())
    as_forward = float(np.abs(reverse[1] - forward[0]).max())
    print(f"{kind}: forward {right[0]:.0e}, bidirectional {right[1]:.0e}, reverse {wrong:.0e} off;",
          f"reverse to forward {as_forward:.0e}")
    same = same and max(*right, as_forward) < 1e-5 and wrong > 0.1
sys.exit(not same)
PYTHON
