"""What a run came to, in sentences: only measured numbers, each with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence

from chaoskit.clock import NS
from chaoskit.experiment.threshold import Threshold
from chaoskit.judge.result import ExpectationResult, Interval, Metrics, TrialResult, Verdict
from chaoskit.judge.thresholds import SAFETY, Bounded, holds
from chaoskit.judge.wording import interval, joined, plural, quantity, seconds
from chaoskit.measure.roles import polls
from chaoskit.measure.statistics import claim, exceedance_upper, median
from chaoskit.measure.view import View

__all__ = ["claims", "not_checked", "sentence", "summary", "trial_notes"]

_SUMMARISED: Mapping[str, Callable[[Metrics], Interval | None]] = {
    "client_outage": lambda m: m.client_outage,
    "client_outage_read": lambda m: m.client_outage_read,
    "failover_time": lambda m: m.failover_time,
    "time_to_detect": lambda m: m.time_to_detect,
    "bad_time": lambda m: m.bad_time,
    "goodput_gap": lambda m: m.goodput_gap,
    "max_stall": lambda m: m.max_stall,
    "time_to_steady": lambda m: m.time_to_steady,
    "gray_time": lambda m: m.gray_time,
    "dual_primary": lambda m: m.dual_primary,
    "fencing_latency": lambda m: m.fencing_latency,
}


def summary(measured: Sequence[Metrics]) -> Mapping[str, Interval]:
    """Over valid trials: the median, the lowest low end and the highest high end, of durations.

    A censored trial sorts last: the median is a lower bound if it falls on one.
    """
    found: dict[str, Interval] = {}
    for name, pick in _SUMMARISED.items():
        shown = [i for m in measured if (i := pick(m)) is not None]
        applicable = [i for i in shown if i.applicable and i.value_s is not None]
        if applicable:
            found[name] = _over_trials(applicable)
        elif shown:
            found[name] = Interval(applicable=False, note=shown[0].note)
    for name in dict.fromkeys(p for m in measured for p in m.phases):
        found[f"phases.{name}"] = _over_trials(
            [m.phases[name] for m in measured if name in m.phases]
        )
    return found


def _over_trials(shown: Sequence[Interval]) -> Interval:
    values = [math.inf if i.censored or i.value_s is None else i.value_s for i in shown]
    middle = median(values)
    if math.isinf(middle):
        middle = min(i.value_s or 0.0 for i in shown if i.censored)
    censored = any(i.censored for i in shown)
    highs = [i.high_s for i in shown if i.high_s is not None]
    return Interval(
        value_s=middle,
        low_s=min(i.low_s or 0.0 for i in shown),
        high_s=None if censored or not highs else max(highs),
        censored=censored,
        note=f"{sum(i.censored for i in shown)} of {len(shown)} not over when observation ended"
        if censored
        else None,
    )


def sentence(
    wanted: int,
    trials: Sequence[TrialResult],
    measured: Sequence[Metrics],
    verdict: Verdict,
    judged: Sequence[ExpectationResult],
) -> str:
    """The one sentence under the verdict: the measured numbers, then why, if it did not pass."""
    if not measured:
        return _nothing_valid(wanted, trials)
    parts = [_outage(measured), _dropped(measured), _lost(measured)]
    text = f"{_trials(len(measured))}: {', '.join(p for p in parts if p)}."
    if len(measured) < wanted and verdict is not Verdict.FAIL:
        reason = next((t.invalid_because[0] for t in trials if t.invalid_because), "")
        count = f"Only {len(measured)} of {plural(wanted, 'trial')} asked for were valid"
        return f"{text} {count}{f' ({reason})' if reason else ''}."
    decided = next((e for e in judged if e.verdict is verdict), None)
    if decided is None or verdict is Verdict.PASS:
        return text
    where = f" in trial {decided.trial}" if decided.trial else ""
    what = {Verdict.FAIL: "Missed", Verdict.INCONCLUSIVE: "Undecided"}.get(verdict, "Invalid")
    return f"{text} {what}{where}: {decided.expression} ({decided.observed})."


def _nothing_valid(wanted: int, trials: Sequence[TrialResult]) -> str:
    if not trials:
        return "No trial was finished."
    reason = next((t.invalid_because[0] for t in trials if t.invalid_because), "no reason given")
    proven = next((e for t in trials for e in t.expectations if e.verdict is Verdict.FAIL), None)
    if proven is not None:
        return (
            f"Proven in an otherwise invalid trial {proven.trial}: {proven.expression} was missed "
            f"({proven.observed}); the rest cannot be judged: {reason}."
        )
    return f"None of {plural(len(trials), 'trial')} (of {wanted} asked for) was valid: {reason}."


def _trials(count: int) -> str:
    return "In 1 trial" if count == 1 else f"In {count} trials (medians, extremes)"


def _outage(measured: Sequence[Metrics]) -> str:
    over = summary(measured)
    outage = over["client_outage"]
    if not outage.censored and outage.value_s == 0 and outage.high_s == 0:
        return "clients felt no outage"
    text = f"clients were without service for {interval(outage)}"
    failover = over["failover_time"]
    if failover.applicable and not failover.censored:
        text += f", the first good write came {interval(failover)} after the fault"
    return text


def _dropped(measured: Sequence[Metrics]) -> str:
    counts = [m.dropped_requests.count for m in measured]
    low, high = min(counts), max(counts)
    if not high:
        return "no request was dropped"
    middle = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{middle} requests were dropped{' each' if len(counts) > 1 else ''}"


def _lost(measured: Sequence[Metrics]) -> str:
    counts = [m.lost_writes.count for m in measured]
    if any(c is None for c in counts):
        return "lost writes could not be checked in every trial"
    total = sum(c or 0 for c in counts)
    return f"{plural(total, 'acknowledged write')} lost" if total else "no acknowledged write lost"


# ---------------------------------------------------------------- claims and limits


def claims(thresholds: Sequence[Threshold], trials: Sequence[Sequence[Bounded]]) -> tuple[str, ...]:
    """What so many trials prove about each bound on a duration, and about the clean counts."""
    if not trials:
        return ()
    n, said = len(trials), []
    for index, threshold in enumerate(thresholds):
        seen = [t[index] for t in trials]
        if threshold.metric in SAFETY:
            if threshold.op in ("==", "<=", "<") and all(b.reading.high == 0 for b in seen):
                share = exceedance_upper(0, n) * 100
                what = threshold.metric.replace("_", " ")
                said.append(
                    f"{plural(n, 'trial')} with no {what}: we can only claim that at most "
                    f"{share:.2g} % of failovers have any (95 %)"
                )
            continue
        timed = seen[0].reading.unit == "s" and threshold.op in ("<", "<=")
        if timed and threshold.unit == "s" and threshold.exceedance is None:
            over = sum(holds(threshold.op, b.bound, b.reading) is not Verdict.PASS for b in seen)
            name = threshold.text.split(threshold.op)[0].strip()
            said.append(f"{name}: {claim(over, n, quantity(threshold.value, 's'))}")
    return tuple(dict.fromkeys(said))


def not_checked(
    thresholds: Sequence[Threshold], trials: Sequence[TrialResult], measured: Sequence[Metrics]
) -> tuple[str, ...]:
    """What a reader might think was checked and was not."""
    said: list[str] = []
    judged = {t.metric for t in thresholds}
    if not thresholds:
        said.append("the experiment has no thresholds: nothing was judged but its assumptions")
    if measured and any(m.lost_writes.count for m in measured) and "lost_writes" not in judged:
        said.append("acknowledged writes were lost, and no threshold speaks of them")
    if measured and "lost_writes" not in judged:
        said.append("no threshold on lost_writes: losses are counted, not judged")
    apart = [d.count for m in measured if (d := m.divergent_writes) is not None and d.count]
    if apart and "divergent_writes" not in judged:
        said.append(
            f"data nodes differ in the end, by up to {plural(max(apart), 'write')}, and no "
            "threshold speaks of divergent_writes"
        )
    if any(not m.lost_writes.checked for m in measured):
        said.append("lost writes, where final reads are missing")
    if measured and all(m.time_to_detect is None for m in measured):
        said.append("time to detect: no probe saw another node become primary")
    if trials and any(f.felt_healed_ns is None for t in trials for f in t.faults):
        said.append("that the healed node serves again: no connection to it was seen to work")
    said += _not_read(judged, measured)
    if measured and all(m.time_to_steady is None for m in measured):
        said.append("time to steady: the baseline is too short to compare with")
    if measured and all(m.gray_time is None for m in measured):
        said.append("gray time and flapping: no node was seen to be primary")
    said += ["two primaries at once behind the nodes' backs (no writer is pinned to each node)"]
    return tuple(said)


def _not_read(judged: Collection[str], measured: Sequence[Metrics]) -> list[str]:
    """What reads of registers could have shown and were not asked."""
    said: list[str] = []
    for name in ("stale_reads", "session_violations", "linearizability_violations"):
        found = [s for m in measured if (s := getattr(m, name)) is not None]
        words = name.replace("_", " ")
        if any(s.unknown for s in found):
            said.append(f"{words}: not decided for every register")
        if any(s.count for s in found) and name not in judged:
            said.append(f"there were {words}, and no threshold speaks of them")
        why = next((s.note for s in found if not s.checked), None)
        if why or (measured and not found):
            said.append(f"{words}: {why or 'not measured'}")
    return said


def trial_notes(view: View, metrics: Metrics) -> tuple[str, ...]:
    """Facts about one trial that a reader should know."""
    said: list[str] = []
    for name, track in view.tracks.items():
        lags = track.lag_ns(0, len(track))
        if lags.size:
            said.append(
                f"{name}: {track.stream.rate:g}/s, deadline "
                f"{seconds(track.stream.deadline_ns / NS)}, timeout "
                f"{seconds(track.stream.timeout_ns / NS)}, generator at most "
                f"{seconds(int(lags.max()) / NS)} late"
            )
    asked = polls(view.history)
    silent = [n for n, seen in asked.items() if all(p.value is None for p in seen)]
    if silent:
        said.append(f"{joined(silent)} never answered a role probe")
    if not asked:
        said.append("roles were not probed")
    for fault in view.history.faults:
        if fault.must_bite and fault.healed_ns is not None and fault.felt_healed_ns is None:
            said.append(f"after heal no connection to {joined(fault.nodes)} was seen to work")
        if fault.problem and fault.verified_ns is not None:
            said.append(fault.problem)
    if metrics.client_outage.note:
        said.append(f"client_outage: {metrics.client_outage.note}")
    found = metrics.metastable
    if found is not None and found.verdict != "none":
        said.append(f"metastable: {found.verdict}{f' ({found.note})' if found.note else ''}")
    reading = view.history.notes.get("reading", [])
    said += [str(text) for text in reading] if isinstance(reading, list) else []
    return tuple(said)
