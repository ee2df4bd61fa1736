"""Fair rounds: every engine once in each, in turn, and none kept in which somebody else took the processor."""

import dataclasses
import os
import pathlib
import resource
import statistics
import time

TICK = os.sysconf("SC_CLK_TCK")


def busy_seconds(stat):
    """What all cores have done so far, from the text of /proc/stat: all but idling and waiting for disks. Time that the
    host gave to others (steal) counts: it was not ours."""
    fields = [int(f) for f in stat.split("\n", 1)[0].split()[1:9]]
    user, nice, system, _, _, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / TICK


def process_seconds(stat):
    """What a process and its children that have ended have used, from the text of /proc/PID/stat."""
    fields = stat.rsplit(")", 1)[1].split()
    return sum(int(f) for f in fields[11:15]) / TICK


def own_seconds(pids):
    """What this process, its children that have ended and the processes `pids` have used."""
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(who)
        total += used.ru_utime + used.ru_stime
    for pid in pids:
        total += process_seconds(pathlib.Path(f"/proc/{pid}/stat").read_text())
    return total


class Watch:
    """A context that measures strangers: `cores` of the machine that were taken meanwhile by none of us. `pids` gives
    the processes that are ours and live through it."""

    def __init__(self, pids):
        self._pids = pids
        self.cores = 0.0

    def _now(self):
        return busy_seconds(pathlib.Path("/proc/stat").read_text()), own_seconds(self._pids()), time.monotonic()

    def __enter__(self):
        self._before = self._now()
        return self

    def __exit__(self, *_):
        busy, own, wall = (after - before for before, after in zip(self._before, self._now()))
        self.cores = max(0.0, busy - own) / max(wall, 1e-3)


@dataclasses.dataclass
class Kept:
    """Rounds of {engine: figures}, and how many were thrown out. `strangers`: the most cores of a kept round."""

    rounds: list
    thrown_out: int
    strangers: float


def quiet_rounds(measure, wanted, tries, limit):
    """Measures until there are `wanted` rounds in which strangers took at most `limit` cores, `tries` rounds at most:
    then there are fewer. measure() gives ({engine: {"tokens_per_s": ..}}, cores)."""
    kept, thrown, most = [], 0, 0.0
    while len(kept) < wanted and len(kept) + thrown < tries:
        figures, strangers = measure()
        if strangers > limit:
            thrown += 1
            continue
        kept.append(figures)
        most = max(most, strangers)
    return Kept(kept, thrown, most)


def medians(rounds):
    """{engine: median tokens a second} of the engines that every round has, in the order of the first."""
    names = [n for n in rounds[0] if all(n in r for r in rounds)] if rounds else []
    return {name: statistics.median(r[name]["tokens_per_s"] for r in rounds) for name in names}


def ratio(rounds, one, other):
    """The median of `one` over `other` within each round; None where one of them was not measured."""
    if not rounds or not all(one in r and other in r for r in rounds):
        return None
    return statistics.median(r[one]["tokens_per_s"] / r[other]["tokens_per_s"] for r in rounds)
