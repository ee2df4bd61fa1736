#!/usr/bin/python3
"""Writes a tiny model with random weights as Theano's Nematus leaves one behind: what its tests and documentation
import. Nothing of it is committed, since this makes the same each time.

    make.py FOLDER      model.npz, model.npz.json, vocab.de.json, vocab.en.json, ende.bpe

Names and shapes are those of nematus/layers.py and nmt.py (param_init_*), the options those that nmt.py dumps, and the
dictionaries are as data/build_dictionary.py leaves them where the corpus has the word "eos": none has id 0.
"""

from __future__ import annotations

import json
import pathlib
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/export"))

from presets import nematus as shapes  # noqa: E402

OPTIONS = {"dim": 7, "dim_word": 5, "encoder": "gru", "decoder": "gru_cond", "model_version": 0.1}
# Of training alone.
MORE = {"optimizer": "adam", "patience": 10, "dispFreq": 1000, "reload_": True, "maxlen": 50, "datasets": ["a", "b"]}
MERGES = "#version: 0.2\nd a\nda s</w>\nt h\nth e</w>\n"


def arrays(options: dict) -> dict[str, np.ndarray]:
    """The weights, always the same for the same options."""
    return shapes.weights(np.random.default_rng(2), options)


def dictionary(words: list[str], size: int) -> dict[str, int]:
    """UNK, the corpus' own "eos", then `words` and words without a meaning."""
    every = [*words, *(f"w{i}" for i in range(size))]
    return {"UNK": 1, "eos": 2, **{word: i for i, word in enumerate(every[: size - 3], start=3)}}


def write(folder: pathlib.Path, **changes) -> pathlib.Path:
    """Writes the files, with `changes` to OPTIONS, and returns model.npz's path."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {**OPTIONS, **changes}
    path = folder / "model.npz"
    dead = {"uidx": np.int64(9), "history_errs": np.zeros(3), "zipped_params": np.array([None], object)}
    np.savez(path, **arrays(options), **dead)
    names = [f"/home/train/data/vocab.{side}.json" for side in ("de", "en")]
    (folder / "model.npz.json").write_text(json.dumps({**options, **MORE, "dictionaries": names}, indent=2))
    sides = (("de", ["das", "d@@", "a@@", "s", "da@@"], shapes.SOURCE_SIZE), ("en", ["the", "t@@"], shapes.TARGET_SIZE))
    for side, words, size in sides:
        (folder / f"vocab.{side}.json").write_text(json.dumps(dictionary(words, size), indent=2))
    (folder / "ende.bpe").write_text(MERGES)
    return path


if __name__ == "__main__":
    print(write(pathlib.Path(sys.argv[1])))
