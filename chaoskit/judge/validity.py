"""Assumptions: may this trial be judged at all? Only the harness and the fault are tested here.

A system that flaps, stays down or never rejoins is a finding about the system (``findings.py``),
never a reason to throw the trial away. Each reason is one sentence: what is wrong, and the knob.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from chaoskit.clock import NS
from chaoskit.history.history import FRONTDOOR, FaultRecord
from chaoskit.history.records import LATE
from chaoskit.judge.wording import joined, plural, seconds
from chaoskit.measure.coherence import contradictions, missing_slots
from chaoskit.measure.roles import PRIMARY
from chaoskit.measure.steady import STEADY_S
from chaoskit.measure.track import Track
from chaoskit.measure.view import View
from chaoskit.measure.writes import asked_in_vain, missing_reads

__all__ = ["Gates", "reasons"]

_PHASES = ("baseline", "fault", "outage", "recovery", "recovered")
"""Together the whole observation."""


@dataclass(frozen=True)
class Gates:
    """What a trial must have to be valid; the profile's numbers, then the harness's own."""

    baseline_s: float = 3.0
    baseline_requests: int = 300
    stable_s: float = 1.0  # roles unchanged before the fault
    baseline_bad_share: float = 0.01  # requests that may miss the deadline before the fault
    lag_p99_s: float = 0.005  # or one interval of the comb, whichever is longer
    lag_max_s: float = 0.05
    tick_lag_s: float = 0.5  # the harness's own heartbeat
    missing_share: float = 0.005  # slots of a comb that may be neither recorded nor not_sent
    unasked_share: float = 0.01  # slots that may be not_sent
    steady_s: float = STEADY_S  # not a gate: as good as before for so long, to call it steady


def reasons(view: View, gates: Gates, timed: Collection[str] = ()) -> tuple[str, ...]:
    """Why the trial is invalid; empty if it is not.

    ``timed``: the phases in which a threshold bounds a latency.
    """
    return (
        *view.history.incidents,
        *_fault_reasons(view),
        *_baseline_reasons(view, gates),
        *_role_reasons(view, gates),
        *_load_reasons(view, gates, timed),
        *_read_reasons(view),
        *contradictions(view),
    )


# ---------------------------------------------------------------- the fault


def _fault_reasons(view: View) -> list[str]:
    if not view.history.faults:
        return ["no fault was injected: the trial ended before its first step"]
    found: list[str] = []
    for fault in view.history.faults:
        found += _one_fault(fault)
        if not view.observed[0] <= fault.commanded_ns < view.observed[1]:
            found.append(
                f"{_named(fault)} was commanded outside the observed stretch; "
                "let the run go on longer (run_for)"
            )
        elif fault.must_bite and (fault.verified_ns or 0) > view.observed[1]:
            took = ((fault.verified_ns or 0) - fault.commanded_ns) / NS
            found.append(
                f"{_named(fault)} was in force only {took:.1f} s after its command, when nobody "
                "observed it any more; let the run go on longer (run_for), or shorten its grace"
            )
    return found


def _named(fault: FaultRecord) -> str:
    who = joined(fault.nodes) if fault.nodes else fault.target
    return f"{fault.fault} of {who}" if who else fault.fault


def _one_fault(fault: FaultRecord) -> list[str]:
    found: list[str] = []
    name, why = _named(fault), f" ({fault.problem})" if fault.problem else ""
    if not fault.commanded_ns <= fault.acknowledged_ns:
        found.append(f"{name} was acknowledged before it was commanded; the marks are damaged")
    if fault.verified_ns is None:
        found.append(
            f"{name} was not verified: reading it back did not show it{why}; look at its target"
        )
    if not fault.must_bite:
        return found
    if fault.bitten_ns is None:
        found.append(
            f"{name} did not bite: no independent connection attempt felt it{why}; "
            "keep it on longer (for) or look at its target"
        )
    elif fault.healed_ns is not None and fault.bitten_ns > fault.healed_ns:
        found.append(f"{name} was felt only after it was healed; keep it on longer (for)")
    if fault.healed_ns is None:
        found.append(f"{name} was not seen to be healed{why}; run: chaoskit heal")
    return found


# ---------------------------------------------------------------- before the fault


def _baseline_reasons(view: View, gates: Gates) -> list[str]:
    start, end = view.spans["baseline"]
    length = (end - start) / NS
    found: list[str] = []
    if length < gates.baseline_s * 0.999:
        found.append(
            f"the baseline lasted {length:.2f} s and needs {gates.baseline_s:g} s; "
            "inject later (at) or choose a smaller profile"
        )
    due = view.counts(view.headline, (start, end))["due"]
    if due < gates.baseline_requests - 2:  # a comb may lose one at either end
        found.append(
            f"the baseline holds {plural(due, 'request')} and needs {gates.baseline_requests}; "
            "raise the rate or inject later"
        )
    dirty = []
    for name, track in view.served.items():
        bad, asked = _bad_before(view, track)
        if bad > max(2, gates.baseline_bad_share * asked):
            dirty.append(f"{bad:,} of {plural(asked, 'request')} of {name}")
    if dirty:
        found.append(
            f"the baseline was not clean: {joined(dirty)} were not good before the fault; "
            "lower the rate, raise the deadline, look at the system"
        )
    return found


def _bad_before(view: View, track: Track) -> tuple[int, int]:
    """Bad and asked requests that were over before the fault was commanded."""
    low, high = track.due_between(*view.spans["baseline"])
    over = track.asked[low:high] & (track.done[low:high] < view.commanded_ns)
    return int(np.count_nonzero(over & track.bad[low:high])), int(np.count_nonzero(over))


def _role_reasons(view: View, gates: Gates) -> list[str]:
    """Roles known for long enough. That they *changed* is a finding, not a reason."""
    asked = view.history.polls
    if view.fault is None or not asked:
        return []
    before = view.commanded_ns - int(gates.stable_s * NS)
    answers = [
        (poll.sent_ns, poll.value)
        for seen in asked.values()
        for poll in seen
        if poll.value is not None and poll.done_ns <= view.commanded_ns
    ]
    since = min((at for at, value in answers if value == PRIMARY), default=None)
    if since is None:
        return ["no node was seen to be primary before the fault; look at chaoskit.probe.role"]
    if since > before:
        return [
            (
                f"roles were known for only {seconds((view.commanded_ns - since) / NS)} before the "
                f"fault and {gates.stable_s:g} s are needed; inject later (at)"
            )
        ]
    return []


# ---------------------------------------------------------------- load and harness


def _load_reasons(view: View, gates: Gates, timed: Collection[str]) -> list[str]:
    found: list[str] = []
    history = view.history
    if not history.alive_at_end:
        found.append("the load died before the end of the observation; look at its last output")
    if history.cut_short:
        found.append(f"{history.cut_short}; copy the run's folder again, or run it again")
    tick = history.tick_lag_ns / NS
    if tick > gates.tick_lag_s:
        found.append(
            f"the harness itself stalled for {seconds(tick)} (at most {gates.tick_lag_s:g} s); "
            "give the machine less to do"
        )
    for name, track in view.tracks.items():
        found += _comb_reasons(view, name, track, gates)
    return found + _lag_reasons(view, gates, timed)


def _comb_reasons(view: View, name: str, track: Track, gates: Gates) -> list[str]:
    if not len(track):
        return [f"no request of {name} was due while the trial was observed; the load never ran"]
    found: list[str] = []
    silent = (view.observed[1] - int(track.due[-1])) / NS
    if silent > max(0.5, 5 / track.stream.rate):
        found.append(f"the comb {name} fell silent {seconds(silent)} before the observation ended")
    missing, longest_ns = missing_slots(track, view.shed)
    if missing > gates.missing_share * (len(track) + missing) or longest_ns > 10**9:
        found.append(
            f"{plural(missing, 'slot')} of {name} left no record (the longest gap is "
            f"{seconds(longest_ns / NS)}); the load was stopped or its record is damaged"
        )
    unasked = int(np.count_nonzero(~track.asked))
    run_s = _longest_unasked(track) / track.stream.rate
    if unasked > gates.unasked_share * len(track) or run_s > max(
        gates.lag_max_s, 2 / track.stream.rate
    ):
        found.append(
            f"{plural(unasked, 'slot')} of {name} were not sent ({seconds(run_s)} in a row): the "
            "generator was late or full; lower the rate or the timeout"
        )
    return found


def _longest_unasked(track: Track) -> int:
    """The longest run of slots that were not sent."""
    asked = np.flatnonzero(np.concatenate(([True], track.asked, [True])))
    return int(np.diff(asked).max()) - 1


def _lag_reasons(view: View, gates: Gates, timed: Collection[str]) -> list[str]:
    """One sentence for all combs: they share one process, and one knob.

    The second of the impact lies in the other phases and is too short to weigh in their p99: it is
    looked at by itself where a latency in it is judged, which a late generator makes longer.
    """
    phases = [*_PHASES, *(["impact"] if "impact" in timed else [])]
    late = [
        (name, how)
        for name, track in view.tracks.items()
        if (how := _lateness(view, track, gates, phases))
    ]
    if not late:
        return []
    name, how = late[0]
    also = joined([other for other, _ in late[1:]])
    too = f" ({also} too)" if also else ""
    return [f"the generator of {name}{too} was {how}; lower the rate or free the machine"]


def _lateness(view: View, track: Track, gates: Gates, phases: Sequence[str]) -> str | None:
    allowed = max(1 / track.stream.rate, gates.lag_p99_s)
    for phase in phases:
        places = track.due_between(*view.spans[phase])
        if skipped := _too_late(view, track, places):
            slots = plural(skipped, "slot")
            return f"so late in the phase {phase} that {slots} had to be left out (at most none)"
        lags = track.lag_ns(*places)
        if not lags.size:
            continue
        worst = int(lags.max()) / NS
        p99 = float(np.quantile(lags, 0.99)) / NS if lags.size >= 100 else 0.0
        if worst > gates.lag_max_s:
            most = seconds(gates.lag_max_s)
            return f"{seconds(worst)} late at worst in the phase {phase} (at most {most})"
        if p99 > allowed:
            return f"{seconds(p99)} late at p99 in the phase {phase} (at most {seconds(allowed)})"
    return None


def _too_late(view: View, track: Track, places: tuple[int, int]) -> int:
    """Slots that the generator came to too late to send them: later than any that it did send."""
    if LATE not in view.history.errors:
        return 0
    low, high = places
    errors = track.column("error")[low:high][~track.asked[low:high]]
    return int(np.count_nonzero(errors == view.history.errors.index(LATE)))


def _read_reasons(view: View) -> list[str]:
    """A place that nobody asked. One that was asked and did not answer is a finding."""
    missing = [p for p in missing_reads(view) if p not in asked_in_vain(view)]
    if not missing:
        return []
    places = [_place(p) for p in missing]
    return [
        (
            f"final reads are missing from {joined(places)}, so lost writes cannot be told; "
            "look at logs/ or label the service chaoskit.data=false"
        )
    ]


def _place(name: str) -> str:
    return "the front door" if name == FRONTDOOR else name
