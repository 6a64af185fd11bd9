"""What the page says, section by section, before it is HTML: plain frozen records of text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chaoskit.judge.result import RunResult, TrialResult, Verdict
from chaoskit.measure.timeline import Timeline
from chaoskit.report.cards import Card, build_cards
from chaoskit.report.clients import Clients, build_clients
from chaoskit.report.definitions import DEFINITIONS, Definition
from chaoskit.report.detail import Detail
from chaoskit.report.facts import RunFacts
from chaoskit.report.figures import (
    CLASSES,
    by_severity,
    figure,
    figures,
    reasons,
    worst_first,
)
from chaoskit.report.format import NONE, block, clean, over_trials, seconds, short
from chaoskit.report.heartbeats_chart import Beats, build_beats
from chaoskit.report.orders import Order, build_orders
from chaoskit.report.sections import (
    DroppedRow,
    ErrorRow,
    FaultRow,
    SafetyRow,
    build_dropped,
    build_errors,
    build_fact_rows,
    build_faults,
    build_safety,
    build_streams,
)
from chaoskit.report.sharing import Shared, build_sharing
from chaoskit.report.trials_chart import (
    Phases,
    Strip,
    band_s,
    build_phases,
    build_strip,
    said_range,
)
from chaoskit.report.views import TrialView, build_views

__all__ = ["Page", "build_page"]

_TRIAL_COLUMNS = (
    ("client_outage", "outage"),
    ("failover_time", "failover"),
    ("time_to_detect", "detected after"),
    ("dropped_requests", "dropped"),
    ("max_stall", "longest stall"),
    ("lost_writes", "lost"),
    ("duplicate_writes", "duplicate"),
)


@dataclass(frozen=True)
class ThresholdRow:
    """One threshold, judged."""

    expression: str
    observed: str
    margin: str
    verdict: Verdict
    reason: str
    trial: str


@dataclass(frozen=True)
class TrialRow:
    """One trial in the table of trials."""

    n: int
    verdict: Verdict
    cells: tuple[str, ...]
    recovery: str
    drawn: bool


@dataclass(frozen=True)
class Page:
    """Everything that the template prints; each string is cleaned, none is markup."""

    verdict: Verdict
    name: str
    sentence: str
    question: str
    planted: str
    cards: tuple[Card, ...]
    reasons: tuple[tuple[str, str], ...]
    thresholds: tuple[ThresholdRow, ...]
    strips: tuple[Strip, ...]
    trial_head: tuple[str, ...]
    trial_rows: tuple[TrialRow, ...]
    trials_left_out: int
    summary: tuple[tuple[str, str], ...]
    views: tuple[TrialView, ...]
    views_note: str
    dropped: tuple[DroppedRow, ...]
    dropped_trials: tuple[int, ...]
    errors: tuple[ErrorRow, ...]
    errors_left_out: int
    clients: Clients | None
    sharing: Shared | None
    phases: Phases | None
    beats: Beats | None
    safety: tuple[SafetyRow, ...]
    orders: tuple[Order, ...]
    faults: tuple[FaultRow, ...]
    faults_left_out: int
    claims: tuple[str, ...]
    band: tuple[str, str, str] | None
    streams: tuple[tuple[str, ...], ...]
    definitions: tuple[Definition, ...]
    classes: tuple[tuple[str, str, str], ...]
    command: str
    source: str
    not_checked: tuple[str, ...]
    fact_rows: tuple[tuple[str, str], ...]
    long_head: tuple[str, ...]
    long_rows: tuple[tuple[str, ...], ...]
    words: Mapping[str, str]
    facts_line: str
    poll: str
    many: bool
    measured: bool
    nav: tuple[tuple[str, str], ...]


def build_page(
    result: RunResult, timelines: Mapping[int, Timeline], facts: RunFacts, detail: Detail
) -> Page:
    """Say everything once, within the limits of ``detail``."""
    views = build_views(result, timelines, facts, detail)
    dropped, dropped_trials = build_dropped(result)
    errors, errors_left_out = build_errors(result, detail)
    starts = {n: t.start_s for n, t in timelines.items()}
    faults, faults_left_out = build_faults(result, starts, detail)
    trial_rows = _trial_rows(result, {v.n for v in views}, detail)
    long_head, long_rows = _long(result, detail)
    phases, beats = build_phases(_few(result, views)), build_beats(_few(result, views))
    clients, sharing = build_clients(result, detail), build_sharing(result, detail.items)
    many = len(result.trials) > detail.timelines
    missing = _missing(
        invalid=reasons(result, 1),
        timeline=views,
        dropped=any(t.metrics is not None for t in result.trials),
        clients=clients,
        sharing=sharing,
        phases=phases,
        heartbeats=beats,
        faults=faults,
    )
    return Page(
        verdict=result.verdict,
        name=clean(result.experiment, 200),
        sentence=clean(result.sentence),
        question=clean(result.question),
        planted=clean(facts.warning()),
        cards=build_cards(result),
        reasons=tuple((reason, _which(struck)) for reason, struck in reasons(result, detail.items)),
        thresholds=_thresholds(result, detail),
        strips=_strips(result, detail),
        trial_head=tuple(label for _, label in _TRIAL_COLUMNS),
        trial_rows=trial_rows,
        trials_left_out=len(result.trials) - len(trial_rows),
        summary=_summary(result, detail),
        views=views,
        views_note=_views_note(result, timelines, views),
        dropped=dropped,
        dropped_trials=dropped_trials,
        errors=errors,
        errors_left_out=errors_left_out,
        clients=clients,
        sharing=sharing,
        phases=phases,
        beats=beats,
        safety=build_safety(result, detail),
        orders=build_orders(result, detail),
        faults=faults,
        faults_left_out=faults_left_out,
        claims=tuple(clean(c) for c in result.claims[: detail.items]),
        band=_band(result),
        streams=build_streams(facts),
        definitions=DEFINITIONS,
        classes=CLASSES,
        command=clean(facts.command(), 4_000),
        source=block(facts.source, detail.source),
        not_checked=tuple(clean(c) for c in result.not_checked[: detail.items]),
        fact_rows=build_fact_rows(result, facts, detail),
        long_head=long_head,
        long_rows=long_rows,
        words={kind: label for kind, label, _ in CLASSES},
        facts_line=_facts_line(result, facts),
        poll=short(facts.poll_every_s),
        many=many,
        measured="dropped" not in missing,
        nav=_nav(missing, many=many),
    )


def _summary(result: RunResult, detail: Detail) -> tuple[tuple[str, str], ...]:
    return tuple(
        (clean(name, 80), over_trials(found))
        for name, found in list(result.summary.items())[: detail.items]
    )


def _few(result: RunResult, views: tuple[TrialView, ...]) -> list[TrialResult]:
    """All of a few trials, else those that are drawn."""
    drawn = {view.n for view in views}
    return [t for t in result.trials if len(result.trials) <= 12 or t.n in drawn]


def _facts_line(result: RunResult, facts: RunFacts) -> str:
    """What identifies the run, under the sentence."""
    many = len(result.trials)
    invalid = sum(1 for t in result.trials if t.invalid_because)
    parts = [
        f"{many} trial{'' if many == 1 else 's'}" + (f", {invalid} invalid" if invalid else ""),
        f"stack {facts.stack}" if facts.stack else "",
        f"lab {result.lab}",
        f"seed {result.seed}",
        facts.started(),
        f"took {seconds(facts.took_s)}",
        f"chaoskit {facts.version}",
        f"run {facts.run}",
    ]
    return " · ".join(clean(part, 120) for part in parts if part)


_SECTIONS = (
    ("invalid", "Why invalid"),
    ("thresholds", "Thresholds"),
    ("trials", "Trials"),
    ("timeline", "Timeline"),
    ("dropped", "Dropped requests"),
    ("clients", "Clients"),
    ("sharing", "Several nodes"),
    ("phases", "Phases"),
    ("heartbeats", "Heartbeats"),
    ("safety", "Safety"),
    ("faults", "Faults"),
    ("proves", "What this proves"),
    ("method", "Method"),
    ("repeat", "Repeat it"),
    ("facts", "Facts"),
)


def _missing(**sections: object) -> set[str]:
    """Sections that have nothing to show."""
    return {name for name, there in sections.items() if not there}


def _nav(missing: set[str], *, many: bool) -> tuple[tuple[str, str], ...]:
    """Links to the sections that are there, in the order of the page."""
    found = [pair for pair in _SECTIONS if pair[0] not in missing]
    ids = [pair[0] for pair in found]
    if not many and "timeline" in ids:
        a, b = ids.index("trials"), ids.index("timeline")
        found[a], found[b] = found[b], found[a]
    return tuple(found)


def _which(trials: tuple[int, ...]) -> str:
    shown = ", ".join(str(n) for n in trials[:12])
    more = f" and {len(trials) - 12} more" if len(trials) > 12 else ""
    return f"trial{'s' if len(trials) > 1 else ''} {shown}{more}"


def _thresholds(result: RunResult, detail: Detail) -> tuple[ThresholdRow, ...]:
    return tuple(
        ThresholdRow(
            clean(e.expression, 200),
            clean(e.observed, 200),
            clean(e.margin or NONE, 80),
            e.verdict,
            clean(e.reason or "", 400),
            "" if e.trial is None else f"trial {e.trial}",
        )
        for e in worst_first(result.expectations)[: detail.items]
    )


def _strips(result: RunResult, detail: Detail) -> tuple[Strip, ...]:
    found = (
        build_strip(result, key, label, detail.trials)
        for key, label in (("client_outage", "client outage"), ("failover_time", "failover time"))
    )
    return tuple(strip for strip in found if strip is not None)


def _trial_rows(result: RunResult, drawn: set[int], detail: Detail) -> tuple[TrialRow, ...]:
    """In their order; where there is no room for all, those that matter most."""
    trials = list(result.trials)
    if len(trials) > detail.trials:
        trials = sorted(trials, key=lambda t: (by_severity(t.verdict), t.n))[: detail.trials]
    return tuple(
        TrialRow(
            t.n,
            t.verdict,
            tuple(figure(t.metrics, key) for key, _ in _TRIAL_COLUMNS),
            clean(t.metrics.recovery, 60) if t.metrics else NONE,
            t.n in drawn,
        )
        for t in trials
    )


def _views_note(
    result: RunResult, timelines: Mapping[int, Timeline], views: tuple[TrialView, ...]
) -> str:
    left = len(result.trials) - len(views)
    if not result.trials or left == 0:
        return ""
    drawn = ", ".join(f"{v.why or 'trial'} {v.n}" for v in views)
    if not timelines:
        return "No trial has a timeline."
    verb = "stands" if left == 1 else "stand"
    return f"Drawn: {drawn or 'none'}. {left} more {verb} in the tables."


def _band(result: RunResult) -> tuple[str, str, str] | None:
    """The expected band: from and to, the formula, what the judge says of it."""
    found = band_s(result)
    if found is None or result.band is None:
        return None
    return (
        said_range(found),
        clean(str(result.band.get("formula", "")), 400),
        clean(str(result.band.get("sentence") or result.band.get("verdict") or ""), 400),
    )


def _long(result: RunResult, detail: Detail) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Every figure of every trial; the fewer of figures and trials are columns."""
    if not detail.long_table or not result.trials:
        return (), ()
    found = [(t.n, dict(figures(t))) for t in result.trials[: detail.trials]]
    names = list(dict.fromkeys(name for _, one in found for name in one))[:200]
    if len(found) <= 6:
        head = ("figure", *(f"trial {n}" for n, _ in found))
        return head, tuple((name, *(one.get(name, NONE) for _, one in found)) for name in names)
    names = names[: max(8, 6_000 // len(found))]
    return ("trial", *names), tuple(
        (str(n), *(one.get(name, NONE) for name in names)) for n, one in found
    )
