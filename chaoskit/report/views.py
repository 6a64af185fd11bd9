"""Which trials are drawn, and the charts of each with the table that says the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chaoskit.judge.result import RunResult, TrialResult, Verdict
from chaoskit.measure.timeline import Timeline
from chaoskit.report.closeup_chart import Closeup, build_closeup
from chaoskit.report.detail import Detail
from chaoskit.report.facts import RunFacts
from chaoskit.report.figures import CLASSES, figure
from chaoskit.report.format import NONE, clean, count, interval, seconds, signed
from chaoskit.report.timeline_chart import Chart, build_chart, columns

__all__ = ["TrialView", "build_views", "choose"]

_TABLE_ROWS = 60
_WORDS = {kind: label for kind, label, _ in CLASSES}


@dataclass(frozen=True)
class TrialView:
    """One trial's charts."""

    n: int
    verdict: Verdict
    why: str  # "worst", "median", "invalid", or nothing where every trial is drawn
    headline: str
    invalid_because: tuple[str, ...]
    notes: tuple[str, ...]
    chart: Chart
    closeup: Closeup | None
    roles: tuple[tuple[str, str, str, str], ...]
    head: tuple[str, ...]
    table: tuple[tuple[str, ...], ...]


def _outage(trial: TrialResult) -> tuple[bool, float]:
    if trial.metrics is None:
        return False, -1.0
    found = trial.metrics.client_outage
    return found.censored, found.value_s or 0.0


def choose(trials: Sequence[TrialResult], most: int) -> dict[int, str]:
    """Trial number → why it is drawn: all of a few; of many the worst, the median, invalid ones.

    In the order in which they are to be read.
    """
    if len(trials) <= most:
        return {t.n: "" for t in trials}
    valid = sorted((t for t in trials if not t.invalid_because), key=_outage)
    invalid = [t for t in trials if t.invalid_because]
    chosen: dict[int, str] = {}
    if valid:
        chosen[valid[-1].n] = "worst"
        chosen.setdefault(valid[(len(valid) - 1) // 2].n, "median")
    for trial in invalid:
        chosen.setdefault(trial.n, "invalid")
    return dict(list(chosen.items())[:most])


def build_views(
    result: RunResult, timelines: Mapping[int, Timeline], facts: RunFacts, detail: Detail
) -> tuple[TrialView, ...]:
    """The chosen trials; those without a timeline are left out."""
    drawable = [t for t in result.trials if t.n in timelines]
    chosen = choose(drawable, detail.timelines)
    by_number = {t.n: t for t in drawable}
    deadlines = tuple(s.deadline_ns / 1e9 for s in facts.streams if s.deadline_ns > 0)
    return tuple(
        _view(
            by_number[n],
            timelines[n],
            why=why,
            deadlines_s=deadlines,
            poll_s=facts.poll_every_s,
            detail=detail,
        )
        for n, why in chosen.items()
    )


def _view(
    trial: TrialResult,
    timeline: Timeline,
    *,
    why: str,
    deadlines_s: Sequence[float],
    poll_s: float,
    detail: Detail,
) -> TrialView:
    head, table = _table(timeline)
    several = trial.metrics is not None and trial.metrics.sharing is not None
    return TrialView(
        n=trial.n,
        verdict=trial.verdict,
        why=why,
        headline=_headline(trial),
        invalid_because=tuple(clean(r) for r in trial.invalid_because[: detail.items]),
        notes=tuple(clean(note, 400) for note in trial.notes[: detail.items]),
        chart=build_chart(timeline, detail.columns, deadlines_s, poll_s, several=several),
        closeup=build_closeup(timeline, detail.good_dots, detail.rare_dots, deadlines_s),
        roles=tuple(
            (
                clean(span.node, 40),
                "no answer" if span.role is None else clean(span.role, 40),
                signed(span.from_s),
                signed(span.to_s),
            )
            for span in sorted(timeline.roles, key=lambda s: (s.node, s.from_s))[: detail.items]
        ),
        head=head,
        table=table,
    )


def _headline(trial: TrialResult) -> str:
    """What a reader gets from the trial without looking at its chart."""
    if trial.metrics is None:
        return "nothing was measured"
    metrics = trial.metrics
    parts = [f"outage {interval(metrics.client_outage)}"]
    if metrics.failover_time.applicable:
        parts.append(f"failover {interval(metrics.failover_time)}")
    parts.append(f"dropped {figure(metrics, 'dropped_requests')}")
    parts.append(f"recovery: {clean(metrics.recovery, 60)}")
    return " · ".join(parts)


def _table(timeline: Timeline) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """The chart again as a table: one row a column of it, merged to a readable number."""
    cols = columns(timeline, _TABLE_ROWS)
    pairs = [
        (group, outcome)
        for group in list(cols[0].counts)[:4]
        for outcome in _WORDS
        if any(c.counts[group].get(outcome) for c in cols)
    ]
    stats = list(cols[0].latency)[:6]
    head = ("from", *(f"{g} {_WORDS[o]}" for g, o in pairs), *(f"{s}" for s in stats))
    return head, tuple(
        (
            signed(c.from_s),
            *(count(c.counts[g].get(o, 0)) for g, o in pairs),
            *(_latency(c.latency.get(s)) for s in stats),
        )
        for c in cols
    )


def _latency(found: tuple[float, float] | None) -> str:
    if found is None:
        return NONE
    low, high = (seconds(v) for v in found)
    return low if low == high else f"{low} to {high}"
