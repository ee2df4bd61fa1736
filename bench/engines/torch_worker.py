"""PyTorch, one thread: greedy as in heed_export.decoding.decode (sorted by length, rows that have ended dropped), beams as in
torch_program.beam. Tokens alone are computed for greedy, no log-probabilities. In float32 a shipped model runs by the
exporter's own hand-written step, which is some 10 % faster."""

import contextlib
import pathlib
import warnings

import torch

import torch_program
import work
from heed_export.bundle import bundle
from heed_export.decoding import decode, text


def load(source, precision):
    """What decodes a bundle in this precision."""
    if precision == "float32":
        with contextlib.suppress(ValueError):  # another program than the recipe's
            return decode.Model(source)
    return torch_program.Model(source, precision)


def main():
    warnings.simplefilter("ignore")
    spec = work.specification()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    source = bundle.read(pathlib.Path(spec["bundle"]))
    model, words = load(source, spec["precision"]), text.Text(source)

    def run(sources, rows, beam):
        if beam > 1:
            return torch_program.beam(model, sources, max(1, rows // beam), beam)
        with torch.inference_mode():
            return sum(len(d.tokens) for d in decode.greedy(model, sources, rows, scores=False))

    versions = {"torch": torch.__version__, "quantised engine": torch.backends.quantized.engine}
    work.serve(versions, lambda lines: [words.encode(line) for line in lines], run)


if __name__ == "__main__":
    main()
