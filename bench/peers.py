#!/usr/bin/python3
"""heed beside its peers, on one core, in turn: fxtranslate, PyTorch, ONNX Runtime, CTranslate2, Marian's WebAssembly.

    bench/peers.py --list
    bench/peers.py --only 'base-student/greedy' --rounds 5
    bench/peers.py --write

A contest is SHAPE/SEARCH/ROWS. In each of its rounds every engine translates the same texts once, one after another on
the same core; a round in which anybody else took more than --strangers cores is thrown out and repeated, at most until
--tries rounds were made. What is kept are medians over the rounds, ratios within each round, the machine and its load.
Models of random weights have their lengths forced, so that every engine makes as many tokens. Results are kept in
--out/peers.json as they come: contests that are there are not measured again (--again), so that a run that was cut
short goes on. No contest begins that would probably end after --minutes.

The peers' environments are made under --environments at first use (pip, cargo, npm; minutes, 8 GB); what cannot be had
is said and left out. --write puts tables and plots of what was measured into bench/README.md.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import time

import servers

sys.path.insert(0, str(servers.ROOT / "bench/engines"))
import contests  # noqa: E402
import environments  # noqa: E402
import rounds  # noqa: E402
import shapes  # noqa: E402
import tables  # noqa: E402

CACHE = pathlib.Path.home() / ".cache/heed-peers"
# heed takes texts in one by one, so that its first and last steps are not full: it gets so many times the texts of
# those whose batches are full throughout, and both show how fast they are in the long run.
STEADY = 3


def flags():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=servers.ROOT / "build/release", help="of heed")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=FOLDER",
                        help="another build of heed, measured beside it as NAME; may be repeated")  # fmt: skip
    parser.add_argument("--models", type=pathlib.Path, default=servers.ROOT / "models", help="the shipped bundles")
    parser.add_argument("--texts", action="append", default=[], metavar="MODEL=FILE",
                        help="source texts of a shipped model, a line each; without it that is left out")  # fmt: skip
    parser.add_argument("--environments", type=pathlib.Path, default=CACHE, help=f"cache folder (default {CACHE})")
    parser.add_argument("--python", default="/usr/bin/python3", help="what makes the peers' virtual environments")
    parser.add_argument("--out", type=pathlib.Path, default=servers.ROOT / "out/bench", help="folder of peers.json")
    parser.add_argument("--only", default=".", metavar="REGEX", help="of contests' names")
    parser.add_argument("--engines", default=".", metavar="REGEX", help="of engines' names, heed's included")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that are kept of each contest (default 5)")
    parser.add_argument("--tries", type=int, help="rounds that are made at most (default 3 times --rounds)")
    parser.add_argument("--batches", type=int, metavar="N",
                        help="full batches of each length (default 3 of one text, 2 of up to 8, else 1)")  # fmt: skip
    parser.add_argument("--strangers", type=float, default=0.05, metavar="CORES",
                        help="what others may take of the machine in a round (default 0.05)")  # fmt: skip
    parser.add_argument("--minutes", type=float, default=19, help="for one call (default 19)")
    parser.add_argument("--core", type=int, default=0, help="what everything runs on; callers have the other one")
    parser.add_argument("--again", action="store_true", help="measure contests anew that are there")
    parser.add_argument("--list", action="store_true", help="print the contests' names")
    parser.add_argument("--write", action="store_true", help="write what there is into bench/README.md")
    return parser


def pairs(flag, given):
    """{NAME: path} of a flag's NAME=PATHs; ends the program where one is none."""
    for one in given:
        if not re.fullmatch(r"[^=]+=.+", one):
            sys.exit(f"{flag}: '{one}' is no NAME=PATH")
    return {name: pathlib.Path(path) for name, _, path in (one.partition("=") for one in given)}


