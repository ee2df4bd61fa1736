#!/bin/bash
# OpenVINO 2026.4.1 on a padded batch (ONNX GRU with sequence_lens, as PyTorch's packed sequences are exported).
#
# Expected: sequence_lens means the same whether the model's batch and time are dynamic or static; if the CPU plugin
# could not honour it, it would say so.
# Seen: with both static the result is ONNX Runtime's to 1e-6. With either dynamic, which is how such models are
# exported and served, the lengths are read into the graph and then ignored without a word: each row runs on through its
# padding, and a bidirectional encoder's outputs differ on the real tokens too. LSTM and RNN do the same.
#
# A short sentence so gets another encoding, and attention over it, as soon as a longer one shares its batch.
# Needs the network.
set -euo pipefail
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
/usr/bin/python3 -m venv "$temporary/venv"
"$temporary/venv/bin/pip" install --quiet openvino==2026.4.1 onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6
OMP_NUM_THREADS=1 "$temporary/venv/bin/python" - "$temporary/gru.onnx" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper

TIME, BATCH, INPUT, UNITS = 5, 3, 4, 6
rng = np.random.default_rng(0)
shapes = {"W": (2, 3 * UNITS, INPUT), "R": (2, 3 * UNITS, UNITS), "B": (2, 6 * UNITS)}
weights = [onnx.numpy_helper.from_array(rng.normal(size=s).astype("f"), n) for n, s in shapes.items()]
gru = helper.make_node("GRU", ["X", "W", "R", "B", "lens"], ["Y"], hidden_size=UNITS, direction="bidirectional",
                       linear_before_reset=1)
graph = helper.make_graph(
    [gru], "g",
    [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["time", "batch", INPUT]),
     helper.make_tensor_value_info("lens", TensorProto.INT32, ["batch"])],
    [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["time", 2, "batch", UNITS])], weights)
onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), sys.argv[1])

lengths = [5, 3, 1]
feed = {"X": rng.normal(size=(TIME, BATCH, INPUT)).astype("f"), "lens": np.array(lengths, np.int32)}
(expected,) = onnxruntime.InferenceSession(sys.argv[1]).run(None, feed)
core = openvino.Core()


def off(time, batch):
    """The largest difference to ONNX Runtime on real tokens: of full rows, of short rows."""
    model = core.read_model(sys.argv[1])
    model.reshape({"X": openvino.PartialShape([time, batch, INPUT])})
    y = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(feed)[0]
    rows = [np.abs(y[:n, :, b] - expected[:n, :, b]).max() for b, n in enumerate(lengths)]
    return max(rows[:1]), max(rows[1:])


static, *dynamic = off(TIME, BATCH), off(-1, BATCH), off(TIME, -1), off(-1, -1)
print("full rows, short rows: static %.1e %.1e; dynamic time, batch, both:" % static,
      *("%.1e %.1e" % d for d in dynamic))
sys.exit(not (max(static) < 1e-5 and all(full < 1e-5 and short > 0.1 for full, short in dynamic)))
PYTHON
