#!/usr/bin/python3
"""The same engine under three batching policies, under load: what continuous batching is worth.

    bench/serving.py --texts newstest2019.kor

Server (one worker) on core 0, generator on core 1. For the static policies a sweep finds the batch size and time-out
with the highest rate of Poisson arrivals at which 97 % of requests take at most --limit; then all three get the same
arrivals at several loads. Results are kept in OUT/serving.json as they come: a run that was cut short goes on.
"""

import argparse
import itertools
import json
import subprocess
import sys

import servers

sys.path.insert(0, str(servers.ROOT / "export"))
from heed_export.measure import chart  # noqa: E402

# The static ones twice: rows that have ended are computed on, as in a framework whose batch is one tensor, or cost
# nothing.
POLICIES = ("continuous", "static_early", "static_padded", "static_early, free", "static_padded, free")


class Benchmark:
    def __init__(self, arguments):
        self.arguments = arguments
        self.results = servers.Results(arguments.out / "serving.json")

    def server(self, policy, size=0, timeout=0):
        name, _, free = policy.partition(", ")
        flags = [f"--models={self.arguments.models}", f"--policy={name}"]
        if policy != "continuous":
            flags += ["--pads=false"] if free else []
            flags += [f"--batch_size={size}", f"--batch_timeout={timeout}ms"]
        return servers.serving(self.arguments.build / "bench/policy_server", flags)

    def load(self, server, rate, seconds):
        """A run after a warm-up; its second half is the last interval."""
        return servers.load(self.arguments.build, server, self.arguments.texts, f"--rate={rate:.2f}", "--warmup=2s",
                            f"--duration={seconds + 2}s", f"--interval={seconds / 2}s", "--seed=7")

    def passes(self, server, rate, seconds):
        run = self.load(server, rate, seconds)
        halves = [part["p97_ms"] for part in run["intervals"] if part["count"] >= 10]
        worst = max([run["latency"]["p97_ms"], *halves])
        print(f"  {rate:7.1f}/s: p97 {worst:.0f} ms, {run['errors']} errors", file=sys.stderr, flush=True)
        return run["errors"] == 0 and worst <= self.arguments.limit

    def highest(self, server, start, step, seconds, least=1.0):
        """The highest rate start * step^k that passes, found from `start`; None: it is below `least`."""
        rate = start
        if self.passes(server, rate, seconds):
            while self.passes(server, rate * step, seconds):
                rate *= step
            return rate
        while rate / step >= least:
            rate /= step
            if self.passes(server, rate, seconds):
                return rate
        return None

    def saturation(self):
        with self.server("continuous") as server:
            return servers.saturated(self.arguments.build, server, self.arguments.texts, self.arguments.seconds)

    def sweep(self, policy, start):
        """{size, timeout, rate} of the best; settings that are below the best so far are given up after one run."""
        best = None
        for size, timeout in itertools.product(self.arguments.sizes, self.arguments.timeouts):
            def measure(size=size, timeout=timeout, start=best["rate"] if best else start, least=best is not None):
                with self.server(policy, size, timeout) as server:
                    rate = self.highest(server, start, 1.08, self.arguments.seconds, start if least else 1.0)
                    return {"size": size, "timeout": timeout, "rate": rate}

            found = self.results.get(f"{policy}, {size} rows, {timeout} ms", measure)
            if found["rate"] and (not best or found["rate"] > best["rate"]):
                best = found
        return best

    def confirm(self, policy, best):
        with self.server(policy, best["size"], best["timeout"]) as server:
            return best | {"rate": self.highest(server, best["rate"], 1.03, 2.5 * self.arguments.seconds)}

    def loads(self, policy, best, capacity):
        runs = []
        with self.server(policy, best["size"], best["timeout"]) as server:
            for share in self.arguments.loads:
                runs.append({"load": share} | self.load(server, share * capacity, 2 * self.arguments.seconds))
        return runs

    def run(self):
        self.results.values["machine"] = servers.machine()
        saturation = self.results.get("saturation", self.saturation)
        bests = {}
        for policy in POLICIES:
            if policy == "continuous":
                best = {"size": 0, "timeout": 0, "rate": 0.8 * saturation}
            else:
                best = self.sweep(policy, 0.35 * saturation)
            bests[policy] = self.results.get(f"best {policy}", lambda p=policy, b=best: self.confirm(p, b))
        capacity = bests["continuous"]["rate"]
        runs = {policy: self.results.get(f"loads {policy}", lambda p=policy: self.loads(p, bests[p], capacity))
                for policy in POLICIES}
        self.results.values["machine after"] = servers.machine()
        self.results.save()
        self.draw(runs, capacity)
        return self.tell(bests, runs)

    def draw(self, runs, capacity):
        labels = [f"{share * capacity:.0f}" for share in self.arguments.loads]
        for percentile in ("p50", "p97", "p99"):
            series = [chart.Series(policy.replace("_", " "),
                                   [max(0.1, run["latency"][f"{percentile}_ms"]) for run in runs[policy]])
                      for policy in POLICIES]
            picture = chart.svg(chart.Chart(f"Latency under load, {percentile}", "requests per second offered",
                                            "milliseconds", labels, series, logarithmic=True))
            (self.arguments.out / f"serving-{percentile}.svg").write_text(picture)
        index = min(range(len(self.arguments.loads)), key=lambda i: abs(self.arguments.loads[i] - 0.8))
        files = []
        for policy in POLICIES:
            files.append(self.arguments.out / f"serving-{policy.replace(', ', '-')}.json")
            files[-1].write_text(json.dumps(runs[policy][index] | {"label": policy.replace("_", " ")}))
        plot = [self.arguments.build / "client/heed", "bench", "plot", f"--svg={self.arguments.out}/serving.svg"]
        subprocess.run([*plot, f"--title=At {labels[index]} requests per second", *files], check=True)

    def tell(self, bests, runs):
        print(json.dumps({key: self.results.values[key] for key in ("machine", "machine after")}))
        print(f"\n| policy | best setting | highest rate at p97 <= {self.arguments.limit:.0f} ms |\n|---|---|---|")
        for policy, best in bests.items():
            setting = "-" if policy == "continuous" else f"{best['size']} rows, {best['timeout']} ms"
            print(f"| {policy} | {setting} | {best['rate']:.0f}/s |")
        print("\n| policy | load | answered/s | refused | p50 ms | p97 ms | p99 ms |\n|---|---|---|---|---|---|---|")
        for policy in POLICIES:
            for run in runs[policy]:
                latency = run["latency"]
                figures = [run["requests_per_s"], run["errors"], *(latency[f"p{p}_ms"] for p in (50, 97, 99))]
                print(f"| {policy} | {run['load']} | " + " | ".join(f"{figure:.0f}" for figure in figures) + " |")
        print()
        verdicts = []
        for free in ("", ", free"):
            ratio = bests["continuous"]["rate"] / bests["static_padded" + free]["rate"]
            verdicts.append((f"continuous at least 2.0 times the best static_padded{free}", ratio >= 2.0,
                             f"{ratio:.2f}"))
            for ours, theirs in zip(runs["continuous"], runs["static_early" + free]):
                if ours["load"] == 0.8:
                    ratio = theirs["latency"]["p50_ms"] / ours["latency"]["p50_ms"]
                    verdicts.append((f"at 0.8 of capacity, p50 of static_early{free} at least 1.5 times continuous's",
                                     ratio >= 1.5, f"{ratio:.2f}"))
        return servers.say(verdicts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    servers.add_common_flags(parser)

    def numbers(kind):
        return lambda text: [kind(part) for part in text.split(",")]

    parser.add_argument("--limit", type=float, default=250, help="ms, of the 97th percentile")
    parser.add_argument("--seconds", type=float, default=8, help="of a run in the sweep; others are longer")
    parser.add_argument("--sizes", type=numbers(int), default=[16, 32, 8, 64], help="rows of a static batch")
    parser.add_argument("--timeouts", type=numbers(int), default=[0, 10, 50], help="ms in which one is formed")
    parser.add_argument("--loads", type=numbers(float), default=[0.2, 0.4, 0.6, 0.8, 0.9], help="of continuous's rate")
    return Benchmark(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
