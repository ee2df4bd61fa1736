#!/usr/bin/python3
"""Imports a folder of JoeyNMT and OpenNMT-py checkpoints, serves them, and compares what heed says with the toolkits' own
output that lies beside them.

    export/tools/checkpoint_parity.py CHECKPOINTS --build build/release

CHECKPOINTS holds `joeynmt-reverse/NAME` (STEP.ckpt, config.yaml, vocabularies, test.src and the greedy output
*STEP.hyps.test) and `opennmt-py-g2p/rnn-1x100/model.pt` with the reference pairs morph.src.valid and morph.tgt.valid, which
the toolkit gets right in 186 of 196 cases at beam 10 without length normalisation. Exit code 1 where a line of JoeyNMT's
differs, or fewer pairs are right.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from heed_export import cli
from heed_export.measure import served, serving

G2P_RIGHT = 186


def import_model(toolkit: str, checkpoint: pathlib.Path, out: pathlib.Path, build: pathlib.Path) -> None:
    """heed-export with the proof of the build's server; ends the program where it fails."""
    flags = ["--license", "LicenseRef-unknown", "--source-language", "und", "--target-language", "und"]
    flags += ["--segmentation", "none", "--heed-server", str(build / "server/heed-server"), "--out", str(out)]
    if cli.main([toolkit, str(checkpoint), *flags]) != 0:
        sys.exit(1)


def equal(server: serving.Server, model: str, source: pathlib.Path, expected: pathlib.Path, beam: int) -> tuple[int, int]:
    """How many lines of how many come out as `expected` has them."""
    said = served.parse(server.ask("translate", model, source, f"--beam_size={beam}"))
    wanted = expected.read_text(encoding="utf-8").splitlines()
    return sum(output.text == want for output, want in zip(said, wanted, strict=True)), len(wanted)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=pathlib.Path)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    args = parser.parse_args()
    joey = {path.parent.name.lower(): path for path in sorted(args.checkpoints.glob("joeynmt-reverse/*/*.ckpt"))}
    g2p = args.checkpoints / "opennmt-py-g2p"
    good = True
    with tempfile.TemporaryDirectory() as folder:
        models = pathlib.Path(folder)
        for name, path in joey.items():
            import_model("joeynmt", path, models / name, args.build)
        import_model("opennmt-py", g2p / "rnn-1x100/model.pt", models / "g2p", args.build)
        with serving.Server(args.build.resolve(), models) as server:
            for name, path in joey.items():
                (hyps,) = path.parent.glob(f"*{path.stem}.hyps.test")
                same, lines = equal(server, name, path.parent / "test.src", hyps, 1)
                print(f"joeynmt {name}: {same} of {lines} lines as the toolkit's")
                good = good and same == lines
            right, pairs = equal(server, "g2p", g2p / "morph.src.valid", g2p / "morph.tgt.valid", 10)
            print(f"opennmt-py g2p: {right} of {pairs} pairs right at beam 10")
            good = good and right >= G2P_RIGHT
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
