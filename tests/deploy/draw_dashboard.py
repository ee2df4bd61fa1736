#!/usr/bin/python3
"""Draws deploy/grafana's dashboard as an SVG from what a Prometheus answers, without Grafana: the same queries, on the same
grid, with plainer axes. docs/images/dashboard.svg was made with it (deploy/README.md says how).

Usage: draw_dashboard.py --prometheus=http://127.0.0.1:9090 --seconds=300 --rate=10s --svg=FILE
"""
import argparse
import math
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "export"))

import dashboard
from heed_export.measure import svg

CELL, LINE = (58, 34), 13  # pixels of a grid cell; of a line of text
COLOURS = ["#3872b1", "#d1671d", "#3c8f4b", "#b0304b", "#7a55a8", "#8a6b2f", "#2a98a5", "#c05a9c", "#6f7d2c", "#555f6b"]


def number(value, unit):
    if value is None or math.isnan(value):
        return "-"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit in ("s", "dtdurations"):
        return f"{value * 1000:.3g} ms" if abs(value) < 1 else f"{value:.3g} s" if value < 120 else f"{value / 60:.3g} min"
    if unit == "bytes":
        for suffix in ("B", "KiB", "MiB", "GiB"):
            if abs(value) < 1024 or suffix == "GiB":
                return f"{value:.3g} {suffix}"
            value /= 1024
    text = f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return text + {"reqps": " /s", "ops": " /s"}.get(unit, "")


class Drawing:
    def __init__(self):
        self.parts = []

    def text(self, x, y, words, size=11, colour="#333", anchor="start", weight="normal"):
        self.parts.append(svg.element("text", words, x=float(x), y=float(y), font_size=size, fill=colour, text_anchor=anchor,
                                      font_weight=weight))

    def box(self, x, y, w, h, fill, **attributes):
        x, y, w, h = map(float, (x, y, w, h))
        self.parts.append(svg.element("rect", x=x, y=y, width=w, height=h, fill=fill, **attributes))

    def line(self, points, colour, dashed=False, width=1.3):
        dash = {"stroke_dasharray": "6 4"} if dashed else {}
        self.parts.append(svg.element("polyline", points=svg.points(points), fill="none", stroke=colour, stroke_width=width, **dash))


def named(legend, labels):
    for label, value in labels.items():
        legend = legend.replace("{{" + label + "}}", value)
    return legend


