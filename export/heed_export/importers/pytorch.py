"""Hand-written PyTorch models: a Python file of about 30 lines describes the model with the builder, and

    heed-export pytorch describe.py weights.pt --source-vocabulary src.txt --target-vocabulary tgt.txt \\
      --out out/models/mine ...

makes the bundle. docs/importing/pytorch.md goes through one; export/examples has more. The file's `describe(weights,
source, target)` returns a builder.Model; `weights` maps the state_dict's names to NumPy arrays, `source` and `target`
are the vocabularies' pieces in the order of their ids. Optionally its `oracle(weights)` returns (model, first token):
an object with encode, start and step as export/reference/trace.py says, which may well run the PyTorch module itself.

The description is Python that the caller wrote and is executed; the weights are not.
"""

from __future__ import annotations

import argparse
import importlib.util
import pathlib
import sys
from typing import Any, Mapping, Sequence

import numpy as np

from ..reading import checkpoint, files
from . import importer
from ..model.builder import BuildError, Model, Value
from ..reading.checkpoint import CheckpointError, Weights
from ..model.layers import Cell
from ..reading.shown import shown
from ..model.vocabulary import Vocabulary

NAME = "pytorch"
USAGE = (f"DESCRIBE.py WEIGHTS.pt --source-vocabulary FILE --target-vocabulary FILE {importer.LANGUAGES}",)
HELP = "a model of your own: a Python file that describes it, and its state_dict as torch.save wrote it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "describe",
        type=pathlib.Path,
        metavar="DESCRIBE.py",
        help="your Python file with describe(weights, source, target); it is executed",
    )
    parser.add_argument(
        "checkpoint",
        type=pathlib.Path,
        metavar="WEIGHTS.pt",
        help="a state_dict, or a checkpoint that holds one (see --key); .npz and .safetensors as well",
    )
    parser.add_argument(
        "--key", help="where in the checkpoint the state_dict lies: model_state_dict, or a.b; default: found"
    )
    for side in ("source", "target"):
        parser.add_argument(
            f"--{side}-vocabulary",
            type=pathlib.Path,
            required=True,
            metavar="FILE",
            help=f"required: the {side}'s pieces: a line each in the order of their ids, or JSON (a list, or piece: id)",
        )


def bidirectional(kind: str, weights: Mapping[str, np.ndarray], prefix: str, layer: int = 0) -> tuple[Cell, Cell]:
    """Both directions of layer `layer` of a bidirectional torch.nn.{LSTM,GRU,RNN}: what Program.birnn takes."""
    return tuple(Cell.torch(kind, weights, prefix, f"_l{layer}{way}") for way in ("", "_reverse"))  # type: ignore


def rnn_stack(
    model: Model,
    kind: str,
    weights: Mapping[str, np.ndarray],
    prefix: str,
    value: Value,
    layers: int,
    both: bool = True,
    name: str = "memory",
) -> list[Value]:
    """All layers of a torch.nn.{LSTM,GRU,RNN} over `value`, of `both` directions or forward alone. The last is called
    `name`; each has .finals and .finals_c."""
    made: list[Value] = []
    for layer in range(layers):
        own = name if layer + 1 == layers else f"layer{layer + 1}"
        if both:
            value = model.encoder.birnn(own, value, *bidirectional(kind, weights, prefix, layer))
        else:
            value = model.encoder.rnn(own, value, Cell.torch(kind, weights, prefix, f"_l{layer}"))
        made.append(value)
    return made


def split_columns(weight: np.ndarray, *sizes: int) -> list[np.ndarray]:
    """Cuts a Linear over concatenated inputs into the parts that belong to each: [W_a, W_b] of W [a; b]."""
    if weight.ndim != 2 or weight.shape[1] != sum(sizes):
        raise BuildError(
            f"a weight of shape {list(weight.shape)} has no columns for inputs of {' + '.join(map(str, sizes))}"
        )
    return np.split(weight, np.cumsum(sizes)[:-1], axis=1)


def either(weights: Mapping[str, np.ndarray], *names: str) -> np.ndarray:
    """The first of these that is there: for names that changed between versions."""
    for name in names:
        if name in weights:
            return weights[name]
    raise CheckpointError(f"{getattr(weights, 'path', 'the checkpoint')}: none of {', '.join(names)} is there")


def count_layers(weights: Mapping[str, np.ndarray], prefix: str) -> int:
    """Number of layers of a torch.nn.{LSTM,GRU,RNN}: how many PREFIXweight_hh_lN there are."""
    count = 0
    while f"{prefix}weight_hh_l{count}" in weights:
        count += 1
    return count


