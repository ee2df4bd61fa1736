"""From text files to a bundle, one command:

    python3 -m heed_export.recipe RECIPE.json --data DIR --work DIR --bundle DIR

A recipe is a JSON file of names and numbers (export/recipes has those of the shipped models): `corpora.train`, `.valid`
and `.test` are path prefixes under --data, each a pair PREFIX.src and PREFIX.tgt aligned by line; `model` is
ModelOptions, `train` is TrainOptions, `export` is ExportOptions, `max_pieces` drops longer training pairs. Tokenisers,
checkpoints and the log go to --work; a run that was stopped goes on from its last finished epoch when started again.
"""

from __future__ import annotations

if __name__ == "__main__":  # before what may be missing is imported
    from heed_export import needs

    needs.check("heed_export.recipe", "numpy", "torch", "sentencepiece")

import argparse
import json
import pathlib
from dataclasses import dataclass
from typing import Callable

from . import assemble, bundle, calibrate, data, models, train, words


@dataclass(frozen=True)
class Recipe:
    """A recipe file, parsed."""

    name: str
    task: str
    corpora: dict[str, list[str]]
    max_pieces: int
    model: models.ModelOptions
    train: train.TrainOptions
    export: assemble.ExportOptions


def read(path: pathlib.Path) -> Recipe:
    """Parses a recipe. Raises TypeError for an unknown or missing field, by name."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    raw["model"] = models.ModelOptions(**raw["model"])
    raw["train"] = train.TrainOptions(**raw["train"])
    raw["export"] = assemble.ExportOptions(**raw["export"])
    return Recipe(**raw)


def corpus(root: pathlib.Path, prefixes: list[str], unit: str = "pieces") -> list[tuple[str, str]]:
    """The aligned lines of PREFIX.src and PREFIX.tgt, for every prefix in turn; of words, split into them."""
    pairs = data.read_parallel(
        [root / f"{p}.src" for p in prefixes],
        [root / f"{p}.tgt" for p in prefixes],
    )
    return [(words.split(s), words.split(t)) for s, t in pairs] if unit == "words" else pairs


def _encoders(recipe: Recipe, pairs: list[tuple[str, str]], work: pathlib.Path) -> Callable:
    """Trains the tokenisers on the pairs, or finds them in `work`. Returns what makes data.Pairs of pairs of texts."""
    options = recipe.model
    if options.unit == "words":
        if not options.joint or options.src_pieces != options.tgt_pieces:
            raise ValueError("unit words has one vocabulary: joint must be true and src_pieces equal to tgt_pieces")
        vocabulary = words.train((line for p in pairs for line in p), work / assemble.WORDS, options.src_pieces)
        return lambda texts: data.encode_words(texts, vocabulary, recipe.max_pieces, options.copy)
    if options.joint:
        lines = [p[0] for p in pairs] + [p[1] for p in pairs]
        source = target = data.train_tokenizer(lines, work / "joint", options.src_pieces)
    else:
        source = data.train_tokenizer([p[0] for p in pairs], work / "source", options.src_pieces)
        target = data.train_tokenizer([p[1] for p in pairs], work / "target", options.tgt_pieces)
    return lambda texts: data.encode_pairs(texts, source, target, recipe.max_pieces)


def run(recipe: Recipe, root: pathlib.Path, work: pathlib.Path) -> pathlib.Path:
    """Trains tokenisers and model, or goes on doing so. Returns the path of the best weights."""
    work.mkdir(parents=True, exist_ok=True)
    pairs, valid = (corpus(root, recipe.corpora[split], recipe.model.unit) for split in ("train", "valid"))
    encode = _encoders(recipe, pairs, work)
    return train.train(work, recipe.model, recipe.train, encode(pairs), encode(valid))


def calibrated(recipe: Recipe, root: pathlib.Path, folder: pathlib.Path) -> None:
    """Adds to a bundle how likely its outputs are right (calibrate.py), or says why that could not be done."""

    def texts(split: str) -> calibrate.Set:
        prefixes = recipe.corpora.get(split, [])
        pairs = corpus(root, prefixes, recipe.model.unit)
        return calibrate.Set(" and ".join(prefixes), [source for source, _ in pairs], [target for _, target in pairs])

    try:
        calibrate.measure(folder, (texts("valid"), texts("test")), calibrate.Options())
    except ValueError as error:
        print(f"not calibrated: {error}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=pathlib.Path, help="the recipe's JSON file; its documents are beside it")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder that the corpora's prefixes are in")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for tokenisers, checkpoints and log")
    parser.add_argument("--bundle", type=pathlib.Path, help="bundle folder to write; without it, training is all")
    parser.add_argument("--no-train", action="store_true", help="export the best weights that --work has so far")
    parser.add_argument("--no-quality", action="store_true", help="leave the test set's numbers out of the model card")
    parser.add_argument("--no-calibrate", action="store_true", help="leave confidence out: heed-export calibrate")
    arguments = parser.parse_args()
    recipe = read(arguments.recipe)
    if arguments.bundle:
        languages = {side: getattr(recipe.export, side) for side in ("source_language", "target_language")}
        try:
            bundle.check_place(arguments.bundle, {"name": recipe.name, "task": recipe.task, **languages}, "")
        except ValueError as error:
            parser.error(f"--bundle: {error}; give another folder, or remove that one")
    if not arguments.no_train:
        print(run(recipe, arguments.data, arguments.work))
    if arguments.bundle:
        job = assemble.Job(
            name=recipe.name,
            task=recipe.task,
            options=recipe.export,
            recipe=arguments.recipe,
            data=arguments.data,
            work=arguments.work,
            test=corpus(arguments.data, recipe.corpora.get("test", []), recipe.model.unit),
            quality=not arguments.no_quality,
        )
        print(f"{arguments.bundle}  {assemble.make(job, arguments.bundle)}")
        if arguments.recipe.with_suffix("").is_dir() and not arguments.no_calibrate:
            calibrated(recipe, arguments.data, arguments.bundle)


if __name__ == "__main__":
    main()
