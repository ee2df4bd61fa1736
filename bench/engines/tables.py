"""What peers.py measured, as Markdown tables and SVG plots."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "export"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import rounds  # noqa: E402
import shapes  # noqa: E402
from heed_export.measure import chart  # noqa: E402

BEGIN, END = "<!-- peers.py writes this -->", "<!-- to here -->"
SEARCHES = {"greedy": "greedy", "shortlist": "greedy, lexical shortlist", "beam5": "beam 5", "beam10": "beam 10"}
# What matters to products of small numbers, by /proc/cpuinfo's names.
INSTRUCTIONS = {"avx512_vnni": "AVX-512 VNNI", "avx512_bf16": "AVX-512 BF16", "amx_int8": "AMX"}
LINES = 5  # of a plot: as many as chart.py has colours


def instructions(cpuinfo):
    """What a processor has and lacks for small numbers, from the text of /proc/cpuinfo."""
    found = re.search(r"^flags\s*:\s*(.*)$", cpuinfo, re.M)
    have = set(found.group(1).split()) if found else set()
    there = [said for flag, said in INSTRUCTIONS.items() if flag in have]
    lacks = [said for flag, said in INSTRUCTIONS.items() if flag not in have]
    return (", ".join(there) or "none of them") + (f"; no {', no '.join(lacks)}" if lacks else "")


def machine(known):
    """servers.machine()'s answer with the instructions and the last cache."""
    caches = sorted(pathlib.Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"))
    return {**known, "instructions": instructions(pathlib.Path("/proc/cpuinfo").read_text()),
            "caches": [p.read_text().strip() for p in caches]}  # fmt: skip


def best_heed(names):
    """The heed that ratios are of: int8 where it was measured, else float32; without gRPC. None without any."""
    return next((n for n in ("heed int8", "heed bfloat16", "heed float32") if n in names), None)


def grouped(results):
    """{(shape, search): {rows: result}}, in the order of the shapes and searches."""
    found = {}
    for name in shapes.SHAPES:
        for search in SEARCHES:
            key = [k for k in results if k.startswith(f"{name}/{search}/")]
            if key:
                found[name, search] = {int(k.rsplit("/", 1)[1]): results[k] for k in sorted(key, key=_rows)}
    return found


def _rows(key):
    return int(key.rsplit("/", 1)[1])


def _number(value):
    return "-" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _cells(by_rows, name, of):
    """A table's row: tokens a second at each number of rows, and what `of` is over it. A bound's share is of it."""
    rates = [result["medians"].get(name) for result in by_rows.values()]
    ratios = [rounds.ratio(result["rounds"], of, name) if of else None for result in by_rows.values()]
    if name.startswith("bound"):
        own = f"heed {name.split()[1]}"
        shares = [rounds.ratio(result["rounds"], own, name) for result in by_rows.values()]
        said = ["-" if s is None else f"{100 * s:.0f} % of it" for s in shares]
    else:
        said = ["-" if r is None or name == of else f"{r:.2f}" for r in ratios]
    return [name, *map(_number, rates), *said]


def table(by_rows):
    """One shape and search: engines down, numbers of rows across."""
    names = list(dict.fromkeys(n for result in by_rows.values() for n in result["medians"]))
    of = best_heed(names)
    head = ["tokens/s at rows", *map(str, by_rows), *(f"{of or 'heed'} over it, {rows}" for rows in by_rows)]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += ["| " + " | ".join(_cells(by_rows, name, of)) + " |" for name in names]
    return "\n".join(lines)


def parts_table(by_rows):
    """Where heed's time goes, by part of a step: us a target token. Empty where it was not taken."""
    known = {rows: next(iter(r.get("parts", {}).items()), None) for rows, r in by_rows.items()}
    known = {rows: found for rows, found in known.items() if found}
    if not known:
        return ""
    names = list(dict.fromkeys(part for _, parts in known.values() for part in parts))
    engine = next(iter(known.values()))[0]
    lines = [f"| {engine}, us a token at rows | " + " | ".join(map(str, known)) + " |", "|---" * (1 + len(known)) + "|"]
    for name in names:
        cells = [f"{parts[name]:.1f}" if name in parts else "-" for _, parts in known.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _where(results):
    """A sentence on the machine and the load of the contests."""
    seen = [r["machine"] for r in results.values()]
    loads = [float(m["loadavg"][0]) for m in seen]
    days = sorted({m["time"][:10] for m in seen})
    machines = {f"{m['cpu']}, {m['cores']} cores ({m['instructions']}), caches {', '.join(m['caches'])}" for m in seen}
    thrown = sum(r["thrown_out"] for r in results.values())
    fewest = min(len(r["rounds"]) for r in results.values())
    limit = max(r["strangers_limit"] for r in results.values())
    return (
        f"{' and '.join(days)}: {' and '.join(sorted(machines))}; load before the contests {min(loads):.2f} to "
        f"{max(loads):.2f}. All on one core, in turn, medians of at least {fewest} rounds; {thrown} rounds in which "
        f"strangers took over {limit:g} cores were thrown out."
    )


def _versions(results):
    """The peers' versions, once each."""
    found = {}
    for result in results.values():
        for versions in result["versions"].values():
            found |= versions
    return ", ".join(f"{name} {version}" for name, version in sorted(found.items()))


def page(results):
    """Everything that was measured, in Markdown."""
    if not results:
        return "nothing was measured"
    parts = [_where(results), f"Peers: {_versions(results)}."]
    for (name, search), by_rows in grouped(results).items():
        parts += [f"**{shapes.SHAPES[name].says}; {SEARCHES[search]}**", table(by_rows)]
        parts += [timed] if (timed := parts_table(by_rows)) else []
        if search == "greedy" and len(by_rows) > 1:
            parts.append(f"![{name}: tokens a second by rows](images/peers-{name}.svg)")
    return "\n\n".join(parts)


def lines_of(by_rows):
    """Names of a plot's lines: heed's best, its bound, and the fastest of each peer, LINES at most."""
    last = by_rows[max(by_rows)]["medians"]
    of = best_heed(last)
    chosen = [of] if of else []
    if of and f"bound {of.split()[1]}" in last:
        chosen.append(f"bound {of.split()[1]}")
    peers = {}
    for name, rate in last.items():
        toolkit = name.split()[0].strip(",")
        if toolkit not in ("heed", "bound") and rate > last.get(peers.get(toolkit), 0):
            peers[toolkit] = name
    fastest = sorted(peers.values(), key=lambda n: -last[n])
    return chosen + fastest[: LINES - len(chosen)]


def plot(name, by_rows):
    """An SVG: tokens a second over rows of a step."""
    # A plot has room for short names.
    series = [chart.Series(line.split(",")[0], [r["medians"].get(line) for r in by_rows.values()])
              for line in lines_of(by_rows)]  # fmt: skip
    return chart.svg(chart.Chart(f"{name}: target tokens a second, one core", "rows of a step", "tokens/s",
                                 [str(rows) for rows in by_rows], series, logarithmic=True))  # fmt: skip


def between_markers(text, content):
    """`text` with what stands between the markers replaced. Raises ValueError where they are not there once each."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"expected the line {BEGIN!r} and behind it {END!r}, once each")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{content}\n\n{END}{rest.split(END)[1]}"


def write(results, bench):
    """Puts the page into bench/README.md and its plots into bench/images."""
    readme = bench / "README.md"
    readme.write_text(between_markers(readme.read_text(encoding="utf-8"), page(results)), encoding="utf-8")
    for (name, search), by_rows in grouped(results).items():
        if search == "greedy" and len(by_rows) > 1:
            (bench / f"images/peers-{name}.svg").write_text(plot(name, by_rows), encoding="utf-8")
