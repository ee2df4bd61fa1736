#!/usr/bin/python3
"""Every preset with random weights: what the importer builds, run by heed-server, against the float64 oracle: by
`verify`, and as a client sees it.

Usage: presets_test.py HEED_SERVER [--table FILE] [--only TEXT] [unittest arguments]. HEED_SERVER is that of a CMake
build, whose `heed` asks it. With --table the errors of `verify` are written as a page: docs/importing/presets.md is
that of all presets.
"""

import argparse
import json
import pathlib
import sys
import tempfile
import unittest
import zlib
from dataclasses import dataclass

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import numpy as np
import presets
from heed_export.bundle import certificate, publish
from heed_export.measure import serving

PARSER = argparse.ArgumentParser()
PARSER.add_argument("server", type=pathlib.Path)
PARSER.add_argument("--table", type=pathlib.Path)
PARSER.add_argument("--only", default="", help="presets whose name holds this")
ARGS, REST = PARSER.parse_known_args()
REFERENCE = "export/reference, float64"
PAGE = """# How far the engine is from the oracles

Each preset is a kind of model that heed serves, here with random weights: the importer (or the builder) makes a bundle
of them, an independent float64 implementation (`export/reference`, written from the toolkit's source and not from the
engine) says what it computes for a few sources, and `heed-server verify` compares. Tokens are equal wherever the
oracle's best is more than 1e-3 ahead of its second best. The tolerances are 1e-4 for log-probabilities and energies,
1e-5 for weights, contexts and copy gates.

The table holds the largest `|engine - oracle| / max(1, |oracle|)`, as
`tests/export/presets_test.py HEED_SERVER --table docs/importing/presets.md` measured it with
{machine}:
"""


@dataclass
class Made:
    """A preset's bundle, what the oracle says, and the texts that say it to the server."""

    preset: presets.Preset
    bundle: pathlib.Path
    traces: list
    texts: list[str]
    attends: bool


def build(preset: presets.Preset, folder: pathlib.Path, name: str) -> Made:
    """Writes the preset's bundle, of that name, into `folder`."""
    # The seed is the name's, so that a preset's weights do not change when others are added.
    model, traces = preset.make(np.random.default_rng((zlib.crc32(preset.name.encode()), preset.draw)))
    for trace in traces:
        if len(trace.tokens) > preset.max_length:
            raise ValueError(f"a trace of {len(trace.tokens)} tokens, max_length is {preset.max_length}")
    search = {"beam_size": 1, "max_length_a": 0, "max_length_b": preset.max_length}
    proof = certificate.Certificate(
        reference=REFERENCE,
        cases=[certificate.Case(trace, contexts=True, shortlist=preset.shortlist) for trace in traces],
        search=search,
    )
    model.search = dict(search)  # what the traces were decoded with serves, too
    card = publish.Card(name, "CC0-1.0", "en", "en", segmentation="none")
    publish.publish(model, folder / name, card, proof)
    texts = [typed(model.source, trace) for trace in traces]
    return Made(preset, folder / name, list(traces), texts, bool(model.attends()))


def typed(source, trace) -> str:
    """The text whose pieces are the trace's source ids; one that is unknown is a word of the source's own."""
    text = range(int(source.add_bos), len(trace.source_ids) - int(source.add_eos))
    pieces = [source.pieces[trace.source_ids[j]] for j in text]
    own = trace.copy_ids or trace.source_ids  # the same words have the same id of their own
    return " ".join(f"own{own[j]}" if trace.source_ids[j] == source.unk else p for j, p in zip(text, pieces))


def measure(made: Made) -> dict:
    """What heed-server measured; ValueError where it disagrees."""
    return certificate.verify(ARGS.server, made.bundle)


def told(hypothesis: dict, attend: str, component: str, head: int = 0) -> np.ndarray:
    """A matrix of a reply in JSON."""
    for item in hypothesis["attentions"]:
        if (item["attend"], item["component"], item["head"]) == (attend, f"ATTENTION_COMPONENT_{component}", head):
            return np.array(item["dense"]["values"]).reshape(item["dense"]["rows"], item["dense"]["columns"])
    raise AssertionError(f"no {component} of {attend}, head {head}")


