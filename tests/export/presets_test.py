#!/usr/bin/python3
"""Every preset with random weights: what the importer builds, run by heed-server, against the float64 oracle.

Usage: presets_test.py HEED_SERVER [--table FILE] [--only TEXT] [unittest arguments]. With --table the errors are
written as a page: docs/importing/presets.md is that of all presets.
"""

import argparse
import pathlib
import sys
import tempfile
import unittest
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import numpy as np
import presets
from heed_export import certificate, publish

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


def measure(preset: presets.Preset, folder: pathlib.Path) -> dict:
    """Builds the preset's bundle in `folder` and returns what heed-server measured; ValueError where it disagrees."""
    # The seed is the name's, so that a preset's weights do not change when others are added.
    model, traces = preset.make(np.random.default_rng((zlib.crc32(preset.name.encode()), preset.draw)))
    for trace in traces:
        if len(trace.tokens) > preset.max_length:
            raise ValueError(f"a trace of {len(trace.tokens)} tokens, max_length is {preset.max_length}")
    proof = certificate.Certificate(
        reference=REFERENCE,
        cases=[certificate.Case(trace, contexts=True, shortlist=preset.shortlist) for trace in traces],
        search={"beam_size": 1, "max_length_a": 0, "max_length_b": preset.max_length},
    )
    card = publish.Card("preset", "CC0-1.0", "en", "en", segmentation="none")
    publish.publish(model, folder / "preset", card, proof)
    return certificate.verify(ARGS.server, folder / "preset")


class Presets(unittest.TestCase):
    rows: list[tuple[str, dict]] = []

    def test_the_engine_says_what_the_oracle_says(self):
        chosen = [p for p in presets.everything() if ARGS.only in p.name]
        self.assertTrue(chosen, "no preset of that name")
        self.assertEqual(len(chosen), len({p.name for p in chosen}), "two presets of one name")
        for preset in chosen:
            with self.subTest(preset.name), tempfile.TemporaryDirectory() as folder:
                found = measure(preset, pathlib.Path(folder))
                values = found["values"]
                self.assertIn("log_probability", values)
                self.rows.append((preset.name, found))

    def test_a_wrong_certificate_is_noticed(self):
        preset = presets.everything()[0]
        make = preset.make

        def wrong(rng):
            model, traces = make(rng)
            traces[0].log_probabilities[0] += 0.01
            return model, traces

        with tempfile.TemporaryDirectory() as folder, self.assertRaisesRegex(ValueError, "log_probability"):
            measure(presets.Preset(preset.name, wrong, preset.max_length), pathlib.Path(folder))


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
