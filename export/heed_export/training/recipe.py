"""From text files to a bundle, one command:

    python3 -m heed_export.recipe RECIPE.json --data DIR --work DIR --bundle DIR

A recipe is a JSON file of names and numbers (export/recipes has those of the shipped models): `corpora.train`, `.valid`
and `.test` are path prefixes under --data, each a pair PREFIX.src and PREFIX.tgt aligned by line; `model` is
ModelOptions, `train` is TrainOptions, `export` is ExportOptions, `max_pieces` drops longer training pairs; `tokenizer`
(data.TokenizerOptions), `variants` (VariantOptions) and `best_first` (BestFirst) may be left out. Tokenisers, checkpoints
and the log go to --work; a run that was stopped goes on from its last checkpoint when started again, to the weights that
it would have had in one go.
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import random
import statistics
from dataclasses import dataclass
from typing import Callable, Sequence

from ..bundle import bundle
from ..measure import calibrate
from ..networks import data, models
from ..text import words
from ..text.corpus import read_parallel
from . import assemble, documentation, korean_requests, train

TextPair = tuple[str, str]
RULES = {"korean-requests": korean_requests.Variants, "documentation": documentation.Variants}


@dataclass(frozen=True)
class VariantOptions:
    """A recipe's `variants` section: pairs made of the training pairs by rule, other ones in each epoch."""

    rule: str  # a key of RULES
    share: float  # so many variants for each training pair; the pairs themselves are there besides


@dataclass(frozen=True)
class BestFirst:
    """A recipe's `best_first` section: the first epochs are of the best pairs alone."""

    epochs: int
    share: float  # of the pairs; the best are those whose lengths, in characters, are most nearly in the usual proportion


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
    tokenizer: data.TokenizerOptions = data.TokenizerOptions()
    variants: VariantOptions | None = None
    best_first: BestFirst | None = None


