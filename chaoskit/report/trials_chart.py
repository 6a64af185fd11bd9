"""Geometry of what is compared over trials: the strip plot and the phases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaoskit.judge.result import Interval, RunResult, TrialResult, Verdict
from chaoskit.report.figures import bound_s, metric_of, span_s
from chaoskit.report.format import NONE, clean, interval, seconds, short
from chaoskit.report.scale import Axis, Range, place, time_axis

__all__ = [
    "Bar",
    "Guide",
    "PhaseRow",
    "Phases",
    "Strip",
    "StripDot",
    "band_s",
    "build_phases",
    "build_strip",
]

_NAMED = 12  # up to so many trials each has a row with its name; more are sorted by value
_COLUMNS = 12  # of the table of phases; bars are drawn of all


@dataclass(frozen=True)
class StripDot:
    """One trial: a dot with its bracket; an arrow where it had not ended; hollow if invalid."""

    label: str
    kind: str  # "dot", "arrow", "hollow", "hollow-arrow"
    x: str
    low: str
    width: str
    y: str
    title: str


@dataclass(frozen=True)
class Guide:
    """A threshold: where it stands and on which side its label has room."""

    x: str
    label: str
    anchor: str


@dataclass(frozen=True)
class Strip:
    """All trials of one metric."""

    key: str
    label: str
    axis: Axis
    height: str
    bottom: str
    named: bool
    dots: tuple[StripDot, ...]
    guides: tuple[Guide, ...]
    band: tuple[str, str, str] | None  # x, width, label
    missing: str  # who has no dot, and why


@dataclass(frozen=True)
class Bar:
    """One phase of one trial."""

    kind: int  # which pattern
    x: str
    w: str
    text: str
    title: str
    ends: tuple[str, str] | None  # where it may end, at the earliest and latest; None: known well
    y: str  # of that error bar


@dataclass(frozen=True)
class PhaseRow:
    """One trial's phases, end to end."""

    label: str
    bars: tuple[Bar, ...]
    total: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Phases:
    """The phases of several trials on one axis."""

    names: tuple[str, ...]
    axis: Axis
    rows: tuple[PhaseRow, ...]


def band_s(result: RunResult) -> tuple[float, float] | None:
    """The expected band in seconds, where the stack declares one."""
    band = result.band or {}
    low, high = band.get("low_s"), band.get("high_s")
    if isinstance(low, int | float) and isinstance(high, int | float):
        return float(low), float(high)
    return None


def _missing(result: RunResult, key: str) -> str:
    """A sentence about the trials without a dot; empty if there are none."""
    without = [t for t in result.trials if _span(t, key) is None]
    if not without:
        return ""
    if len(without) == len(result.trials):
        first = without[0].metrics
        if first is not None and not getattr(first, key).applicable:
            return "Not applicable: nothing failed over in any trial."
        return "Not measured in any trial."
    named = ", ".join(str(t.n) for t in without[:20])
    return f"No dot for trial {named}: not measured, or nothing failed over."


def _span(trial: TrialResult, key: str) -> tuple[float, float, float] | None:
    return None if trial.metrics is None else span_s(getattr(trial.metrics, key))


def _valid(trial: TrialResult) -> bool:
    return not trial.invalid_because and trial.verdict is not Verdict.INVALID


def build_strip(result: RunResult, key: str, label: str, most: int) -> Strip | None:
    """The strip of one metric; None where there are no trials at all."""
    if not result.trials:
        return None
    shown = [(t, s) for t in result.trials if (s := _span(t, key)) is not None]
    named = len(shown) <= _NAMED
    if not named:
        shown.sort(key=lambda pair: pair[1][1])
    if len(shown) > most:  # the extremes stay; an even choice of the rest
        keep = {round(i * (len(shown) - 1) / (most - 1)) for i in range(most)}
        shown = [pair for i, pair in enumerate(shown) if i in keep]
    bounds = sorted(
        {
            b
            for e in result.expectations
            if metric_of(e.expression) == key and (b := bound_s(e.expression)) is not None
        }
    )[:4]
    band = band_s(result) if key == "failover_time" else None
    ends = [high for _, (_, _, high) in shown] + bounds + ([band[1]] if band else [])
    scale = Range(0.0, max([*ends, 0.01]) * 1.06)
    row = 20.0 if named else 6.0
    dots = tuple(
        _dot(trial, key, span, scale, 22.0 + row * (i + 0.5))
        for i, (trial, span) in enumerate(shown)
    )
    bottom = 22.0 + row * max(1, len(shown))
    return Strip(
        key=key,
        label=label,
        axis=time_axis(scale, "seconds", 8),
        height=place(bottom + 20),
        bottom=place(bottom),
        named=named,
        dots=dots,
        guides=tuple(_guide(b, scale) for b in bounds),
        band=None
        if band is None
        else (scale.x(band[0]), scale.width(*band, 0.3), f"expected {said_range(band)}"),
        missing=_missing(result, key),
    )


