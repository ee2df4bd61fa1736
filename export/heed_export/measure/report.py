"""Tables and plots of what compare.py measured.

    python3 -m heed_export.measure.report attention.json --page docs/attention.md --images docs/images
    python3 -m heed_export.measure.report copying.json --page docs/attention.md

Prints Markdown tables, or puts each between the lines `<!-- measured: NAME -->` and `<!-- end -->` of --page; writes
the plots of the three translators as SVG into --images.
"""

from __future__ import annotations

import argparse
import json
import pathlib

from . import chart

NAMES = {"noattention": "no attention", "attention": "attention", "student": "student"}


def bucket_names(bounds: list[int]) -> list[str]:
    """"1-8", "9-16", ..., "49+"."""
    below = [0, *bounds[:-1]]
    return [f"{a + 1}-{b}" for a, b in zip(below[:-1], bounds[:-1])] + [f"{below[-1] + 1}+"]


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def attention_tables(found: dict) -> dict[str, str]:
    """The tables by name: `quality`, `quality by length`, `speed`."""
    models = found["models"]
    rows = []
    for key, entry in models.items():
        cells = [NAMES[key], f"{entry['parameters']:,}"]
        for measured in entry["quality"].values():
            cells += [f"{measured['bleu']:.2f}", f"{measured['chrf']:.1f}"]
        rows.append(cells)
    beams = next(iter(models.values()))["quality"]
    tables = {"quality": table(["model", "parameters", *(f"{m}, {b}" for b in beams for m in ("BLEU", "chrF"))], rows)}
    parts = []
    names = bucket_names(found["bounds"])
    for beam in beams:
        rows = []
        for at, name in enumerate(names):
            buckets = [entry["quality"][beam]["buckets"][at] for entry in models.values()]
            rows.append([name, str(buckets[0]["lines"]), *(f"{b['bleu']:.2f}" for b in buckets)])
            rows[-1] += [f"{b['length_ratio']:.2f}" for b in buckets]
        head = ["source pieces", "lines", *(f"BLEU, {NAMES[k]}" for k in models)]
        parts.append(f"{beam}:\n\n" + table([*head, *(f"length, {NAMES[k]}" for k in models)], rows))
    tables["quality by length"] = "\n\n".join(parts)
    parts = []
    for clients in sorted({row["clients"] for row in found["speed"]}):
        rows = []
        for row in (r for r in found["speed"] if r["clients"] == clients):
            values = [row["models"][k] for k in models]
            rows.append([str(row["source_length"]), *(f"{v['cpu_ms_per_sentence']:.2f}" for v in values)])
            rows[-1] += [f"{v['tokens_per_cpu_s']:,.0f}" for v in values]
        head = ["source pieces", *(f"ms a sentence, {NAMES[k]}" for k in models)]
        who = "one caller" if clients == 1 else f"{clients} callers"
        parts.append(f"{who}:\n\n" + table([*head, *(f"tokens/s, {NAMES[k]}" for k in models)], rows))
    tables["speed"] = "\n\n".join(parts)
    return tables


def fill(page: str, tables: dict[str, str]) -> str:
    """The page with each table between its marks. Raises ValueError for a table whose marks the page lacks."""
    for name, text in tables.items():
        begin, end = f"<!-- measured: {name} -->\n", "<!-- end -->"
        before, found, rest = page.partition(begin)
        if not found or end not in rest:
            raise ValueError(f"the page has no lines {begin.strip()} and {end}")
        page = before + begin + "\n" + text + "\n\n" + rest[rest.index(end) :]
    return page


def attention_charts(found: dict) -> dict[str, chart.Chart]:
    """The plots by file name."""
    models = found["models"]
    labels = bucket_names(found["bounds"])

    def lines(measure) -> list[chart.Series]:
        return [chart.Series(NAMES[key], measure(key)) for key in models]

    charts = {
        "bleu-by-length.svg": chart.Chart(
            "Quality by source length", "source pieces, </s> included", "BLEU, greedy", labels,
            lines(lambda key: [b["bleu"] for b in models[key]["quality"]["beam 1"]["buckets"]]),
        )
    }
    for clients in sorted({row["clients"] for row in found["speed"]}):
        rows = [r for r in found["speed"] if r["clients"] == clients]
        who = "one caller" if clients == 1 else f"{clients} callers"
        charts[f"speed-by-length-{clients}.svg"] = chart.Chart(
            f"Speed by length, {who}", "source pieces = target tokens", "target tokens a second of one core",
            [str(r["source_length"]) for r in rows],
            lines(lambda key: [r["models"][key]["tokens_per_cpu_s"] for r in rows]),
        )
    return charts


def copying_tables(found: dict) -> dict[str, str]:
    """The table `copying`."""
    rows = []
    for name, run in found["runs"].items():
        shares = [f"{100 * run[k]:.1f} %" for k in ("copied", "in_source", "unk_pieces", "unknown", "unknown_right")]
        rows.append([name, f"{run['rouge_l']:.3f}", *shares])
    head = ["model", "ROUGE-L", "copied", "in the source", "`<unk>`", "outside the vocabulary", "of these right"]
    unknown = f"{100 * found['reference_words_unknown']:.1f} %"
    return {"copying": f"{table(head, rows)}\n\nOf the references' words, {unknown} are outside the vocabulary."}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", type=pathlib.Path, help="what compare.py wrote")
    parser.add_argument("--page", type=pathlib.Path, help="Markdown file to put the tables into")
    parser.add_argument("--images", type=pathlib.Path, help="folder for the plots")
    arguments = parser.parse_args()
    found = json.loads(arguments.measured.read_text(encoding="utf-8"))
    tables = copying_tables(found) if "runs" in found else attention_tables(found)
    if arguments.page:
        arguments.page.write_text(fill(arguments.page.read_text(encoding="utf-8"), tables), encoding="utf-8")
    else:
        print("\n\n".join(f"{name}:\n\n{text}" for name, text in tables.items()))
    if arguments.images and "models" in found:
        arguments.images.mkdir(parents=True, exist_ok=True)
        for name, drawn in attention_charts(found).items():
            (arguments.images / name).write_text(chart.svg(drawn), encoding="utf-8")


if __name__ == "__main__":
    main()