def read(path: pathlib.Path) -> Recipe:
    """Parses a recipe. Raises TypeError for an unknown or missing field, by name."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    raw["model"] = models.ModelOptions(**raw["model"])
    raw["train"] = train.TrainOptions(**raw["train"])
    raw["export"] = assemble.ExportOptions(**raw["export"])
    raw["tokenizer"] = data.TokenizerOptions(**raw.get("tokenizer", {}))
    raw["variants"] = VariantOptions(**raw["variants"]) if "variants" in raw else None
    raw["best_first"] = BestFirst(**raw["best_first"]) if "best_first" in raw else None
    return Recipe(**raw)


def corpus(root: pathlib.Path, prefixes: list[str], unit: str = "pieces") -> list[TextPair]:
    """The aligned lines of PREFIX.src and PREFIX.tgt, for every prefix in turn; of words, split into them."""
    pairs = read_parallel(
        [root / f"{p}.src" for p in prefixes],
        [root / f"{p}.tgt" for p in prefixes],
    )
    return [(words.split(s), words.split(t)) for s, t in pairs] if unit == "words" else pairs


class Epochs:
    """An epoch's training pairs by its number, counted from 1: the pairs, and variants of some of them.

    The same number gives the same pairs, whatever was asked for before.
    """

    def __init__(self, recipe: Recipe, pairs: Sequence[TextPair]):
        self.pairs = pairs
        self._options = recipe.variants
        self._seed = recipe.train.seed
        self._rule = RULES[recipe.variants.rule](pairs) if recipe.variants else None
        self._first = recipe.best_first
        self._best = list(pairs)
        if self._first:
            proportions = [math.log((len(s) + 5) / (len(t) + 5)) for s, t in pairs]
            usual = statistics.median(proportions)
            order = sorted(range(len(pairs)), key=lambda i: abs(proportions[i] - usual))
            self._best = [pairs[i] for i in sorted(order[: round(self._first.share * len(pairs))])]

    def same(self) -> bool:
        """Whether all epochs have the same pairs."""
        return self._rule is None and self._first is None

    def texts(self, epoch: int) -> list[TextPair]:
        return [*self._of(epoch), *self.variants(epoch)]

    def _of(self, epoch: int) -> Sequence[TextPair]:
        return self._best if self._first and epoch <= self._first.epochs else self.pairs

    def variants(self, epoch: int) -> list[TextPair]:
        pairs = self._of(epoch)
        if self._rule is None or not pairs:
            return []
        rng = random.Random(self._seed * 1000 + epoch)
        count = round(self._options.share * len(pairs))
        chosen = [rng.sample(range(len(pairs)), len(pairs)) for _ in range(count // len(pairs) + 1)]
        made = (self._rule.variant(pairs[i], rng) for i in [i for some in chosen for i in some][:count])
        return list(made)


def _encoders(recipe: Recipe, epochs: Epochs, work: pathlib.Path) -> Callable:
    """Trains the tokenisers, or finds them in `work`. Returns what makes data.Pairs of pairs of texts."""
    options, own = recipe.model, recipe.tokenizer
    pairs = list(epochs.pairs)
    if options.unit == "words":
        if not options.joint or options.src_pieces != options.tgt_pieces:
            raise ValueError("unit words has one vocabulary: joint must be true and src_pieces equal to tgt_pieces")
        vocabulary = words.train((line for p in pairs for line in p), work / assemble.WORDS, options.src_pieces)
        return lambda texts: data.encode_words(texts, vocabulary, recipe.max_pieces, options.copy)
    if options.copy and not own.byte_fallback:
        raise ValueError("a model that copies pieces has no unknown ones: tokenizer.byte_fallback must be true")
    for epoch in range(1, own.variant_epochs + 1):
        pairs = pairs + epochs.variants(epoch)
    if options.joint:
        lines = [p[0] for p in pairs] + [p[1] for p in pairs]
        source = target = data.train_tokenizer(lines, work / "joint", options.src_pieces, own)
    else:
        source = data.train_tokenizer([p[0] for p in pairs], work / "source", options.src_pieces, own)
        target = data.train_tokenizer([p[1] for p in pairs], work / "target", options.tgt_pieces, own)
    return lambda texts: data.encode_pairs(texts, source, target, recipe.max_pieces, options.copy)


def run(recipe: Recipe, root: pathlib.Path, work: pathlib.Path) -> pathlib.Path:
    """Trains tokenisers and model, or goes on doing so. Returns the path of the best weights."""
    work.mkdir(parents=True, exist_ok=True)
    pairs, valid = (corpus(root, recipe.corpora[split], recipe.model.unit) for split in ("train", "valid"))
    epochs = Epochs(recipe, pairs)
    encode = _encoders(recipe, epochs, work)
    todo = encode(pairs) if epochs.same() else lambda epoch: encode(epochs.texts(epoch))
    return train.train(work, recipe.model, recipe.train, todo, encode(valid))


def calibrated(recipe: Recipe, root: pathlib.Path, folder: pathlib.Path) -> None:
    """Adds to a bundle how likely its outputs are right (calibrate.py), or says why that could not be done."""

    def texts(split: str) -> calibrate.Set:
        prefixes = recipe.corpora.get(split, [])
        pairs = corpus(root, prefixes, recipe.model.unit)
        return calibrate.Set(" and ".join(prefixes), [source for source, _ in pairs], [target for _, target in pairs])

    try:
        calibrate.measure(folder, (texts("valid"), texts("test")), calibrate.Options(least_share=recipe.export.least_share))
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
            requests=recipe.variants is not None and recipe.variants.rule == "korean-requests",
        )
        print(f"{arguments.bundle}  {assemble.make(job, arguments.bundle)}")
        if arguments.recipe.with_suffix("").is_dir() and not arguments.no_calibrate:
            calibrated(recipe, arguments.data, arguments.bundle)
