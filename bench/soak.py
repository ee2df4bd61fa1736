#!/usr/bin/python3
"""Mixed load for minutes: nothing fails that was not made to, memory stays flat, latency stays what it was.

    bench/soak.py --texts newstest2019.kor [--minutes 10]

Unary calls and streams of both tasks, beams of four with attention, batch priority. About 1 % of requests are
cancelled (2 % are to be, at a random time in their first 200 ms), and clients that are killed come and go. The rate is
0.9 of what the same mix gets when there is always more of it.
"""

import argparse
import json
import random
import sys
import time

import servers

# Shares of the rate: most of it, what is asked with beams, and what clients send that are killed.
MOST, BEAMS, KILLED = 0.88, 0.08, 0.04
MIX = "--mix=translate=0.55,stream_translate=0.2,summarize=0.15,stream_summarize=0.1"


def start(arguments, server, rate, duration, *flags):
    """The clients of the mix that are not killed."""
    common = [f"--duration={duration}s", *flags]
    load = lambda *more: servers.heed_bench(arguments.build, server, arguments.texts, *common, *more)
    return [load(f"--rate={MOST * rate:.2f}", MIX, "--batch_fraction=0.2"),
            load(f"--rate={BEAMS * rate:.2f}", "--mix=translate=1", "--beam_size=4", "--n_best=2", "--attention")]


def capacity(arguments, server):
    """Requests of the mix answered a second where there are more than that: the refused are of each kind alike."""
    runs = [servers.report(client) for client in start(arguments, server, arguments.flood, 20, "--warmup=5s")]
    return sum(run["requests_per_s"] for run in runs)


def soak(arguments, server, rate):
    """(reports, resident bytes by second, clients killed)"""
    seconds = 60 * arguments.minutes
    clients = start(arguments, server, rate, seconds, f"--interval={seconds / 10}s", "--cancel_fraction=0.02",
                    "--cancel_within=200ms")
    dice, began, sizes, killed = random.Random(1), time.monotonic(), [], 0
    victim, until = None, 0.0
    while time.monotonic() < began + seconds:
        if victim and time.monotonic() >= until:
            victim.kill()
            victim.communicate()
            victim, killed = None, killed + 1
        if victim is None:
            victim = servers.heed_bench(arguments.build, server, arguments.texts, f"--rate={KILLED * rate:.2f}",
                                        "--mix=translate=0.5,stream_translate=0.5", "--duration=60s")
            until = time.monotonic() + dice.uniform(0.5, 5)
        sizes.append(server.resident_bytes())
        time.sleep(1)
    victim.kill()
    victim.communicate()
    return [servers.report(client) for client in clients], sizes, killed + 1


def wait_idle(server):
    """Seconds until nothing is in use any more, at most 10; None: something still is."""
    for tenth in range(100):
        text = server.metrics()
        if not any(servers.metric(text, name) for name in (
                "heed_rows_in_use", "heed_queue_segments", "heed_queue_bytes", "heed_leased_bytes",
                "heed_requests_in_flight")):
            return tenth / 10
        time.sleep(0.1)
    return None


def p99(report, tenths):
    return sum(report["intervals"][tenth - 1]["p99_ms"] for tenth in tenths) / len(tenths)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    servers.add_common_flags(parser)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--flood", type=float, default=500, help="requests a second that are more than the capacity")
    parser.add_argument("--load", type=float, default=0.9, help="of capacity")
    arguments = parser.parse_args()
    with servers.serving(arguments.build / "server/heed-server", [f"--models={arguments.models}"]) as server:
        full = capacity(arguments, server)
        rate = arguments.load * full
        print(f"capacity of the mix {full:.1f}/s, rate {rate:.1f}/s", flush=True)
        reports, sizes, killed = soak(arguments, server, rate)
        idle = wait_idle(server)
        code = server.stop()
    tenth = len(sizes) // 10
    first, last = sizes[tenth], max(sizes[-tenth:])
    codes = [report["codes"] for report in reports]
    early, late = p99(reports[0], (2, 3)), p99(reports[0], (9, 10))
    figures = {"machine": servers.machine(), "capacity_per_s": full, "rate_per_s": rate, "killed": killed,
               "resident_bytes": sizes, "reports": reports}
    servers.keep(arguments.out, "soak", figures)
    print(json.dumps(figures["machine"]))
    return servers.say([
        ("no error that was not caused", not any(report["errors"] for report in reports),
         f"{json.dumps(codes)}, {sum(r['cancelled'] for r in reports)} cancelled, {killed} clients killed"),
        ("memory grows under 1 % after the first tenth", last < 1.01 * first,
         f"{first / 1e6:.1f} MB then, {last / 1e6:.1f} MB at most in the last: {100 * (last / first - 1):+.2f} %"),
        ("p99 of tenths 9 and 10 within 20 % of tenths 2 and 3", late <= 1.2 * early, f"{early:.0f} ms, {late:.0f} ms"),
        ("nothing is in use afterwards", idle is not None, f"after {idle} s"),
        ("the server ended with 0", code == 0, code),
    ])


if __name__ == "__main__":
    sys.exit(main())