def said_range(band: tuple[float, float]) -> str:
    """A range of seconds that somebody declared: ``0.25 to 0.4 s``."""
    return f"{band[0]:.4g} to {band[1]:.4g} s"


def _guide(bound: float, scale: Range) -> Guide:
    at = scale.at(bound)
    return Guide(place(at), f"threshold {short(bound)}", "end" if at > 50 else "start")


def _dot(
    trial: TrialResult, key: str, span: tuple[float, float, float], scale: Range, y: float
) -> StripDot:
    low, value, high = span
    found = getattr(trial.metrics, key)
    kind = "arrow" if found.censored else "dot"
    return StripDot(
        label=str(trial.n),
        kind=kind if _valid(trial) else "hollow" + ("-arrow" if kind == "arrow" else ""),
        x=scale.x(value),
        low=scale.x(low),
        width=scale.width(low, high, 0.1),
        y=place(y),
        title=f"trial {trial.n}: {interval(found)}" + ("" if _valid(trial) else ", invalid"),
    )


def build_phases(trials: Sequence[TrialResult]) -> Phases | None:
    """One bar a trial, its phases end to end, by how long they took; None where none was observed.

    A trial's phases stand in its own order, where a merged one takes the place of its parts. The
    names of all trials are the columns, and give a phase the same pattern everywhere. Of several
    trials the one in the middle is named the median (the shorter one of two).
    """
    with_phases = [t for t in trials if t.metrics is not None and t.metrics.phases]
    if not with_phases:
        return None
    names: list[str] = []
    for trial in with_phases:
        assert trial.metrics is not None  # noqa: S101 - filtered above; for the type checker
        names += [n for n in trial.metrics.phases if n not in names]
    with_phases.sort(key=lambda t: (_total(t), t.n))
    middle = (len(with_phases) - 1) // 2 if len(with_phases) > 2 else -1
    totals = [_total(t) for t in with_phases]
    scale = Range(0.0, max([*totals, 0.001]) * 1.12)
    return Phases(
        names=tuple(clean(n, 24) for n in names[:_COLUMNS]),
        axis=time_axis(scale, "seconds after the fault was acknowledged", 8),
        rows=tuple(
            _row(t, names, scale, "median" if i == middle else "trial")
            for i, t in enumerate(with_phases)
        ),
    )


def _total(trial: TrialResult) -> float:
    phases = trial.metrics.phases if trial.metrics is not None else {}
    return sum(max(0.0, p.value_s or 0.0) for p in phases.values())


def _row(trial: TrialResult, names: Sequence[str], scale: Range, called: str) -> PhaseRow:
    phases = trial.metrics.phases if trial.metrics is not None else {}
    bars: list[Bar] = []
    at = 0.0
    for name, found in phases.items():
        if found.value_s is None:
            continue
        lasted = max(0.0, found.value_s)
        share = scale.at(at + lasted) - scale.at(at)
        text = clean(name, 24)
        bars.append(
            Bar(
                names.index(name) % 6,
                scale.x(at),
                scale.width(at, at + lasted, 0.2),
                text if share / 100 * 560 > 7 * len(text) + 8 else "",
                f"{text} {interval(found)}",
                _ends(found, at, scale),
                "23" if len(bars) % 2 else "26",  # neighbours' error bars stand apart
            )
        )
        at += lasted
    return PhaseRow(
        label=f"{called} ({trial.n})" if called == "median" else f"{called} {trial.n}",
        bars=tuple(bars),
        total=seconds(at),
        cells=tuple(interval(phases.get(n)) if n in phases else NONE for n in names[:_COLUMNS]),
    )


_SEEN = 0.3  # percent of the width: an error bar that is shorter would be a dot


def _ends(found: Interval, start_s: float, scale: Range) -> tuple[str, str] | None:
    """From where to where the phase that begins at ``start_s`` may end, by its own bracket."""
    if found.low_s is None or found.high_s is None:
        return None
    low, high = start_s + max(0.0, found.low_s), start_s + found.high_s
    if scale.at(high) - scale.at(low) < _SEEN:
        return None
    return scale.x(low), scale.x(high)
