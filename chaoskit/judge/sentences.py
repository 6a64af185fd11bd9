"""What a run came to, in sentences: only measured numbers, each with its uncertainty."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from chaoskit.clock import NS
from chaoskit.experiment.threshold import Threshold
from chaoskit.judge.over_trials import summary
from chaoskit.judge.partly import partly, partly_unjudged
from chaoskit.judge.result import ExpectationResult, Metrics, TrialResult, Verdict
from chaoskit.judge.wording import joined, over_trials, plural, seconds
from chaoskit.measure.statistics import LEAST_FOR_MEDIAN
from chaoskit.measure.view import View

__all__ = ["not_checked", "sentence", "trial_notes"]

_STAYED = {
    "rejected": "an operator rejected the failover",
    "in-place restart": "no other node took over",
}


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
    felt = [_outage(measured), partly(measured), *_stayed(measured), _dropped(measured)]
    proven = [t.metrics for t in trials if t.invalid_because and t.metrics and _loses(t.metrics)]
    parts = [part for part in (*felt, _lost([*measured, *proven])) if part]
    text = f"{_trials(len(measured))}: {', '.join(parts)}."
    if len(measured) < wanted and verdict is not Verdict.FAIL:
        reason = next((t.invalid_because[0] for t in trials if t.invalid_because), "")
        count = f"Only {len(measured)} of {plural(wanted, 'trial')} asked for were valid"
        return f"{text} {count}{f' ({reason})' if reason else ''}."
    decided = next((e for e in judged if e.verdict is verdict), None)
    if decided is None or verdict is Verdict.PASS:
        return text
    where = f" in trial {decided.trial}" if decided.trial else ""
    if any(t.n == decided.trial and t.invalid_because for t in trials):
        where += ", which is invalid otherwise"
    what = {Verdict.FAIL: "Missed", Verdict.INCONCLUSIVE: "Undecided"}.get(verdict, "Invalid")
    return f"{text} {what}{where}: {decided.expression} ({decided.observed})."


def _loses(found: Metrics) -> bool:
    """A loss is proven by what was read, whatever else is wrong with the trial."""
    return bool(found.lost_writes.count)


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
    if count == 1:
        return "In 1 trial"
    spread = "extremes" if count < LEAST_FOR_MEDIAN else "95 % intervals"
    return f"In {count} trials (medians, {spread})"


def _outage(measured: Sequence[Metrics]) -> str:
    over, n = summary(measured), len(measured)
    outage, worst = over["client_outage"], over.get("client_outage_worst")
    if not outage.censored and outage.value_s == 0 and outage.high_s == 0:
        return "clients felt no outage"
    text = f"clients were without service for {over_trials(outage, n)}"
    if worst is not None:
        text += f", the worst of them for {over_trials(worst, n)}"
    failover = over["failover_time"]
    if failover.applicable and not failover.censored:
        text += f", the first good write came {over_trials(failover, n)} after the fault"
        if (waited := over.get("time_to_approval")) is not None:
            text += f", {over_trials(waited, n)} of it until an operator approved"
    return text


def _stayed(measured: Sequence[Metrics]) -> Iterator[str]:
    """In how many trials nobody took over, so that a time to a good write is none of a failover."""
    for kind, said in _STAYED.items():
        if count := sum(m.recovery == kind for m in measured):
            yield f"{said} in {count} of {len(measured)}" if count < len(measured) else said


def _dropped(measured: Sequence[Metrics]) -> str:
    counts = [m.dropped_requests.count for m in measured]
    low, high = min(counts), max(counts)
    if not high:
        return "no request was dropped"
    middle = plural(high, "request") if low == high else f"{low:,} to {high:,} requests"
    were = "was" if low == high == 1 else "were"
    return f"{middle} {were} dropped{' each' if len(counts) > 1 else ''}"


def _lost(measured: Sequence[Metrics]) -> str:
    counts = [m.lost_writes.count for m in measured]
    if any(c is None for c in counts):
        return "lost writes could not be checked in every trial"
    total = sum(c or 0 for c in counts)
    maybe = sum(m.lost_writes.unknown for m in measured)
    if maybe and not total:
        return f"up to {plural(maybe, 'acknowledged write')} may be lost: not every node was read"
    lost = f"{plural(total, 'acknowledged write')} lost" if total else "no acknowledged write lost"
    lost += "".join(f", {part}" for part in _when_lost(measured))
    harm = _read_wrong(measured)
    return f"{lost}, {'and' if total else 'but'} {harm}" if harm else lost


def _when_lost(measured: Sequence[Metrics]) -> Iterator[str]:
    """How far back the loss reaches, and how much of it is of another kind."""
    back = [m.rpo_time.value_s for m in measured if m.rpo_time and m.rpo_time.value_s]
    if back:
        yield f"back to {seconds(max(back))} before the fault"
    for found, when in (
        ([m.split_brain_loss for m in measured], "under the fault"),
        ([m.post_heal_loss for m in measured], "after the heal"),
    ):
        count = sum(one.count or 0 for one in found if one)
        if count:
            yield f"{count} of them acknowledged {when}"


def _read_wrong(measured: Sequence[Metrics]) -> str:
    """What the registers tell: an acknowledged value that was lost there is no lost append."""
    shown = {
        "stale read": [m.stale_reads for m in measured],
        "session violation": [m.session_violations for m in measured],
        "linearizability violation": [m.linearizability_violations for m in measured],
    }
    counts = {name: sum(one.count or 0 for one in of if one) for name, of in shown.items()}
    return joined([plural(count, name) for name, count in counts.items() if count])


# ---------------------------------------------------------------- limits


def not_checked(
    thresholds: Sequence[Threshold], trials: Sequence[TrialResult], measured: Sequence[Metrics]
) -> tuple[str, ...]:
    """What a reader might think was checked and was not."""
    said: list[str] = []
    judged = {t.metric for t in thresholds}
    if not thresholds:
        said.append("the experiment has no thresholds: nothing was judged but its assumptions")
    elif not any(t.metric in _SERVICE for t in thresholds):
        said.append("how long clients were without service: no threshold speaks of it")
    if measured and "lost_writes" not in judged:
        some = any(m.lost_writes.count for m in measured)
        lost = "acknowledged writes were lost, and " if some else ""
        said.append(f"{lost}no threshold on lost_writes: losses are counted, not judged")
    said += partly_unjudged(judged, measured)
    said += _apart(judged, measured)
    said += _not_read_back(measured)
    if measured and all(m.time_to_detect is None for m in measured):
        said.append("time to detect: no probe saw another node become primary")
    if trials and any(f.felt_healed_ns is None for t in trials for f in t.faults):
        said.append("that the healed node serves again: no connection to it was seen to work")
    said += _not_read(judged, measured)
    if measured and all(m.time_to_steady is None for m in measured):
        said.append("time to steady: the baseline is too short to compare with")
    if measured and all(m.gray_time is None for m in measured):
        said.append("gray time and flapping: no node was seen to be primary")
    said += _two_primaries(judged, measured)
    return tuple(said)


def _not_read_back(measured: Sequence[Metrics]) -> list[str]:
    """What final reads would have shown that there are not."""
    said = []
    if any(not m.lost_writes.checked for m in measured):
        said.append("lost writes, where final reads are missing")
    if any(m.lost_writes.unknown for m in measured):
        said.append("lost writes: whether a node that did not answer in the end still has them")
    if any(m.duplicate_writes.unread for m in measured):
        said.append("duplicate, unexpected and resurrected writes on nodes that did not answer")
    return said


def _apart(judged: Collection[str], measured: Sequence[Metrics]) -> list[str]:
    """Whether data nodes differ in the end, which nobody asked about."""
    found = [d.count for m in measured if (d := m.divergent_writes) is not None and d.count]
    if not found or "divergent_writes" in judged:
        return []
    most = plural(max(found), "write")
    said = f"data nodes differ in the end, by up to {most}, and no threshold speaks of"
    return [f"{said} divergent_writes"]


_SERVICE = frozenset(
    {
        "client_outage",
        "client_outage_read",
        "client_outage_worst",
        "client_outage_median",
        "client_outage_union",
        "client_outage_intersection",
        "user_uptime",
        "failover_time",
        "failback_outage",
        "bad_time",
        "dropped_requests",
        "error_rate",
        "availability",
        "goodput_gap",
        "max_stall",
        "time_to_steady",
    }
)
"""Metrics that a long outage cannot leave as they are."""


def _two_primaries(judged: Collection[str], measured: Sequence[Metrics]) -> list[str]:
    """Whether two nodes in office at once could have been seen, and would have been judged."""
    asked = [m for m in measured if m.dual_primary is None or m.dual_primary.applicable]
    said = []
    if not measured or any(not set(m.tally) - set(m.client_outage_by_stream) for m in asked):
        said.append(
            "two primaries at once behind the nodes' backs (no writer is pinned to each node)"
        )
    seen = any(m.dual_primary is not None and (m.dual_primary.low_s or 0.0) > 0 for m in asked)
    if seen and "dual_primary" not in judged:
        said.append("two nodes acknowledged writes at once, and no threshold speaks of it")
    return said


def _not_read(judged: Collection[str], measured: Sequence[Metrics]) -> list[str]:
    """What reads of registers could have shown and were not asked."""
    said: list[str] = []
    claimed = any(m.stale_leader_reads and m.stale_leader_reads.count for m in measured)
    if claimed and "stale_leader_reads" not in judged:
        said.append(
            "a node that claimed to be primary answered stale reads past the front door, and no "
            "threshold speaks of them"
        )
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
    asked = view.history.polls
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
    found = metrics.metastable
    looked_for = "metastability" in view.history.notes
    if found is not None and found.verdict != "none" and (looked_for or found.observed_s):
        said.append(f"metastable: {found.verdict}{f' ({found.note})' if found.note else ''}")
    reading = view.history.notes.get("reading", [])
    said += [str(text) for text in reading] if isinstance(reading, list) else []
    return tuple(said)
