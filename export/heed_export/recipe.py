"""From text files to a bundle, one command:

    python3 -m heed_export.recipe RECIPE.json --data DIR --work DIR --bundle DIR

A recipe is a JSON file of names and numbers (export/recipes has those of the shipped models): `corpora.train`, `.valid`
and `.test` are path prefixes under --data, each a pair PREFIX.src and PREFIX.tgt aligned by line; `model` is
ModelOptions, `train` is TrainOptions, `export` is ExportOptions, `max_pieces` drops longer training pairs. Tokenisers,
checkpoints and the log go to --work; a run that was stopped goes on from its last finished epoch when started again.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from dataclasses import dataclass

from . import assemble, data, models, train


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


def corpus(root: pathlib.Path, prefixes: list[str]) -> list[tuple[str, str]]:
    """The aligned lines of PREFIX.src and PREFIX.tgt, for every prefix in turn."""
    return data.read_parallel(
        [root / f"{p}.src" for p in prefixes],
        [root / f"{p}.tgt" for p in prefixes],
    )


def run(recipe: Recipe, root: pathlib.Path, work: pathlib.Path) -> pathlib.Path:
    """Trains tokenisers and model, or goes on doing so. Returns the path of the best weights."""
    work.mkdir(parents=True, exist_ok=True)
    pairs = corpus(root, recipe.corpora["train"])
    options = recipe.model
    if options.joint:
        lines = [p[0] for p in pairs] + [p[1] for p in pairs]
        source = target = data.train_tokenizer(lines, work / "joint", options.src_pieces)
    else:
        source = data.train_tokenizer([p[0] for p in pairs], work / "source", options.src_pieces)
        target = data.train_tokenizer([p[1] for p in pairs], work / "target", options.tgt_pieces)
    encoded = data.encode_pairs(pairs, source, target, recipe.max_pieces)
    valid = data.encode_pairs(corpus(root, recipe.corpora["valid"]), source, target, recipe.max_pieces)
    return train.train(work, options, recipe.train, encoded, valid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=pathlib.Path, help="the recipe's JSON file; its documents are beside it")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder that the corpora's prefixes are in")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for tokenisers, checkpoints and log")
    parser.add_argument("--bundle", type=pathlib.Path, help="bundle folder to write; without it, training is all")
    parser.add_argument("--no-train", action="store_true", help="export the best weights that --work has so far")
    parser.add_argument("--no-quality", action="store_true", help="leave the test set's numbers out of the model card")
    arguments = parser.parse_args()
    recipe = read(arguments.recipe)
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
            test=[] if arguments.no_quality else corpus(arguments.data, recipe.corpora.get("test", [])),
        )
        print(f"{arguments.bundle}  {assemble.make(job, arguments.bundle)}")


if __name__ == "__main__":
    main()
