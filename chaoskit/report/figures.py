"""The figures of a trial by name: what each means in one line, and how it is printed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from chaoskit.judge.result import (
    Count,
    ExpectationResult,
    Interval,
    Metastability,
    Metrics,
    RunResult,
    Safety,
    TrialResult,
    Verdict,
)
from chaoskit.measure.model import Heartbeats
from chaoskit.report.definitions import DEFINITIONS
from chaoskit.report.format import (
    NOT_MEASURED,
    clean,
    count,
    interval,
    percent,
    seconds,
    signed,
)
from chaoskit.report.sharing_words import sharing_figures

__all__ = [
    "CLASSES",
    "bound_s",
    "by_severity",
    "figure",
    "figures",
    "metric_of",
    "reasons",
    "span_s",
    "worst_first",
]


CLASSES = (
    ("ok", "ok", "answered within the deadline, counted from when it was due"),
    ("ok_late", "late", "answered, but after the deadline"),
    ("fail_definite", "failed", "provably not executed: refused, redirected away, told no"),
    ("ambiguous", "unknown", "may or may not have been executed: timed out, reset in flight"),
    ("not_sent", "not sent", "the slot was skipped: the generator had no room or was late"),
)
"""Outcome as recorded, the word for it, what it means."""

_WORDS = {kind: word for kind, word, _ in CLASSES}
_SEVERITY = (
    Verdict.ERROR,
    Verdict.FAIL,
    Verdict.INVALID,
    Verdict.ABORTED,
    Verdict.INCONCLUSIVE,
    Verdict.INTERRUPTED,
    Verdict.PASS,
)


def by_severity(verdict: Verdict) -> int:
    """A sort key: what a reader must see first is least."""
    return _SEVERITY.index(verdict)


def worst_first(expectations: Sequence[ExpectationResult]) -> list[ExpectationResult]:
    """Failed first, then what could not be told, then what holds; else as written."""
    return sorted(expectations, key=lambda e: by_severity(e.verdict))


_BOUND = re.compile(
    r"(?P<metric>[a-z_]+)(?:\.\w+)?(?:@\w+)?\s*(?:<=?|>=?|==)\s*"
    r"(?P<value>\d+(?:\.\d+)?)\s*(?P<unit>us|µs|ms|s|m|min|h)\b"
)
_UNIT_S = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def metric_of(expression: str) -> str:
    """The metric that a threshold bounds: ``failover_time`` of ``P(failover_time > 5s) <= 10%``."""
    found = re.match(r"\s*(?:P\()?\s*([a-z_]+)", expression)
    return found.group(1) if found else ""


def bound_s(expression: str) -> float | None:
    """The bound in seconds where the threshold bounds a duration."""
    found = _BOUND.search(expression)
    return float(found["value"]) * _UNIT_S[found["unit"]] if found else None


def span_s(found: Interval | None) -> tuple[float, float, float] | None:
    """Low, value, high in seconds, or None where nothing was measured."""
    if found is None or not found.applicable or found.value_s is None:
        return None
    low = found.value_s if found.low_s is None else found.low_s
    high = found.value_s if found.high_s is None else found.high_s
    return low, found.value_s, high


def _safety(found: Safety) -> str:
    if not found.checked or found.count is None:
        return "not checked"
    return count(found.count) + (
        f" to {count(found.count + found.unknown)}" if found.unknown else ""
    )


def figure(metrics: Metrics | None, key: str) -> str:
    """One figure of one trial, ready to print."""
    if metrics is None:
        return NOT_MEASURED
    found = getattr(metrics, key)
    if found is None or isinstance(found, Interval):
        return interval(found)
    if isinstance(found, Safety):
        return _safety(found)
    if isinstance(found, Count):
        return NOT_MEASURED if found.count is None else count(found.count)
    if key == "dropped_requests":
        dropped = metrics.dropped_requests
        return f"{count(dropped.count)} of {count(dropped.due)} ({percent(dropped.ratio)})"
    return clean(str(found.verdict if isinstance(found, Metastability) else found))


_RATIOS = ("error_rate", "availability", "ratio", "share")


def figures(trial: TrialResult) -> Iterator[tuple[str, str]]:
    """Every figure of a trial, name and print, in a fixed order: the long table is made of it."""
    metrics = trial.metrics
    if metrics is not None:
        for definition in DEFINITIONS:
            yield definition.label, figure(metrics, definition.key)
        for kind, number in metrics.dropped_requests.by_class.items():
            yield f"dropped, {_WORDS.get(kind, clean(kind))}", count(number)
        for stream, outage in metrics.client_outage_by_stream.items():
            yield f"client outage, {clean(stream)}", interval(outage)
        yield from _clients(metrics)
        yield from sharing_figures(metrics.sharing)
        yield from _after(metrics)
        yield "recovery", clean(metrics.recovery)
        for name, phase in metrics.phases.items():
            yield f"phase {clean(name)}", interval(phase)
        for name, value in metrics.values.items():
            yield clean(name), _value(name, value)
        for objective, alert in metrics.would_page.items():
            yield f"would page at {clean(objective)}", clean(alert)
        yield from _tallies(metrics)
        for name, (first, last) in metrics.spans_s.items():
            yield f"from, to: {clean(name)}", f"{signed(first)} to {signed(last)}"
    for step, spent in trial.overhead_s.items():
        yield f"spent: {clean(step)}", seconds(spent)


def _clients(metrics: Metrics) -> Iterator[tuple[str, str]]:
    """Each client's outage, where there are several."""
    for what, clients in (("", metrics.clients), (", reads", metrics.clients_read)):
        if clients is None or clients.clients < 2:
            continue
        yield f"worst client{what}", interval(clients.worst)
        yield f"median client{what}", interval(clients.median)
        yield f"any client out{what}", interval(clients.union)
        yield f"all clients out{what}", interval(clients.intersection)
        yield f"user-uptime{what}", percent(clients.user_uptime.value_s or 0.0)
        for name, outage in clients.by_client.items():
            yield f"client outage, {clean(name)}{what}", interval(outage)


