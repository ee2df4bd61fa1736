"""The decoder step of a bundle as ONNX, exported from PyTorch: ids and the state in, the best ids and the next state
out. Run in PyTorch's environment: onnx_export.py BUNDLE OUT.onnx"""

import pathlib
import sys

import torch

import torch_program
from heed_export.bundle import bundle


class Step(torch.nn.Module):
    """`names` are those of the fixed tensors, in the order in which forward() takes them before the state."""

    def __init__(self, model, names):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, ids, *tensors):
        fixed = dict(zip(self.names, tensors))
        logits, state = self.model.advance(ids, fixed, tensors[len(self.names) :])
        return (logits.argmax(1), *state)


def main():
    source, out = bundle.read(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[2])
    model = torch_program.Model(source)
    rows = model.encode([[3] * 7] * 3)
    names = list(rows.fixed)
    ids = torch.full((3,), model.start_id)
    inputs = (ids, *rows.fixed.values(), *rows.state)
    states = [f"state{i}" for i in range(len(rows.state))]
    batch, length = torch.export.Dim("rows", min=1, max=4096), torch.export.Dim("positions", min=2, max=512)

    def shape(name, tensor):
        """Rows first; of the fixed ones the source's positions as well, last but one, or last of the mask and of what may be copied."""
        found = {0: batch}
        if name in names:
            found[tensor.dim() - 1 if name in (".mask", ".copies") else tensor.dim() - 2] = length
        return found

    shapes = [shape(n, t) for n, t in zip(["ids", *names, *states], inputs)]
    safe = [n.strip(".").replace(".", "_") for n in names]
    with torch.no_grad():
        torch.onnx.export(
            Step(model, names), inputs, str(out), input_names=["ids", *safe, *states],
            output_names=["best", *(f"next_{s}" for s in states)],
            dynamic_shapes={"ids": shapes[0], "tensors": tuple(shapes[1:])}, dynamo=True, external_data=False,
        )  # fmt: skip


if __name__ == "__main__":
    main()
