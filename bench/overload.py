#!/usr/bin/python3
"""Three times as many requests as the server can answer: it must answer as many as ever, and refuse the rest at once.

    bench/overload.py --texts newstest2019.kor [--seconds 120]
"""

import argparse
import json
import sys

import servers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    servers.add_common_flags(parser)
    parser.add_argument("--seconds", type=float, default=120)
    arguments = parser.parse_args()
    with servers.serving(arguments.build / "server/heed-server", [f"--models={arguments.models}"]) as server:
        # Before and after, for a machine may change its speed within minutes.
        before = servers.saturated(arguments.build, server, arguments.texts, arguments.seconds / 6)
        run = servers.load(arguments.build, server, arguments.texts, f"--rate={3 * before:.1f}",
                           f"--duration={arguments.seconds + 5}s", "--warmup=5s")
        after = servers.saturated(arguments.build, server, arguments.texts, arguments.seconds / 6)
    capacity = (before + after) / 2
    # Time until the last accepted request has ended is no longer one of overload.
    goodput = run["ok"] / run["seconds"]
    figures = {"machine": servers.machine(), "capacity_per_s": [before, after], "overload": run}
    servers.keep(arguments.out, "overload", figures)
    print(json.dumps(figures["machine"]))
    refused = sum(count for code, count in run["codes"].items() if code in ("RESOURCE_EXHAUSTED", "UNAVAILABLE"))
    return servers.say([
        ("goodput at least 95 % of capacity", goodput >= 0.95 * capacity,
         f"{goodput:.1f}/s of {before:.1f} before and {after:.1f} after: {100 * goodput / capacity:.1f} %"),
        ("refusals within 10 ms at p99", refused > 0 and run["refusals"]["p99_ms"] <= 10,
         f"{refused} refused, p50 {run['refusals']['p50_ms']:.2f} ms, p99 {run['refusals']['p99_ms']:.2f} ms"),
        ("no other error", run["errors"] == refused, json.dumps(run["codes"])),
        ("those accepted", True, f"p50 {run['latency']['p50_ms']:.0f} ms, p99 {run['latency']['p99_ms']:.0f} ms"),
    ])


if __name__ == "__main__":
    sys.exit(main())
