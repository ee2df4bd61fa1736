#!/usr/bin/python3
"""Runs the benchmarks of bench/README.md and prints their figures, as JSON and as the table's rows.

    bench/run.py --build build/release --texts test.src [--torch PYTHON]

Engine and PyTorch run in turn, each pinned to one core, so that both see the same machine; then a server with one
worker is asked by 32 callers. Without --torch the PyTorch part is left out.
"""

import argparse
import json
import os
import pathlib

import servers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=servers.ROOT / "build/release")
    parser.add_argument("--models", type=pathlib.Path, default=servers.ROOT / "build/release/models")
    parser.add_argument("--model", default="pydocs-ko-en")
    parser.add_argument("--texts", type=pathlib.Path, required=True, help="source sentences, a line each")
    parser.add_argument("--torch", help="a python that has torch, numpy and sentencepiece")
    parser.add_argument("--sentences", type=int, default=1024)
    parser.add_argument("--core", type=int, default=0, help="the core that engine, PyTorch and server are pinned to")
    arguments = parser.parse_args()
    bundle = arguments.models / arguments.model
    pin = ["taskset", "-c", arguments.core]
    figures = {}
    engine = [*pin, arguments.build / "bench/engine_bench", f"--bundle={bundle}", f"--texts={arguments.texts}"]
    figures["engine"] = servers.run_json([*engine, f"--sentences={arguments.sentences}"])
    if arguments.torch:
        torch = [*pin, arguments.torch, "-m", "heed_export.measure.bench_torch", "--bundle", bundle.resolve()]
        torch += ["--texts", arguments.texts.resolve(), "--sentences", arguments.sentences]
        environment = os.environ | {"PYTHONPATH": str(servers.ROOT / "export")}
        figures["torch"] = servers.run_json(torch, env=environment)
        figures["engine again"] = servers.run_json([*engine, f"--sentences={arguments.sentences}"])
    lines = arguments.texts.read_text(encoding="utf-8").splitlines()
    program, flags = arguments.build / "server/heed-server", [f"--models={arguments.models}"]
    with servers.serving(program, flags, arguments.core) as server:
        for callers, count in ((32, arguments.sentences), (1, arguments.sentences // 8)):
            with servers.file_of(servers.evenly(lines, count)) as texts:
                before = server.metrics()
                part = servers.closed_loop(arguments.build, server, texts, callers, count, f"--model={arguments.model}",
                                           core=0 if arguments.core else 1)
                after = server.metrics()
            steps, rows = (servers.metric(after, f"heed_step_rows_{n}") - servers.metric(before, f"heed_step_rows_{n}")
                           for n in ("count", "sum"))
            figures[f"server, {callers} callers"] = part | {"callers": callers, "rows_per_step": rows / max(1.0, steps)}
    print(json.dumps(figures, indent=1))
    for name, part in figures.items():
        for row in part.get("results", [part]):
            size = row.get("rows", row.get("callers", row.get("batch")))
            kept = f", finished rows {row['finished_rows']}" if "finished_rows" in row else ""
            print(f"| {name}{kept} | {size} | {row['tokens_per_s']:,.0f} |")


if __name__ == "__main__":
    main()
