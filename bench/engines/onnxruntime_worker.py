"""ONNX Runtime, one thread: the decoder step alone, exported from PyTorch (onnx_export.py), over memories of the texts'
lengths that hold random numbers. No encoder, no search but the best id: what it would give somebody who writes the rest
for nothing. int8 is its own dynamic quantisation, weights by output channel."""

import pathlib

import numpy as np
import onnxruntime as ort
import sentencepiece

import work

_TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


def quantised(path):
    """The int8 model beside a float32 one, made where it is not there yet."""
    made = path.with_suffix(".int8.onnx")
    if not made.exists():
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic

        graph = onnx.load(path).graph
        ranks = {tensor.name: len(tensor.dims) for tensor in graph.initializer}
        # Products with a vector (an additive score's v) have no kernel of int8.
        vectors = [n.name for n in graph.node if n.op_type == "MatMul" and ranks.get(n.input[1]) == 1]
        quantize_dynamic(path, made, per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"],
                         nodes_to_exclude=vectors)  # fmt: skip
    return made


def main():
    spec = work.specification()
    path = pathlib.Path(spec["model"])
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    model = quantised(path) if spec["precision"] == "int8" else path
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(9)
    inputs = [(i.name, _TYPES[i.type], i.shape) for i in session.get_inputs()]
    states = [name for name, *_ in inputs if name == "ids" or name.startswith("state")]
    outputs = [o.name for o in session.get_outputs()]

    def first(rows, length):
        """Values of every input. What is no row and no size of the model is the source's length."""
        feeds = {}
        for name, kind, shape in inputs:
            sizes = [n if isinstance(n, int) else rows if at == 0 else length for at, n in enumerate(shape)]
            values = np.zeros(sizes, kind)
            if name not in states and name != "mask":
                values = rng.standard_normal(sizes).astype(kind)
            feeds[name] = ort.OrtValue.ortvalue_from_numpy(values)
        return feeds

    def run(lengths, rows, beam):
        tokens = 0
        for at in range(0, len(lengths), rows):
            group = lengths[at : at + rows]
            feeds = first(len(group), group[0])
            for _ in range(int(spec["a"] * group[0] + spec["b"])):
                for name, value in zip(states, session.run_with_ort_values(outputs, feeds)):
                    feeds[name] = value
            tokens += sum(int(spec["a"] * n + spec["b"]) for n in group)
        return tokens

    notes = ["the decoder step alone"]
    pieces = sentencepiece.SentencePieceProcessor(model_file=spec["pieces"])

    def prepare(lines):
        return sorted((len(pieces.encode(line)) + 1 for line in lines), reverse=True)

    work.serve({"onnxruntime": ort.__version__}, prepare, run, notes)


if __name__ == "__main__":
    main()