def read_vocabulary(path: pathlib.Path) -> list[str]:
    """A vocabulary's pieces: a line each (a SentencePiece .vocab has their scores behind them), a JSON list, or a JSON
    object from piece to id. Raises CheckpointError."""
    if path.suffix != ".json":
        lines = checkpoint.read_lines(path)
        if files.are_scored(lines):
            return [line.rpartition("\t")[0] for line in lines]
        files.check_pieces(lines, path, "a piece a line, in the order of their ids")
        return lines
    found = files.read_json(path)
    if isinstance(found, dict):
        if sorted(checkpoint.token_ids(found, path).values()) != list(range(len(found))):
            raise CheckpointError(f"{path}: the ids are not 0 to {len(found) - 1}, each once")
        found = sorted(found, key=found.__getitem__)
    if not isinstance(found, list) or not all(isinstance(piece, str) for piece in found):
        raise CheckpointError(f"{path}: is neither a list of strings nor an object from string to id")
    return found


def state_dict(value: Any, key: str | None, path: pathlib.Path) -> dict[str, np.ndarray]:
    """The mapping from names to arrays in what a checkpoint holds: itself, or the largest one below; `key` says which.
    Numbers that are no floats (BatchNorm counters) are left out."""

    def tensors(found: Any) -> dict[str, np.ndarray]:
        return {
            k: v for k, v in found.items() if isinstance(k, str) and isinstance(v, np.ndarray) and v.dtype.kind == "f"
        }

    if key is not None:
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                raise CheckpointError(f"{path}: --key {key}: there is no {part}")
            value = value[part]
    candidates = [value] if key is not None else [value, *(value.values() if isinstance(value, dict) else ())]
    found = max((tensors(c) for c in candidates if isinstance(c, dict)), key=len, default={})
    if not found:
        raise CheckpointError(f"{path}: holds no state_dict (a mapping from names to tensors)")
    return found


def load_weights(path: pathlib.Path, key: str | None = None) -> Weights:
    """The state_dict of a torch.save file, or the arrays of a .npz or .safetensors."""
    if path.suffix == ".npz":
        return Weights(checkpoint.load_npz(path), str(path))
    if path.suffix == ".safetensors":
        return Weights(checkpoint.load_safetensors(path), str(path))
    return Weights(state_dict(checkpoint.load_torch(path), key, path), str(path))


def _load_description(path: pathlib.Path) -> Any:
    """The caller's module. Its folder is on the import path from here on, as a script's is: it finds their code."""
    if not path.is_file():
        raise CheckpointError(f"{path}: does not exist")
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location("heed_description", path)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    try:
        spec.loader.exec_module(module)  # type: ignore[union-attr]
    except ModuleNotFoundError as error:
        raise CheckpointError(
            f"{path}: imports {shown(error.name)}, which {sys.executable} lacks (activate the virtual environment that "
            "has it)"
        ) from None
    if not callable(getattr(module, "describe", None)):
        raise CheckpointError(f"{path}: has no function describe(weights, source, target)")
    return module


def oracle_trace(oracle: Any, first: int | None, eos: int):
    """Imported.trace of an oracle that neither copies nor has a shortlist."""

    def run(source_ids: Sequence[int], max_length: int):
        from reference import trace

        return trace.greedy(oracle, source_ids, first, eos, max_length)

    return run


def read(args: argparse.Namespace) -> importer.Imported:
    weights = load_weights(args.checkpoint, args.key)
    description = _load_description(args.describe)
    model = description.describe(
        weights, read_vocabulary(args.source_vocabulary), read_vocabulary(args.target_vocabulary)
    )
    if not isinstance(model, Model):
        raise CheckpointError(f"{args.describe}: describe returned a {type(model).__name__}, expected a builder.Model")
    left = weights.unused()
    if left:
        raise CheckpointError(
            f"{args.checkpoint}: {args.describe.name} does not use the tensor {shown(left[0])}"
            + (f" and {len(left) - 1} more" if len(left) > 1 else "")
            + " (weights.ignore(name) says that it means nothing)"
        )
    trace, reference = None, importer.REFERENCE
    if hasattr(description, "oracle"):
        oracle, first = description.oracle(dict(weights.arrays))
        trace = oracle_trace(oracle, first, model.target.eos)
        if not type(oracle).__module__.startswith("reference."):
            reference = f"the oracle of {args.describe.name}, one source at a time"
    return importer.Imported(
        model,
        getattr(description, "TOOLKIT", "PyTorch"),
        trace,
        f"{args.checkpoint.name}, described by {args.describe.name}",
        reference=reference,
    )
