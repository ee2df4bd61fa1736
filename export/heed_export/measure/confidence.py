"""How likely an output is right, from its log-probabilities: the features that heed-server looks at
(heed.model.v1.Confidence), their regression, and how well what it says holds.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Sequence

import numpy as np

SEGMENT_FEATURES = ("mean_log_probability", "least_log_probability", "log_length", "log_length_ratio")
TOKEN_FEATURES = ("log_probability", "near_log_probability", "mean_log_probability")
LEAST_LOG_PROBABILITY = -100.0
RIDGE = 1.0  # on weights of features scaled to 1: next to nothing beside hundreds of lines, and keeps few lines sane
CURVE_PARTS = 20
LEAST_PART = 25
THRESHOLDS = tuple(i / 10 for i in range(10))
_WORD = re.compile(r"\w+|[^\w\s]")


def _bounded(log_probabilities: Sequence[float]) -> np.ndarray:
    return np.maximum(np.asarray(log_probabilities, dtype=np.float64), LEAST_LOG_PROBABILITY)


def of_segment(log_probabilities: Sequence[float], source_tokens: int) -> np.ndarray:
    """SEGMENT_FEATURES of a hypothesis of at least one token, `</s>` included; of the source, specials included."""
    values = _bounded(log_probabilities)
    return np.array([values.mean(), values.min(), np.log(len(values)), np.log(len(values) / source_tokens)])


def of_tokens(log_probabilities: Sequence[float]) -> np.ndarray:
    """TOKEN_FEATURES of each of its tokens, [T, 3]."""
    values = _bounded(log_probabilities)
    padded = np.concatenate([[0.0], values, [0.0]])  # a log-probability of 0 is no token's least
    near = np.minimum(np.minimum(padded[:-2], padded[2:]), values)
    return np.stack([values, near, np.full(len(values), values.mean())], axis=1)


def right_tokens(text: str, spans: Sequence[tuple[int, int]], reference: str) -> list[bool | None]:
    """Whether each token, given by its bytes in the text, is part of words alone that the reference has (as often as it
    has them; punctuation marks are words). None for a token without bytes."""
    left = Counter(_WORD.findall(reference))
    wrong = bytearray(len(text.encode()))
    at = np.concatenate([[0], np.cumsum([len(c.encode()) for c in text])]).astype(int)
    for word in _WORD.finditer(text):
        left[word[0]] -= 1
        if left[word[0]] < 0:
            begin, end = at[word.start()], at[word.end()]
            wrong[begin:end] = b"\1" * (end - begin)
    return [None if begin == end else not any(wrong[begin:end]) for begin, end in spans]


@dataclass(frozen=True)
class Fit:
    """p = curve(1 / (1 + exp(-(bias + weights . features)))); the curve is points (logistic, probability), ascending, with
    straight lines between them and from (0, 0) to (1, 1). Empty: p is the logistic."""

    bias: float
    weights: np.ndarray
    curve: Sequence[tuple[float, float]] = ()

    def __call__(self, features: np.ndarray) -> np.ndarray:
        logistic = 1 / (1 + np.exp(-(self.bias + features @ self.weights)))
        points = np.array([(0.0, 0.0), *self.curve, (1.0, 1.0)])
        return np.interp(logistic, points[:, 0], points[:, 1])

    def spec(self, names: Sequence[str]) -> dict:
        """As model.json has it."""
        curve = [{"logistic": x, "probability": y} for x, y in self.curve]
        fit = {"bias": round(self.bias, 4), **{n: round(float(w), 4) for n, w in zip(names, self.weights)}}
        return {**fit, "curve": curve} if curve else fit


def logistic(features: np.ndarray, right: np.ndarray, ridge: float = RIDGE) -> Fit:
    """The logistic regression of `right`, [N] of booleans, on features, [N, F], by Newton's method. Its targets are not
    1 and 0 but a little less sure (Platt 1999), so that there is one where all are right. Raises ValueError for N = 0."""
    if not len(right):
        raise ValueError("there is nothing to fit on: no line has one segment with an output")
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    x = np.concatenate([np.ones((len(right), 1)), (features - mean) / scale], axis=1)
    hits = int(right.sum())
    targets = np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))
    penalty = np.diag([0.0] + [ridge] * features.shape[1])
    w = np.zeros(x.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-(x @ w)))
        step = np.linalg.solve(x.T * (p * (1 - p) + 1e-9) @ x + penalty, x.T @ (p - targets) + penalty @ w)
        w -= np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:
            break
    weights = w[1:] / scale
    return Fit(float(w[0] - weights @ mean), weights)


def curve(said: np.ndarray, right: np.ndarray, parts: int = CURVE_PARTS) -> list[tuple[float, float]]:
    """Which share is right where the logistic says so much: the data in `parts` equal parts by what it says, neighbours
    in which the share falls pooled (isotonic regression). Fewer parts where each would have fewer than LEAST_PART; empty
    where there would be fewer than three."""
    parts = min(parts, len(said) // LEAST_PART)
    if parts < 3:
        return []
    pools: list[list] = []  # [share right, count, what was said in each part]
    for part in np.array_split(np.argsort(said, kind="stable"), parts):
        pools.append([float(right[part].mean()), len(part), [float(said[part].mean())]])
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            (share, count, at), (_, _, before) = pools.pop(), pools[-1]
            pools[-1][0] = (pools[-1][0] * pools[-1][1] + share * count) / (pools[-1][1] + count)
            pools[-1][1:] = [pools[-1][1] + count, before + at]
    points: list[tuple[float, float]] = []
    for share, _, at in pools:
        for x in sorted({round(at[0], 4), round(at[-1], 4)}):
            if not points or x > points[-1][0]:
                points.append((x, round(share, 4)))
    return points


def fit(features: np.ndarray, right: np.ndarray) -> Fit:
    """The logistic regression, corrected along its own curve. Raises ValueError as logistic() does."""
    found = logistic(features, right)
    return Fit(found.bias, found.weights, curve(found(features), right))


@dataclass(frozen=True)
class Row:
    """Of the outputs with at least (or, `below`, less than) this confidence: how many they are, how likely they are
    right on average as it says, and which share is. Shares of 0 to 1."""

    threshold: float
    below: bool
    count: int
    said: float
    right: float

    @property
    def allowed(self) -> float:
        """How far apart the two may be: 5 points, or what chance makes of so few."""
        return max(0.05, 2 * float(np.sqrt(max(self.said * (1 - self.said), 0.0) / max(self.count, 1))))

    @property
    def holds(self) -> bool:
        return abs(self.said - self.right) <= self.allowed


def _row(said: np.ndarray, right: np.ndarray, threshold: float, below: bool) -> Row:
    chosen = said < threshold if below else said >= threshold
    count = int(chosen.sum())
    return Row(threshold, below, count, *(float(v[chosen].mean()) if count else 0.0 for v in (said, right)))


def reliability(said: np.ndarray, right: np.ndarray, doubtful: float) -> list[Row]:
    """A row for each of THRESHOLDS that some output has, and one for those below `doubtful`, if any are."""
    rows = [_row(said, right, t, False) for t in THRESHOLDS] + [_row(said, right, doubtful, True)]
    return [row for row in rows if row.count]
