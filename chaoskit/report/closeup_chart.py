"""Geometry of the close-up: every request around the fault as a dot of its own.

Colour and shape both tell the outcome, and rare outcomes are drawn last, on top.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from chaoskit.measure.timeline import Dot, Timeline
from chaoskit.report.format import clean, seconds, short, signed
from chaoskit.report.scale import Axis, Range, log_range, log_ticks, place, time_axis
from chaoskit.report.timeline_chart import BAD, Shade, shades, title_of_axis

__all__ = ["Closeup", "Rare", "build_closeup", "known_outcome"]

_HEIGHT = 190.0
_SILENT_Y = 12.0  # requests that were never answered have no latency: a strip of their own
_PAD = 30.0


@dataclass(frozen=True)
class Rare:
    """A request that was not good."""

    kind: str
    x: str
    y: str
    title: str


@dataclass(frozen=True)
class Closeup:
    """Every request around the fault; places as in the timeline."""

    axis: Axis
    shades: tuple[Shade, ...]
    height: str
    silent_y: str
    ticks: tuple[tuple[str, str], ...]
    good: str  # an SVG path of dots, in a box 1000 wide
    rare: tuple[Rare, ...]
    deadlines: tuple[tuple[str, str], ...]
    counts: tuple[tuple[str, int], ...]  # of all dots, drawn or not
    left_out: int
    rows: tuple[tuple[str, str, str, str], ...]  # the table under it: when, stream, outcome, took


def known_outcome(name: str) -> str:
    """An outcome's name as ours; anything else is ambiguous, as in every count."""
    return name if name == "ok" or name in BAD else "ambiguous"


def _thin(dots: Sequence[Dot], most: int) -> list[Dot]:
    """At most ``most``, evenly through time, always with the slowest of each stretch."""
    if len(dots) <= most:
        return list(dots)
    stretch = -(-len(dots) // most)
    return [
        max(dots[i : i + stretch], key=lambda d: -1.0 if d.latency_s is None else d.latency_s)
        for i in range(0, len(dots), stretch)
    ]


def _thin_by_outcome(dots: Sequence[Dot], most: int) -> list[Dot]:
    """At most ``most``; the rarer an outcome, the surer it is drawn whole."""
    by_outcome: dict[str, list[Dot]] = {}
    for dot in dots:
        by_outcome.setdefault(known_outcome(dot.outcome), []).append(dot)
    found: list[Dot] = []
    groups = sorted(by_outcome.values(), key=len)
    for i, group in enumerate(groups):
        found += _thin(group, max(1, (most - len(found)) // (len(groups) - i)))
    return found


def build_closeup(
    timeline: Timeline, most_good: int, most_rare: int, deadlines_s: Sequence[float] = ()
) -> Closeup | None:
    """None where the timeline holds no dots."""
    dots = sorted(timeline.dots, key=lambda d: d.due_s)
    if not dots:
        return None
    good = [d for d in dots if known_outcome(d.outcome) == "ok" and d.latency_s is not None]
    rare = [d for d in dots if known_outcome(d.outcome) != "ok" or d.latency_s is None]
    counts = Counter(known_outcome(d.outcome) for d in dots)
    scale = Range(dots[0].due_s, max(dots[-1].due_s, dots[0].due_s + 0.001))
    log = log_range([*(d.latency_s for d in dots if d.latency_s), *deadlines_s], _HEIGHT - 4, _PAD)
    drawn_good, drawn_rare = _thin(good, most_good), _thin_by_outcome(rare, most_rare)

    def y(dot: Dot) -> float:
        return _SILENT_Y if dot.latency_s is None else log.y(dot.latency_s)

    usual_first = sorted(
        drawn_rare, key=lambda d: -counts[known_outcome(d.outcome)]
    )  # so that the rarest are drawn last
    return Closeup(
        axis=time_axis(scale, title_of_axis(timeline)),
        shades=shades(timeline, scale),
        height=place(_HEIGHT),
        silent_y=place(_SILENT_Y),
        ticks=tuple((place(at), label) for at, label in log_ticks(log)),
        good="".join(f"M{place(10 * scale.at(d.due_s))} {place(y(d))}h0" for d in drawn_good),
        rare=tuple(
            Rare(
                known_outcome(d.outcome),
                scale.x(d.due_s),
                place(y(d)),
                f"{signed(d.due_s)} {clean(d.stream, 20)} {known_outcome(d.outcome)}",
            )
            for d in usual_first
        ),
        deadlines=tuple(
            (place(log.y(d)), f"deadline {short(d)}") for d in sorted(set(deadlines_s))[:3]
        ),
        counts=tuple((name, counts[name]) for name in ("ok", *BAD) if counts[name]),
        left_out=len(dots) - len(drawn_good) - len(drawn_rare),
        rows=tuple(
            (
                signed(d.due_s),
                clean(d.stream, 20),
                known_outcome(d.outcome),
                "no answer" if d.latency_s is None else seconds(d.latency_s),
            )
            for d in sorted(_thin_by_outcome(rare, 60), key=lambda d: d.due_s)
        ),
    )
