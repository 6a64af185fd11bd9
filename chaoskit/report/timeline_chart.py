"""Geometry of one trial's timeline: lanes, requests by outcome, latency, on one time axis.

Down-sampling adds counts up and keeps the least and the most of a latency, so that a spike of
one bin and a single failed request are still there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from chaoskit.measure.timeline import Band, Timeline
from chaoskit.report.format import clean, short
from chaoskit.report.lanes import Lane, build_lanes
from chaoskit.report.scale import Axis, Log, Range, log_range, log_ticks, nice_ceiling, place
from chaoskit.report.scale import time_axis as make_axis

__all__ = [
    "BAD",
    "Bars",
    "Chart",
    "Column",
    "Line",
    "Lines",
    "Mark",
    "Shade",
    "build_chart",
    "columns",
    "shades",
    "title_of_axis",
]

BAD = ("ok_late", "fail_definite", "ambiguous", "not_sent")
"""Outcomes that are not good, in the order in which they are stacked above the good ones."""
_BAR_HEIGHT = 64.0
_LATENCY_HEIGHT = 110.0


@dataclass(frozen=True)
class Shade:
    """A stretch shaded behind every panel: a fault in force, or an outage."""

    kind: str
    x: str
    w: str


@dataclass(frozen=True)
class Mark:
    """A rectangle: outcome, percent along, pixels down."""

    kind: str
    x: str
    w: str
    y: str
    h: str


@dataclass(frozen=True)
class Bars:
    """Requests per second of one kind, stacked by outcome."""

    label: str
    top: str
    height: str
    good: str  # an SVG path in a box 1000 wide
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Line:
    """One latency statistic as an SVG path."""

    stat: str
    kind: str
    path: str


@dataclass(frozen=True)
class Lines:
    """Latency over time, logarithmic; paths in a box 1000 wide."""

    height: str
    ticks: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]
    deadlines: tuple[tuple[str, str], ...]  # y, label


@dataclass(frozen=True)
class Column:
    """What one column of the chart stands for; the rows of the table under it."""

    from_s: float
    to_s: float
    counts: Mapping[str, Mapping[str, int]]  # group → outcome → count
    latency: Mapping[str, tuple[float, float] | None]  # stat → least and most


@dataclass(frozen=True)
class Chart:
    """One trial on one time axis; ``lines`` is None where nothing was answered."""

    axis: Axis
    shades: tuple[Shade, ...]
    lanes: tuple[Lane, ...]
    bars: tuple[Bars, ...]
    lines: Lines | None


def title_of_axis(timeline: Timeline) -> str:
    """What 0 is."""
    if timeline.faults:
        return "seconds after the fault was acknowledged"
    return "seconds after the load began"


def end_s(timeline: Timeline) -> float:
    """Where the axis ends."""
    bins = max(
        [len(c) for by in timeline.outcomes.values() for c in by.values()]
        + [len(series) for series in timeline.latency.values()],
        default=0,
    )
    return timeline.start_s + max(1, bins) * timeline.bin_s


def columns(timeline: Timeline, most: int) -> list[Column]:
    """The bins of a timeline, merged until there are at most ``most``."""
    bins = max(1, round((end_s(timeline) - timeline.start_s) / timeline.bin_s))
    group = max(1, math.ceil(bins / most))
    return [
        Column(
            from_s=timeline.start_s + first * timeline.bin_s,
            to_s=timeline.start_s + min(bins, first + group) * timeline.bin_s,
            counts=_counts(timeline, first, first + group),
            latency={
                clean(stat, 20): _least_most(series[first : first + group])
                for stat, series in timeline.latency.items()
            },
        )
        for first in range(0, bins, group)
    ]


def _counts(timeline: Timeline, first: int, last: int) -> dict[str, dict[str, int]]:
    """Streams by what they do: write and write/new are one group."""
    found: dict[str, dict[str, int]] = {}
    for stream, outcomes in timeline.outcomes.items():
        group = found.setdefault(clean(stream.split("/", maxsplit=1)[0], 20), {})
        for outcome, counts in outcomes.items():
            group[outcome] = group.get(outcome, 0) + sum(counts[first:last])
    return found


def _least_most(series: Sequence[float | None]) -> tuple[float, float] | None:
    known = [v for v in series if v is not None]
    return (min(known), max(known)) if known else None


def shades(timeline: Timeline, scale: Range) -> tuple[Shade, ...]:
    """Faults first, outages of writes over them; those of other streams have lanes only."""
    return tuple(
        Shade(kind, scale.x(band.from_s), scale.width(band.from_s, band.to_s, 0.15))
        for kind, bands in (
            ("fault", timeline.faults),
            ("outage", _headline(timeline.outages)),
        )
        for band in bands[:40]
        if band.to_s >= scale.low and band.from_s <= scale.high
    )


def _headline(outages: Sequence[Band]) -> list[Band]:
    """The outages of one stream: writes, else whatever comes first."""
    labels = [band.label for band in outages]
    first = "write" if "write" in labels else labels[0] if labels else ""
    return [band for band in outages if band.label == first]


def _bars(group: str, cols: Sequence[Column], scale: Range) -> Bars:
    """Good requests as one shape, the others as rectangles on top, never thinner than seen."""
    rates = [sum(c.counts[group].values()) / (c.to_s - c.from_s) for c in cols]
    top = nice_ceiling(max(rates, default=0.0))
    good: list[str] = []
    marks: list[Mark] = []
    for column in cols:
        counts, width = column.counts[group], column.to_s - column.from_s
        left, right = 10 * scale.at(column.from_s), 10 * scale.at(column.to_s)
        high = counts.get("ok", 0) / width / top * _BAR_HEIGHT
        if high:
            good.append(f"M{place(left)} {place(_BAR_HEIGHT)}V{place(_BAR_HEIGHT - high)}")
            good.append(f"H{place(right)}V{place(_BAR_HEIGHT)}z")
        y = _BAR_HEIGHT - high
        for outcome in BAD:
            if not counts.get(outcome):
                continue
            tall = max(2.0, counts[outcome] / width / top * _BAR_HEIGHT)
            y = max(0.0, y - tall)
            x, w = scale.x(column.from_s), scale.width(column.from_s, column.to_s, 0.2)
            marks.append(Mark(outcome, x, w, place(y), place(tall)))
    return Bars(f"{group}s" if group in {"write", "read"} else group, f"{top:g}/s",
                place(_BAR_HEIGHT), "".join(good), tuple(marks))  # fmt: skip


def _points(
    cols: Sequence[Column], stat: str, scale: Range, log: Log
) -> Iterator[tuple[float, float] | None]:
    for column in cols:
        found = column.latency.get(stat)
        if found is None:
            yield None
            continue
        x = 10 * scale.at((column.from_s + column.to_s) / 2)
        low, high = found
        yield x, log.y(low)
        if high != low:
            yield x, log.y(high)


def _path(points: Iterator[tuple[float, float] | None]) -> str:
    """A line with a gap wherever nothing was answered; a lone point becomes a dot."""
    parts: list[str] = []
    pen_down = False
    for point in points:
        if point is None:
            pen_down = False
            continue
        x, y = place(point[0]), place(point[1])
        parts.append(f"L{x} {y}" if pen_down else f"M{x} {y}h0")
        pen_down = True
    return "".join(parts)


def _lines(cols: Sequence[Column], scale: Range, deadlines_s: Sequence[float]) -> Lines | None:
    stats = list(cols[0].latency) if cols else []
    values = [v for c in cols for found in c.latency.values() if found for v in found]
    if not values:
        return None
    log = log_range([*values, *deadlines_s], _LATENCY_HEIGHT - 4, 6.0)
    kinds = {"p50": "p50", "p99": "p99", "max": "max"}
    order = sorted(stats, key=lambda s: ("max", "p99", "p50").index(s) if s in kinds else -1)
    return Lines(
        height=place(_LATENCY_HEIGHT),
        ticks=tuple((place(y), label) for y, label in log_ticks(log)),
        lines=tuple(
            Line(stat, kinds.get(stat, "p99"), _path(_points(cols, stat, scale, log)))
            for stat in order[:6]
        ),
        deadlines=tuple(
            (place(log.y(d)), f"deadline {short(d)}") for d in sorted(set(deadlines_s))[:3]
        ),
    )


def build_chart(
    timeline: Timeline,
    most: int,
    deadlines_s: Sequence[float] = (),
    poll_s: float = 0.05,
    *,
    several: bool = False,
) -> Chart:
    """Everything of one trial except the close-up; at most ``most`` columns.

    ``several``: more than one node is meant to be primary at a time.
    """
    scale = Range(timeline.start_s, end_s(timeline))
    cols = columns(timeline, most)
    groups = [g for g in cols[0].counts if any(sum(c.counts[g].values()) for c in cols)]
    return Chart(
        axis=make_axis(scale, title_of_axis(timeline)),
        shades=shades(timeline, scale),
        lanes=build_lanes(timeline, scale, poll_s, several=several),
        bars=tuple(_bars(group, cols, scale) for group in groups[:4]),
        lines=_lines(cols, scale, deadlines_s),
    )