class Run:
    """Measures the contests that the command line names."""

    def __init__(self, arguments):
        self.arguments = arguments
        builds = {"heed": arguments.build, **pairs("--also", arguments.also)}
        for build in builds.values():
            if not (build / "bench/engine_bench").is_file():
                sys.exit(f"{build}: no build of heed: bench/engine_bench is not there")
        self.engines = contests.Engines(
            environments.Environments(arguments.environments, arguments.python), builds, arguments.models,
            arguments.environments, arguments.core, arguments.engines,
        )  # fmt: skip
        self.texts = pairs("--texts", arguments.texts)
        for model, path in self.texts.items():
            if model not in shapes.SHAPES or shapes.SHAPES[model].kind != "shipped":
                sys.exit(f"--texts: '{model}' is no shipped model")
            if not path.is_file():
                sys.exit(f"--texts: {model}: '{path}' is no file")
        self.results = servers.Results(arguments.out / "peers.json")

    def texts_of(self, contest, times=1):
        """The file of a contest's texts, or of `times` as many alike; None for a shipped model without."""
        count = times * shapes.per_length(contest.at_once, self.arguments.batches)
        if contest.kind != "shipped":
            path = self.arguments.environments / f"texts.{count}"
            path.write_text("".join(f"{line}\n" for line in shapes.texts(count)), encoding="utf-8")
            return path
        given = self.texts.get(contest.shape)
        if given is None:
            return None
        lines = given.read_text(encoding="utf-8").splitlines()
        path = self.arguments.environments / f"texts-{contest.shape}.{count}"
        count *= len(shapes.LENGTHS) * shapes.SHIPPED_TEXTS
        kept = servers.evenly([line for line in lines if line.strip()], count)
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        return path

    def measure(self, contest, texts):
        """A contest's results, or None where no engine is there. `texts` are the peers'."""
        engines = self.engines.of(contest)
        if not engines:
            return None
        before = servers.machine()
        longer = self.texts_of(contest, STEADY if contest.at_once > 1 else 1)

        def one_round():
            figures, watch = {}, rounds.Watch(self.engines.pids)
            with watch:
                for name, engine in list(engines.items()):
                    try:
                        file = longer if engine.fills_slowly else texts
                        figures[name] = engine.measure(file, contest.step_rows, contest.beam)
                    except (RuntimeError, OSError) as error:
                        self.engines.drop(contest, engines.pop(name), str(error))
                    except subprocess.CalledProcessError as error:
                        self.engines.drop(contest, engines.pop(name), f"ended with {error.returncode}")
            said = ", ".join(f"{name} {f['tokens_per_s']:,.0f}" for name, f in figures.items())
            print(f"  strangers {watch.cores:.3f}: {said}", file=sys.stderr, flush=True)
            return figures, watch.cores

        one_round()  # warms everything up
        tries = self.arguments.tries or 3 * self.arguments.rounds
        # Taken before the rounds: it is no figure that others are held to.
        best = tables.best_heed(engines)
        parts = engines[best].parts(longer, contest.step_rows, contest.beam) if best else {}
        kept = rounds.quiet_rounds(one_round, self.arguments.rounds, tries, self.arguments.strangers)
        return {
            "machine": tables.machine(before), "loadavg_after": servers.machine()["loadavg"],
            "core": self.arguments.core, "strangers_limit": self.arguments.strangers, "strangers": kept.strangers,
            "texts": len(texts.read_text(encoding="utf-8").splitlines()), "thrown_out": kept.thrown_out,
            "rounds": kept.rounds, "medians": rounds.medians(kept.rounds),
            "versions": {name: engine.about["versions"] for name, engine in engines.items()},
            "parts": {best: parts} if parts else {}, "complete": len(kept.rounds) >= self.arguments.rounds,
        }  # fmt: skip

    def all(self):
        """Measures what --only names. The exit code: 1 where a contest could not be measured in quiet."""
        begun, longest, failed, wanted = time.monotonic(), 0.0, 0, re.compile(self.arguments.only)
        try:
            for contest in (c for c in contests.every() if wanted.search(c.name)):
                if contest.name in self.results.values and not self.arguments.again:
                    continue
                texts = self.texts_of(contest)
                if texts is None:
                    print(f"{contest.name}: left out, --texts {contest.shape}=FILE is missing", file=sys.stderr)
                    continue
                started = time.monotonic()
                if longest and started - begun + longest > 60 * self.arguments.minutes:
                    print(f"{contest.name} and what follows: not begun, --minutes are over", file=sys.stderr)
                    break
                print(f"{contest.name} ...", file=sys.stderr, flush=True)
                found = self.measure(contest, texts)
                longest = max(longest, time.monotonic() - started)
                if found is None:
                    continue
                if not found["complete"]:
                    failed += 1
                    print(f"{contest.name}: FAIL: {len(found['rounds'])} quiet rounds of "
                          f"{found['thrown_out'] + len(found['rounds'])}: not kept", file=sys.stderr)  # fmt: skip
                    continue
                self.results.values[contest.name] = found
                self.results.save()
        finally:
            self.engines.stop()
        for what, why in self.engines.missing.items():
            print(f"left out: {what}: {why}", file=sys.stderr)
        print(tables.page(self.results.values))
        return 1 if failed else 0


def main():
    arguments = flags().parse_args()
    if arguments.list:
        print("\n".join(c.name for c in contests.every()))
        return 0
    if arguments.write:
        results = servers.Results(arguments.out / "peers.json").values
        if not results:
            sys.exit(f"--out: nothing was measured yet: {arguments.out / 'peers.json'} is not there")
        tables.write(results, servers.ROOT / "bench")
        return 0
    return Run(arguments).all()


if __name__ == "__main__":
    sys.exit(main())
