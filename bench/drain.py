#!/usr/bin/python3
"""SIGTERM under load, again and again: nothing that the server accepted may be lost, streams included.

    bench/drain.py --texts newstest2019.kor [--times 20]

A request is accepted once it is past the server's gate. It is lost if the server's log does not say OK of it, or says
OK where the client has no answer. All others the client must see refused with UNAVAILABLE.
"""

import argparse
import collections
import json
import random
import sys
import time

import servers


def drain_once(arguments, seed):
    with servers.serving(arguments.build / "server/heed-server", [f"--models={arguments.models}"]) as server:
        seconds = random.Random(seed).uniform(1.5, 3)
        client = servers.heed_bench(arguments.build, server, arguments.texts, f"--rate={arguments.rate}",
                                    f"--seed={seed}", "--mix=translate=0.7,stream_translate=0.3",
                                    f"--duration={seconds + 1.5}s")
        time.sleep(seconds)
        code = server.stop()
        run = servers.report(client)
        log = server.log()
    ended = collections.Counter(e["code"] for e in log if e.get("event") == "request")
    draining = next(e for e in log if e.get("event") == "draining")
    cut_short = sum(1 for e in log
                    if e.get("event") == "request" and e["code"] != "OK" and int(e.get("segments", 0)) > 0)
    lost = max(cut_short, ended["OK"] - run["ok"])
    strange = {code: count for code, count in run["codes"].items() if code not in ("OK", "UNAVAILABLE") and count}
    return {"in_flight": draining["requests_in_flight"], "exit_code": code, "server": dict(ended),
            "client": run["codes"], "lost": lost, "strange": strange}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    servers.add_common_flags(parser)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--rate", type=float, default=150, help="requests a second")
    arguments = parser.parse_args()
    runs = []
    for seed in range(arguments.times):
        runs.append(drain_once(arguments, seed))
        print(json.dumps(runs[-1]), flush=True)
    servers.keep(arguments.out, "drain", {"machine": servers.machine(), "runs": runs})
    return servers.say([
        (f"{len(runs)} drains, no accepted request lost", not any(run["lost"] for run in runs),
         f"{sum(run['in_flight'] for run in runs)} in flight at SIGTERM, {sum(run['lost'] for run in runs)} lost"),
        ("every server ended with 0", not any(run["exit_code"] for run in runs), [run["exit_code"] for run in runs]),
        ("clients saw OK and UNAVAILABLE only", not any(run["strange"] for run in runs),
         [run["strange"] for run in runs if run["strange"]]),
    ])


if __name__ == "__main__":
    sys.exit(main())
