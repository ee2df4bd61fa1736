#!/usr/bin/python3
"""What gRPC, admission and replies cost: tokens a second through a server against the engine driven directly.

    bench/overhead.py --texts test.src

The same sentences, rows and concurrency, one step thread; the engine is on core 0, callers are on core 1. The server has
core 0 for all its threads, then both cores, so that threads other than the step's may run beside the callers. Only texts
of one sentence are taken, for the server splits texts into sentences and the engine's benchmark does not.
"""

import argparse
import contextlib
import json
import re
import sys

import servers

MORE_THAN_ONE_SENTENCE = re.compile(r"[.!?。？！…]['\"”’)\]]*\s+\S")


CORES = {"one core": "0", "two cores": "0,1"}
CASES = ((1, False), (1, True), (32, False), (64, False))  # requests at a time, cores kept awake


def judge(concurrency, awake, cores, runs):
    def median(values):
        return sorted(values)[len(runs) // 2]

    tokens = [(run["server"]["tokens"], run["engine"]["tokens"]) for run in runs]
    yield (f"{concurrency} at a time, server on {cores}, the same tokens",
           all(abs(ours - theirs) <= 0.01 * theirs for ours, theirs in tokens), tokens)
    if concurrency == 1:
        added = median(run["server"]["latency"]["p50_ms"] - run["engine"]["ms_p50"] for run in runs)
        engine = median(run["engine"]["ms_p50"] for run in runs)
        halt = "cores kept awake" if awake else "cores may halt"
        yield f"1 request, {halt}, server on {cores}, at most 0.5 ms added", added <= 0.5, f"{added:.2f} ms to {engine:.2f} ms"
    else:
        ratio = median(run["server"]["tokens_per_s"] / run["engine"]["tokens_per_s"] for run in runs)
        engine = median(run["engine"]["tokens_per_s"] for run in runs)
        yield (f"{concurrency} requests, server on {cores}, at least 90 % of the engine's tokens/s", ratio >= 0.9,
               f"{100 * ratio:.1f} % of {engine:,.0f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    servers.add_common_flags(parser)
    parser.add_argument("--sentences", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3, help="engine and server in turn, so often; medians count")
    arguments = parser.parse_args()
    lines = [line for line in arguments.texts.read_text(encoding="utf-8").splitlines() if 0 < len(line) < 150]
    lines = [line for line in lines if not MORE_THAN_ONE_SENTENCE.search(line)]
    many, few = (servers.evenly(lines, n) for n in (arguments.sentences, arguments.sentences // 8))
    bundle = arguments.models / arguments.model
    figures = {"machine": servers.machine(), "runs": []}
    with servers.file_of(many) as many_texts, servers.file_of(few) as few_texts:

        def measure(server, cores, concurrency, awake):
            texts, sentences = (few_texts, len(few)) if concurrency == 1 else (many_texts, len(many))
            with servers.awake() if awake else contextlib.nullcontext():
                engine = servers.run_json(servers.pinned(0, [
                    arguments.build / "bench/engine_bench", f"--bundle={bundle}", f"--texts={texts}", "--rows=64",
                    f"--concurrency={concurrency}", f"--sentences={sentences}", "--repeats=1"]))["results"][0]
                served = servers.closed_loop(arguments.build, server, texts, concurrency, sentences,
                                             f"--model={arguments.model}")
            return {"concurrency": concurrency, "awake": awake, "cores": cores, "engine": engine, "server": served}

        for cores, pin in CORES.items():
            with servers.serving(arguments.build / "server/heed-server",
                                 [f"--models={arguments.models}", "--max_rows=64"], pin) as server:
                for _ in range(arguments.rounds):
                    figures["runs"] += [measure(server, cores, *case) for case in CASES]
    verdicts = []
    for cores in CORES:
        for concurrency, awake in CASES:
            runs = [run for run in figures["runs"]
                    if (run["cores"], run["concurrency"], run["awake"]) == (cores, concurrency, awake)]
            verdicts += judge(concurrency, awake, cores, runs)
    figures["machine after"] = servers.machine()
    servers.keep(arguments.out, "overhead", figures)
    print(json.dumps(figures["machine after"]))
    return servers.say(verdicts)


if __name__ == "__main__":
    sys.exit(main())
