"""What every peer's process speaks, so that peers.py can measure them in turn: its one argument is a JSON file, the
specification. When the model is loaded it prints {"versions": {...}, "notes": [...]}; then, for each line
TEXTS<tab>ROWS<tab>BEAM on standard input, it translates the texts of that file and prints {"seconds": .., "tokens":
..}, target tokens of the best hypotheses. It ends when its input does. Loading is not timed, nor, where an engine takes
ids, cutting texts into pieces.

The workers that are no Python (fxtranslate/src/main.rs, marian.cjs) say the same.
"""

import json
import pathlib
import sys
import time


def specification():
    """The specification's values."""
    return json.loads(pathlib.Path(sys.argv[1]).read_text())


def serve(versions, prepare, run, notes=()):
    """Answers until the input ends. prepare(lines) gives what run(prepared, rows, beam) takes, once for a file; run
    returns the number of tokens."""
    print(json.dumps({"versions": versions, "notes": list(notes)}), flush=True)
    prepared = {}
    for line in sys.stdin:
        texts, rows, beam = line.rstrip("\n").split("\t")
        if texts not in prepared:
            prepared[texts] = prepare(pathlib.Path(texts).read_text(encoding="utf-8").splitlines())
        started = time.perf_counter()
        tokens = run(prepared[texts], int(rows), int(beam))
        print(json.dumps({"seconds": time.perf_counter() - started, "tokens": tokens}), flush=True)
