#!/usr/bin/python3
"""Runs the benchmarks of bench/README.md and prints their figures, as JSON and as the table's rows.

    bench/run.py --build build/release --texts test.src [--torch PYTHON]

Engine and PyTorch run in turn, each pinned to one core, so that both see the same machine; then a server with one
worker is asked by 32 clients. Without --torch the PyTorch part is left out.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run_json(command, **options):
    """A command's standard output, parsed."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True, check=True, **options)
    return json.loads(done.stdout)


def metric(text, name):
    """The sum of a metric's samples over all its labels."""
    return sum(float(m.group(1)) for m in re.finditer(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.M))


def start_server(build, models, core):
    """A server with one worker on free ports; returns (process, address, metrics address)."""
    command = ["taskset", "-c", str(core), build / "server/heed-server", f"--models={models}", "--workers=1"]
    command += ["--address=127.0.0.1:0", "--metrics_address=127.0.0.1:0", "--log_format=json"]
    process = subprocess.Popen([str(c) for c in command], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        entry = json.loads(line)
        if entry.get("event") == "serving":
            # The log must be read on, or the server would wait for room in the pipe.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, f"127.0.0.1:{entry['port']}", f"127.0.0.1:{entry['metrics_port']}"
    sys.exit("the server did not start")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--models", type=pathlib.Path, default=ROOT / "models")
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
    figures["engine"] = run_json([*engine, f"--sentences={arguments.sentences}"])
    if arguments.torch:
        torch = [*pin, arguments.torch, "-m", "heed_export.bench_torch", "--bundle", bundle.resolve()]
        torch += ["--texts", arguments.texts.resolve(), "--sentences", arguments.sentences]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "export")}
        figures["torch"] = run_json(torch, env=environment)
        figures["engine again"] = run_json([*engine, f"--sentences={arguments.sentences}"])
    process, address, metrics = start_server(arguments.build, arguments.models, arguments.core)
    try:
        bench = [arguments.build / "bench/serve_bench", f"--address={address}", f"--texts={arguments.texts}"]
        figures["server, 32 clients"] = run_json([*bench, "--clients=32", f"--requests={arguments.sentences}"])
        text = urllib.request.urlopen(f"http://{metrics}/metrics").read().decode()
        steps = metric(text, "heed_step_rows_count")
        figures["server, 32 clients"]["rows_per_step"] = metric(text, "heed_step_rows_sum") / max(1.0, steps)
        figures["server, 1 client"] = run_json([*bench, "--clients=1", f"--requests={arguments.sentences // 8}"])
    finally:
        process.terminate()
        process.wait()
    print(json.dumps(figures, indent=1))
    for name, part in figures.items():
        for row in part.get("results", [part]):
            size = row.get("rows", row.get("batch", row.get("clients")))
            kept = f", finished rows {row['finished_rows']}" if "finished_rows" in row else ""
            print(f"| {name}{kept} | {size} | {row['tokens_per_s']:,.0f} |")


if __name__ == "__main__":
    main()
