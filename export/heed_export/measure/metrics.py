"""How good outputs are, given references: BLEU and chrF (sacrebleu's defaults), exact match, ROUGE-L."""

from __future__ import annotations

from collections import Counter
from typing import Sequence


def exact_match(outputs: Sequence[str], references: Sequence[str]) -> float:
    """Share of outputs, in percent, whose words are the reference's."""
    return 100 * sum(o.split() == r.split() for o, r in zip(outputs, references, strict=True)) / len(references)


def _lcs(a: list[str], b: list[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for j, y in enumerate(b, start=1):
            above = row[j]
            row[j] = diagonal + 1 if x == y else max(above, row[j - 1])
            diagonal = above
    return row[-1]


def rouge_l(outputs: Sequence[str], references: Sequence[str]) -> float:
    """ROUGE-L: F1 of the longest common subsequence of words (split at spaces), mean over lines, 0 to 1."""
    total = 0.0
    for output, reference in zip(outputs, references, strict=True):
        a, b = output.split(), reference.split()
        common = _lcs(a, b)
        total += 2 * common / (len(a) + len(b)) if common else 0.0
    return total / len(references)


def bleu(outputs: Sequence[str], references: Sequence[str]) -> float:
    """Corpus BLEU. Raises ImportError without sacrebleu (`pip install sacrebleu`; Debian has no package)."""
    import sacrebleu

    return sacrebleu.corpus_bleu(list(outputs), [list(references)]).score


def bleu_chrf(outputs: Sequence[str], references: Sequence[str]) -> tuple[float, float]:
    """Corpus BLEU and chrF2. Raises ImportError without sacrebleu."""
    import sacrebleu

    return bleu(outputs, references), sacrebleu.corpus_chrf(list(outputs), [list(references)]).score


def sentence_chrf(output: str, reference: str) -> float:
    """chrF2 of one line, 0 to 100, as sacrebleu's sentence_chrf: F2 of the characters' n-grams of 1 to 6, spaces aside."""
    a, b = ("".join(text.split()) for text in (output, reference))
    precision = recall = orders = 0.0
    for n in range(1, 7):
        said, wanted = (Counter(text[i : i + n] for i in range(len(text) - n + 1)) for text in (a, b))
        if said and wanted:
            common = (said & wanted).total()
            precision, recall, orders = precision + common / said.total(), recall + common / wanted.total(), orders + 1
    return 100 * 5 * precision * recall / (orders * (4 * precision + recall)) if precision + recall else 0.0


def for_task(task: str, outputs: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """The metrics that a task is judged by, by name. Translation without sacrebleu: none."""
    if task == "summarize":
        return {"exact match %": exact_match(outputs, references), "ROUGE-L F1": rouge_l(outputs, references)}
    try:
        bleu, chrf = bleu_chrf(outputs, references)
    except ImportError:
        return {}
    return {"BLEU": bleu, "chrF": chrf}
