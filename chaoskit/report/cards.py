"""The big figures at the top: what clients felt, each against its threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chaoskit.judge.result import Interval, RunResult, Safety, TrialResult, Verdict
from chaoskit.report.figures import CLASSES, bound_s, by_severity, metric_of, span_s
from chaoskit.report.format import NONE, clean, count, interval, percent, plus_minus, seconds
from chaoskit.report.scale import Range, place

__all__ = ["Card", "Gauge", "Share", "build_cards"]


@dataclass(frozen=True)
class Gauge:
    """A bar from 0 to the value with its bracket, and a tick for each threshold."""

    value: str
    low: str
    width: str
    bounds: tuple[str, ...]


@dataclass(frozen=True)
class Share:
    """One class of a stacked bar."""

    kind: str
    label: str
    number: str
    x: str
    w: str


@dataclass(frozen=True)
class Card:
    """One big figure. ``verdict`` None: no threshold bounds it."""

    key: str
    label: str
    number: str
    unit: str
    spread: str  # "± 25 ms"
    lines: tuple[str, ...]
    verdict: Verdict | None
    thresholds: tuple[tuple[str, Verdict], ...]
    gauge: Gauge | None = None
    shares: tuple[Share, ...] = ()


def _judged(result: RunResult, key: str) -> tuple[tuple[str, Verdict], ...]:
    found = [
        (clean(e.expression, 80), e.verdict)
        for e in result.expectations
        if metric_of(e.expression) == key
    ]
    return tuple(sorted(found, key=lambda pair: by_severity(pair[1])))[:3]


def valid_trials(result: RunResult) -> list[TrialResult]:
    """The trials whose figures count; where there are none, all that have figures."""
    measured = [t for t in result.trials if t.metrics is not None]
    return [t for t in measured if not t.invalid_because] or measured


def _of(trials: Sequence[TrialResult]) -> str:
    if len(trials) <= 1:
        return ""
    invalid = "" if not trials[0].invalid_because else "invalid "
    return f"worst of {len(trials)} {invalid}trials"


def _time_card(result: RunResult, key: str, label: str) -> Card:
    trials = valid_trials(result)
    judged = _judged(result, key)
    verdict = judged[0][1] if judged else None
    found: list[tuple[TrialResult, Interval]] = [
        (t, got)
        for t in trials
        if isinstance(got := getattr(t.metrics, key), Interval) and span_s(got) is not None
    ]
    if not found:
        none = any(t.metrics is not None and not getattr(t.metrics, key).applicable for t in trials)
        why = "nothing failed over" if none else "not measured"
        return Card(key, label, NONE, "", "", (why,), verdict, judged)
    trial, worst = max(found, key=lambda pair: (pair[1].censored, pair[1].value_s or 0.0))
    number, _, unit = interval(worst).partition(" (")[0].rpartition(" ")
    lines = []
    if worst.censored:
        lines.append("had not ended when observation did")
    elif "(" in interval(worst):
        lines.append(interval(worst).partition("(")[2].rstrip(")") + f" {unit}")
    if len(trials) > 1:
        median = result.summary.get(key)
        said = "" if median is None or median.value_s is None else (
            f"; median {'≥ ' if median.middle_s is None else ''}{seconds(median.value_s)}"
        )  # fmt: skip
        if worst.value_s == 0:
            lines.append(f"in each of {len(trials)} trials")
        else:
            lines.append(f"trial {trial.n}, {_of(trials)}{said}")
    if key == "failover_time" and (stayed := _nobody_took_over([t for t, _ in found])):
        lines.append(stayed)
    return Card(
        key, label, number, unit, plus_minus(worst) or "", tuple(lines), verdict, judged,
        gauge=_gauge(result, key, worst),
    )  # fmt: skip


def _nobody_took_over(trials: Sequence[TrialResult]) -> str:
    """Where the same node served again, the time to a good write is none of a failover."""
    same = sum(1 for t in trials if t.metrics and t.metrics.same_node_served)
    often = "" if same == len(trials) else f" in {same} of {len(trials)} trials"
    return f"no other node took over{often}" if same else ""


def _gauge(result: RunResult, key: str, worst: Interval) -> Gauge | None:
    bounds = [
        b
        for e in result.expectations
        if metric_of(e.expression) == key and (b := bound_s(e.expression)) is not None
    ]
    span = span_s(worst)
    if span is None or not any(bounds):
        return None
    low, value, high = span
    if worst.censored:  # open to the right: the bar has no end
        scale = Range(0.0, max(value, *bounds) * 1.08 or 1.0)
        return Gauge("100", "100", "0", tuple(scale.x(b) for b in sorted(set(bounds))[:3]))
    scale = Range(0.0, max(high, *bounds) * 1.08 or 1.0)
    return Gauge(
        scale.x(value), scale.x(low), scale.width(low, high, 0.5),
        tuple(scale.x(b) for b in sorted(set(bounds))[:3]),
    )  # fmt: skip


def _dropped_card(result: RunResult) -> Card:
    trials = valid_trials(result)
    judged = _judged(result, "dropped_requests")
    verdict = judged[0][1] if judged else None
    if not trials:
        return Card("dropped_requests", "dropped requests", NONE, "", "", ("not measured",),
                    verdict, judged)  # fmt: skip
    trial = max(trials, key=lambda t: t.metrics.dropped_requests.count if t.metrics else -1)
    assert trial.metrics is not None  # noqa: S101 - valid_trials gives only measured ones
    dropped = trial.metrics.dropped_requests
    lines = [f"{percent(dropped.ratio)} of {count(dropped.due)} due"]
    if len(trials) > 1:
        each = f"in each of {len(trials)} trials"
        lines.append(f"trial {trial.n}, {_of(trials)}" if dropped.count else each)
    return Card(
        "dropped_requests", "dropped requests", count(dropped.count), "", "", tuple(lines),
        verdict, judged, shares=_shares(dropped.by_class),
    )  # fmt: skip


def _shares(numbers: Mapping[str, int]) -> tuple[Share, ...]:
    """The classes of the dropped requests as one stacked bar, in a fixed order."""
    total = sum(numbers.get(kind, 0) for kind, _, _ in CLASSES if kind != "ok")
    shares, at = [], 0.0
    for kind, label, _ in CLASSES:
        number = numbers.get(kind, 0)
        if kind == "ok" or not number:
            continue
        width = 100.0 * number / total
        shares.append(Share(kind, label, count(number), place(at), place(width)))
        at += width
    return tuple(shares)


def _safety_card(result: RunResult) -> Card:
    judged = _judged(result, "lost_writes")
    verdict = judged[0][1] if judged else None
    measured = [t.metrics for t in result.trials if t.metrics is not None]
    lost = [m.lost_writes for m in measured if m.lost_writes.checked]
    counts = [s.count for s in lost if s.count is not None]
    if not counts:
        return Card("lost_writes", "lost writes", NONE, "", "", ("not checked",), verdict, judged)
    lines = [f"read back in {len(counts)} of {len(result.trials)} trials"]
    for name, key in (("duplicates", "duplicate_writes"), ("unexpected", "unexpected_writes")):
        others: list[Safety] = [getattr(m, key) for m in measured]
        checked = [s.count for s in others if s.checked and s.count is not None]
        lines.append(f"{name} {count(sum(checked)) if checked else 'not checked'}")
    lines = [lines[0], ", ".join(lines[1:])]
    back = max((span[1] for m in measured if (span := span_s(m.rpo_time))), default=0.0)
    if back:
        lines.insert(0, f"reaching back {seconds(back)} before the fault")
    if maybe := sum(s.unknown for s in lost):
        lines.insert(0, f"{count(maybe)} more may be: not every node was read")
    return Card("lost_writes", "lost writes", count(sum(counts)), "", "", tuple(lines), verdict,
                judged)  # fmt: skip


def build_cards(result: RunResult) -> tuple[Card, ...]:
    """Client outage, failover time, dropped requests, lost writes."""
    return (
        _time_card(result, "client_outage", "client outage"),
        _time_card(result, "failover_time", "failover time"),
        _dropped_card(result),
        _safety_card(result),
    )
