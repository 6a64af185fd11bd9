"""Geometry of the heartbeats: per link, how regular they were and how many were missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaoskit.judge.result import TrialResult
from chaoskit.measure.model import Heartbeats
from chaoskit.report.format import NONE, clean, count, seconds
from chaoskit.report.scale import Axis, Range, time_axis

__all__ = ["BeatRow", "Beats", "build_beats"]

_MOST = 36  # rows; more are in result.json


@dataclass(frozen=True)
class BeatRow:
    """One link in one trial. Places in percent; empty where too few beats were seen to draw."""

    label: str
    at: str  # the median interval
    band: tuple[str, str]  # x, width: from the 5th to the 95th percentile
    longest: str
    aside: str  # what was missed, in words
    bad: bool  # missed before the fault
    title: str
    cells: tuple[str, ...]  # trial, link, seen, median, jitter, longest, missed before, after


@dataclass(frozen=True)
class Beats:
    """All links of several trials on one axis."""

    axis: Axis
    rows: tuple[BeatRow, ...]
    left_out: int


def build_beats(trials: Sequence[TrialResult]) -> Beats | None:
    """A row for each trial and link; None where no node told of heartbeats."""
    found = [
        (trial.n, link, seen)
        for trial in trials
        if trial.metrics is not None
        for link, seen in trial.metrics.heartbeats.items()
    ]
    if not found:
        return None
    shown = found[:_MOST]
    scale = Range(0.0, max([seen.longest_s or 0.0 for _, _, seen in shown] + [0.001]) * 1.06)
    return Beats(
        axis=time_axis(scale, "seconds between two heartbeats, before the fault", 8),
        rows=tuple(_row(n, link, seen, scale, len(trials) > 1) for n, link, seen in shown),
        left_out=len(found) - len(shown),
    )


def _row(n: int, link: str, seen: Heartbeats, scale: Range, several: bool) -> BeatRow:
    label = f"{n}: {clean(link, 60)}" if several else clean(link, 60)
    low, high = seen.p05_s, seen.p95_s
    missed = f"missed {count(seen.missed_before)}, then {count(seen.missed_after)}"
    drawn = seen.interval_s is not None and seen.longest_s is not None
    cells = (
        str(n),
        clean(link, 80),
        count(seen.seen),
        *(NONE if v is None else seconds(v) for v in (seen.interval_s, seen.jitter_s)),
        NONE if seen.longest_s is None else seconds(seen.longest_s),
        count(seen.missed_before),
        count(seen.missed_after),
    )
    return BeatRow(
        label=label,
        at=scale.x(seen.interval_s) if seen.interval_s is not None else "",
        band=("", "")
        if low is None or high is None
        else (scale.x(low), scale.width(low, high, 0.3)),
        longest=scale.x(seen.longest_s) if drawn and seen.longest_s is not None else "",
        aside=missed,
        bad=seen.missed_before > 0,
        title=f"trial {n}, {clean(link, 80)}: {missed}",
        cells=cells,
    )