def _after(metrics: Metrics) -> Iterator[tuple[str, str]]:
    """What the way back to steady cost."""
    if metrics.lost_goodput is not None:
        yield "lost goodput, requests", count(round(metrics.lost_goodput))
    if metrics.latency_overshoot_s is not None:
        yield "latency overshoot", seconds(metrics.latency_overshoot_s)
    back = metrics.failback
    if back is not None:
        yield "failback", f"{clean(back.kind)} (to {clean(back.home)})"
        if back.time is not None and back.outage is not None:
            yield "failback time", interval(back.time)
            yield "failback outage", interval(back.outage)
    wrong = metrics.false_suspicions
    if wrong is not None and wrong.count is not None:
        yield "longest mistake of a detector", interval(wrong.longest)
        yield "query accuracy of detectors", percent(getattr(wrong.query_accuracy, "value_s", 1.0))
    for link, seen in metrics.heartbeats.items():
        yield f"heartbeats, {clean(link)}", _beats(seen)


def _beats(seen: Heartbeats) -> str:
    parts = [f"{count(seen.seen)} before the fault"]
    if seen.interval_s is not None:
        parts.append(f"every {seconds(seen.interval_s)}")
    if seen.longest_s is not None and seen.jitter_s is not None:
        parts.append(f"longest {seconds(seen.longest_s)}, jitter {seconds(seen.jitter_s)}")
    parts.append(f"missed {count(seen.missed_before)} before, {count(seen.missed_after)} after")
    return ", ".join(parts)


def _tallies(metrics: Metrics) -> Iterator[tuple[str, str]]:
    """Requests by stream and outcome: of the whole observation, and from commanded to recovery."""
    for where, tally in (("", metrics.tally), (" until recovery", metrics.tally_impact)):
        for stream, outcomes in tally.items():
            for outcome, number in outcomes.items():
                yield f"{clean(stream)} {clean(outcome)}{where}", count(number)


def _value(name: str, value: float | None) -> str:
    """Metrics without a field come as bare floats; their names say what they are."""
    if value is None:
        return NOT_MEASURED
    metric = re.split(r"[.@]", name, maxsplit=1)[0]
    if metric in _RATIOS or metric.endswith(("_rate", "_ratio")):
        return percent(value)
    if metric.startswith(("latency", "time", "lag", "dual_primary")) or metric.endswith(
        ("_time", "_lag", "_s", "_stall", "_gap", "latency")
    ):
        return seconds(value)
    return count(int(value)) if value == int(value) else f"{value:.4g}"


def reasons(result: RunResult, most: int) -> list[tuple[str, tuple[int, ...]]]:
    """Why trials are invalid, each reason once with the trials that it struck."""
    found: dict[str, list[int]] = {}
    for trial in result.trials:
        for reason in trial.invalid_because:
            found.setdefault(reason, []).append(trial.n)
    return [(clean(reason), tuple(struck)) for reason, struck in list(found.items())[:most]]