class Presets(unittest.TestCase):
    rows: list[tuple[str, dict]] = []

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        chosen = [p for p in presets.everything() if ARGS.only in p.name]
        cls.made = [build(preset, pathlib.Path(cls.folder.name), f"preset{i}") for i, preset in enumerate(chosen)]

    def test_the_engine_says_what_the_oracle_says(self):
        self.assertTrue(self.made, "no preset of that name")
        names = [made.preset.name for made in self.made]
        self.assertEqual(len(names), len(set(names)), "two presets of one name")
        for made in self.made:
            with self.subTest(made.preset.name):
                found = measure(made)
                values = found["values"]
                self.assertIn("log_probability", values)
                self.rows.append((made.preset.name, found))

    def expect_close(self, trace, segment: dict) -> int:
        """Contexts, weights and energies of the reply are the trace's, as far as the tokens are: at a tie they may
        part. Returns how many rows were compared."""
        self.assertEqual([t["id"] for t in segment["sourceTokens"]], list(trace.source_ids))
        hypothesis = segment["hypotheses"][0]
        tokens = [t["id"] for t in hypothesis["tokens"]]
        same = 0
        while same < min(len(tokens), len(trace.tokens)) and trace.margins[same] > 1e-3:
            same += 1
        rows = min(same + 1, len(tokens), len(trace.tokens))
        for name, first in trace.steps[0].attentions.items():
            attended = [step.attentions[name] for step in trace.steps[:rows]]
            pairs = [("CONTEXTS", 0, np.array([a.context for a in attended]), 1e-5)]
            for head in range(len(first.weights)):
                pairs.append(("WEIGHTS", head, np.array([a.weights[head] for a in attended]), 1e-5))
                pairs.append(("ENERGIES", head, np.array([a.energies[head] for a in attended]), 1e-4))
            for component, head, wanted, bound in pairs:
                found = told(hypothesis, name, component, head)
                self.assertEqual(found.shape, (len(tokens), wanted.shape[1]), component)
                error = np.abs(found[:rows] - wanted) / np.maximum(1, np.abs(wanted))
                self.assertLessEqual(error.max(), bound, f"{component} of {name}, head {head}")
        return rows

    def test_a_client_gets_the_oracles_contexts(self):
        folder, flags = pathlib.Path(self.folder.name), ("--precision=float32", "--max_rows=16")
        compared = 0
        with serving.Server(ARGS.server.resolve().parents[1], folder, *flags) as server:
            for made in self.made:
                if not made.attends:
                    continue
                with self.subTest(made.preset.name), tempfile.NamedTemporaryFile("w", encoding="utf-8") as texts:
                    texts.write("".join(f"{text}\n" for text in made.texts))
                    texts.flush()
                    wanted = ["--attention", "--energies", "--contexts"]
                    if not made.preset.shortlist:
                        wanted.append("--noshortlist")
                    reply = server.ask("translate", made.bundle.name, pathlib.Path(texts.name), *wanted)
                    outputs = [json.loads(line)["result"]["output"] for line in reply.splitlines()]
                    self.assertEqual(len(outputs), len(made.traces))
                    for trace, output in zip(made.traces, outputs):
                        compared += self.expect_close(trace, output["segments"][0])
        rows = sum(len(trace.tokens) for made in self.made for trace in made.traces if made.attends)
        self.assertGreaterEqual(compared, 0.95 * rows)

    def test_a_wrong_certificate_is_noticed(self):
        preset = presets.everything()[0]
        make = preset.make

        def wrong(rng):
            model, traces = make(rng)
            traces[0].log_probabilities[0] += 0.01
            return model, traces

        with tempfile.TemporaryDirectory() as folder, self.assertRaisesRegex(ValueError, "log_probability"):
            measure(build(presets.Preset(preset.name, wrong, preset.max_length), pathlib.Path(folder), "wrong"))


def page(rows: list[tuple[str, dict]]) -> str:
    """The largest error of each kind of value, preset by preset."""
    kinds = {
        "log-probability": "log_probability",
        "energies": ".energies",
        "weights": ".weights",
        "context": "",
        "copy gate": "copy_gate",
    }

    def largest(values: dict, kind: str) -> str:
        if kind in ("log_probability", "copy_gate"):
            found = [values[kind]] if kind in values else []
        elif kind:
            found = [v for k, v in values.items() if k.endswith(kind)]
        else:
            found = [v for k, v in values.items() if "." not in k and k not in ("log_probability", "copy_gate")]
        return f"{max(found):.1e}" if found else ""

    first = rows[0][1]
    machine = f"{first['by']}, {first['precision']}, {first['instruction_set']}"
    lines = [
        PAGE.format(machine=machine),
        f"| preset | {' | '.join(kinds)} |",
        "|---" * (1 + len(kinds)) + "|",
    ]
    for name, found in rows:
        lines.append(f"| {name} | " + " | ".join(largest(found["values"], kind) for kind in kinds.values()) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    result = unittest.main(argv=sys.argv[:1] + REST, exit=False).result
    if ARGS.table and Presets.rows:
        ARGS.table.write_text(page(Presets.rows), encoding="utf-8")
    sys.exit(0 if result.wasSuccessful() else 1)
