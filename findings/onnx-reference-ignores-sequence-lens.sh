#!/bin/bash
# onnx 1.23.2, ReferenceEvaluator: the standard's operators in Python, which others are checked against.
#
# Expected: RNN, GRU and LSTM honour sequence_lens, an input of these operators since their first version, or refuse it.
# Seen: it is accepted and ignored, in each direction. Outputs past a row's end are not 0, the last state is that of the
# padding, and in the reverse direction the outputs of real tokens differ too; ONNX Runtime gives what each row gives
# by itself. Without padding the two agree to 1e-5.
#
# So the reference cannot judge an exported encoder on a padded batch: there the right one looks wrong.
# Needs the network.
set -euo pipefail
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
/usr/bin/python3 -m venv "$temporary/venv"
"$temporary/venv/bin/pip" install --quiet onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6
OMP_NUM_THREADS=1 "$temporary/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

TIME, INPUT, UNITS = 5, 4, 6
lengths = np.array([5, 2], np.int32)
x = np.random.default_rng(0).normal(size=(TIME, 2, INPUT)).astype("f")


def off(kind, gates, direction, lens):
    """How far the reference is from ONNX Runtime: outputs of real tokens, of padding, last states."""
    ways = 1 + (direction == "bidirectional")
    rng = np.random.default_rng(1)
    shapes = {"W": (ways, gates * UNITS, INPUT), "R": (ways, gates * UNITS, UNITS), "B": (ways, 2 * gates * UNITS)}
    weights = [onnx.numpy_helper.from_array(rng.normal(size=s).astype("f"), n) for n, s in shapes.items()]
    node = helper.make_node(kind, ["X", "W", "R", "B", "lens"], ["Y", "H"], hidden_size=UNITS, direction=direction)
    graph = helper.make_graph(
        [node], "g",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, x.shape),
         helper.make_tensor_value_info("lens", TensorProto.INT32, [2])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, (TIME, ways, 2, UNITS)),
         helper.make_tensor_value_info("H", TensorProto.FLOAT, (ways, 2, UNITS))], weights)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    feed = {"X": x, "lens": lens}
    y, h = ReferenceEvaluator(model).run(None, feed)
    want_y, want_h = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feed)
    real = np.arange(TIME)[:, None] < lengths
    gap = np.abs(y - want_y).max(axis=(1, 3))
    return gap[real].max(), gap[~real].max(), np.abs(h - want_h).max()


same = True
for kind, gates in ("RNN", 1), ("GRU", 3), ("LSTM", 4):
    for direction in "forward", "reverse", "bidirectional":
        real, padding, state = off(kind, gates, direction, lengths)
        whole = max(off(kind, gates, direction, np.full(2, TIME, np.int32)))
        print(f"{kind} {direction}: real {real:.0e}, padding {padding:.0e}, state {state:.0e}; unpadded {whole:.0e}")
        same = same and whole < 1e-5 and min(padding, state) > 0.01 and (real > 0.01) == (direction != "forward")
sys.exit(not same)
PYTHON