def series_of(panel, args, end):
    """(name, [(time, value)]) of each line of a panel."""
    found = []
    for target in panel["targets"]:
        expression = dashboard.filled_in(target["expr"], args.rate)
        answer = dashboard.ask(args.prometheus, "query_range", query=expression, start=end - args.seconds, end=end,
                               step=max(1, args.seconds // 75))
        found += [(named(target["legendFormat"], series["metric"]), [(float(t), float(v)) for t, v in series["values"]])
                  for series in answer["result"]]
    return found


def draw_time(out, left, width, bottom, span):
    for i in range(3):
        out.text(left + width * i / 2, bottom + 12, f"{span * (i / 2 - 1) / 60:.2g} min" if i < 2 else "now", 10, "#777",
                 ("start", "middle", "end")[i])


def draw_lines(out, panel, series, box, span, end):
    x, y, w, h = box
    unit = panel["fieldConfig"]["defaults"]["unit"]
    custom = panel["fieldConfig"]["defaults"]["custom"]
    dashed = [o["matcher"]["options"] for o in panel["fieldConfig"]["overrides"]]
    if custom["stacking"]["mode"] == "normal":
        below, stacked = {}, []
        for name, points in series:
            points = [(t, v + below.get(t, 0)) for t, v in points if not math.isnan(v)]
            below.update(points)
            stacked.append((name, points))
        series = stacked
    top = max((v for _, points in series for _, v in points if not math.isnan(v)), default=0) * 1.08 or 1
    longest = max((len(name) for name, _ in series), default=1)
    columns = max(1, min(3, len(series), int((w - 20) / (6 * longest + 22))))
    rows = min(-(-len(series) // columns), 4)
    left, bottom = x + 58, y + h - 8 - LINE * rows - 14
    width, height = w - 70, bottom - y - 6
    for i in range(4):
        level = bottom - height * i / 3
        out.line([(left, level), (left + width, level)], "#e4e4e4", width=1)
        out.text(left - 5, level + 4, number(top * i / 3, unit), 10, "#777", "end")
    draw_time(out, left, width, bottom, span)
    for i, (name, points) in enumerate(series):
        colour = COLOURS[i % len(COLOURS)]
        places = [(left + width * (1 - (end - t) / span), bottom - height * min(v / top, 1)) for t, v in points
                  if not math.isnan(v)]
        if places:
            out.line(places, colour, any(d in name or name.endswith(d.removeprefix(".*")) for d in dashed))
        if i < rows * columns:
            column, row = i % columns, i // columns
            at = (x + 12 + column * (w - 20) / columns, bottom + 26 + row * LINE)
            out.box(at[0], at[1] - 6, 10, 3, colour)
            out.text(at[0] + 14, at[1], name[: int((w - 20) / columns / 5.6) - 2], 10, "#444")


def draw_heat_map(out, series, box, span, end):
    x, y, w, h = box
    series = sorted(((float(name), dict(points)) for name, points in series), key=lambda s: s[0])
    times = sorted({t for _, points in series for t in points})
    bounds = [bound for bound, _ in series]
    cells = {}
    for i, (_, points) in enumerate(series):
        below = series[i - 1][1] if i else {}
        for t, value in points.items():
            cells[i, t] = max(value - below.get(t, 0), 0) if not math.isnan(value) else 0
    filled = [i for (i, _), value in cells.items() if value > 0] or [0]
    first, last = min(filled), max(filled)
    most = max(cells.values(), default=1) or 1
    left, height = x + 58, (h - 20) / (last - first + 1)
    width = (w - 70) * (times[1] - times[0] if len(times) > 1 else span) / span
    draw_time(out, left, w - 70, y + h - 18, span)
    for (i, t), value in cells.items():
        if first <= i <= last and value > 0:
            out.box(left + (w - 70) * (1 - (end - t) / span) - width, y + (last - i) * height, width, height - 1, "#2b6cb0",
                    fill_opacity=f"{0.08 + 0.92 * value / most:.2f}")
    for i in range(first, last + 1):
        bound = bounds[i]
        out.text(left - 5, y + (last - i) * height + 8, "more" if math.isinf(bound) else f"≤ {number(bound, 's')}", 10,
                 "#777", "end")


def draw_table(out, panel, args, end, box):
    x, y, w, _ = box
    rows = {}
    for target, column in zip(panel["targets"], ("weights", "loaded")):
        for sample in dashboard.ask(args.prometheus, "query", query=dashboard.filled_in(target["expr"], args.rate),
                                    time=end)["result"]:
            labels = sample["metric"]
            row = rows.setdefault((labels["instance"], labels["model"], labels["version"]), {})
            row.update({"precision": labels["precision"]} if "precision" in labels else {})
            row[column] = float(sample["value"][1])
    columns = ("instance", "model", "version", "precision", "weights", "loaded in")
    lines = [columns] + [(*key, row["precision"], number(row["weights"], "bytes"), number(row["loaded"], "s"))
                         for key, row in sorted(rows.items())]
    for i, line in enumerate(lines):
        for j, words in enumerate(line):
            out.text(x + 12 + j * (w - 20) / len(columns), y + 14 + i * 20, words, 11, "#777" if i == 0 else "#333")


def draw_panel(out, panel, args, end):
    place = panel["gridPos"]
    x, y = place["x"] * CELL[0] + 4, place["y"] * CELL[1] + 4 + args.top
    w, h = place["w"] * CELL[0] - 8, place["h"] * CELL[1] - 8
    if panel["type"] == "row":
        return out.text(x + 2, y + h - 4, panel["title"], 14, "#111", weight="bold")
    out.box(x, y, w, h, "#fff", stroke="#d8d8d8")
    out.text(x + 10, y + 17, panel["title"], 12, "#222", weight="bold")
    body = (x, y + 26, w, h - 30)
    if panel["type"] == "table":
        return draw_table(out, panel, args, end, body)
    if panel["type"] == "stat":
        (target,) = panel["targets"]
        result = dashboard.ask(args.prometheus, "query", query=dashboard.filled_in(target["expr"], args.rate), time=end)
        value = float(result["result"][0]["value"][1]) if result["result"] else None
        return out.text(x + w / 2, y + h / 2 + 22, number(value, panel["fieldConfig"]["defaults"]["unit"]), 26, "#1f5f99",
                        "middle")
    series = series_of(panel, args, end)
    if panel["type"] == "heatmap":
        return draw_heat_map(out, series, body, args.seconds, end)
    return draw_lines(out, panel, series, body, args.seconds, end)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prometheus", required=True)
    parser.add_argument("--seconds", type=int, default=300, help="drawn, up to --end")
    parser.add_argument("--end", type=float, default=None, help="seconds since 1970 (default: now)")
    parser.add_argument("--rate", default="10s", help="what $__rate_interval stands for")
    parser.add_argument("--caption", default="", help="a line above it")
    parser.add_argument("--svg", type=pathlib.Path, required=True)
    args = parser.parse_args()
    args.top = 30
    end = args.end if args.end is not None else time.time()
    all_panels = dashboard.load()["panels"]
    out = Drawing()
    width = 24 * CELL[0] + 8
    height = args.top + max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in all_panels) * CELL[1] + 8
    out.box(0, 0, width, height, "#f4f5f6")
    out.text(10, 21, args.caption, 12, "#444")
    for panel in all_panels:
        draw_panel(out, panel, args, end)
    args.svg.write_text(svg.document(width, height, out.parts, font_family="sans-serif"), encoding="utf-8")


if __name__ == "__main__":
    main()
