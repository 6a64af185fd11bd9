"""Everything measured in one trial, in one go: ``measure_trial``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from chaoskit.clock import NS
from chaoskit.history.history import History
from chaoskit.measure.approval import failover_time_without_approval, time_to_approval
from chaoskit.measure.budget import budget_burned, would_page
from chaoskit.measure.chance import CHANCE, flagged, of_outage, run_note
from chaoskit.measure.divergence import divergent_writes
from chaoskit.measure.failover import failover_time, recovery_kind
from chaoskit.measure.fencing import fencing_latency
from chaoskit.measure.heartbeats import heartbeats
from chaoskit.measure.leader_reads import stale_leader_reads
from chaoskit.measure.linearizability import linearizability
from chaoskit.measure.losses import (
    doubtful_writes,
    post_heal_loss,
    rpo_time,
    split_brain_loss,
)
from chaoskit.measure.metastable import metastability, retry_amplification
from chaoskit.measure.mistakes import false_suspicions
from chaoskit.measure.model import Count, DualPrimary, Interval, Metrics, PartlyOut, Safety, Sharing
from chaoskit.measure.operations import registers_of
from chaoskit.measure.outage import Outage, bad_runs, worst_of
from chaoskit.measure.overlap import dual_primary
from chaoskit.measure.partly import partly_out, said
from chaoskit.measure.phases import phases, time_to_detect
from chaoskit.measure.redundancy import failback, time_to_redundancy
from chaoskit.measure.registers import stale_and_broken
from chaoskit.measure.reigns import reigns_of
from chaoskit.measure.requests import (
    bad_time,
    dropped,
    error_share,
    goodput_gap,
    latencies_at,
    latency_at,
    max_stall,
    until_recovery,
)
from chaoskit.measure.settling import backlog_drain, settle_time
from chaoskit.measure.sharing import impact_second, shares
from chaoskit.measure.steady import STEADY_S, latency_overshoot, lost_goodput, time_to_steady
from chaoskit.measure.takeovers import false_failovers, promotions
from chaoskit.measure.track import Track
from chaoskit.measure.vantage import client_outages
from chaoskit.measure.view import PHASES, View, as_seconds, bracketed
from chaoskit.measure.watching import flapping, gray_time
from chaoskit.measure.writes import (
    duplicate_writes,
    lost,
    lost_writes,
    resurrected_writes,
    unexpected_writes,
)

__all__ = ["measure_trial", "measure_view", "outage_interval", "percentile_s"]

_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}


def measure_trial(
    history: History, steady_s: float = STEADY_S, wanted: Collection[str] = ()
) -> Metrics:
    """Every metric of a trial; pure, and the same for the same history.

    ``steady_s``: how long service must be as good as before the fault, to call it steady.
    ``wanted``: metrics that are judged; what costs much is measured of a long trial only if it is.
    """
    return measure_view(View(history), steady_s, wanted)


def measure_view(view: View, steady_s: float = STEADY_S, wanted: Collection[str] = ()) -> Metrics:
    """The same, of a view that is kept for more."""
    by_stream = {name: outage_interval(view, track) for name, track in view.served.items()}
    reads = view.kept_reads()
    origin, start = view.origin_ns, view.commanded_ns if view.fault else view.observed[0]
    if view.outage is not None:
        start = min(start, view.outage.start_ns)
    gone = lost(view)
    recovered, vanished = doubtful_writes(view, gone)
    (stale, broken, claimed), (dual, fenced) = _of_registers(view), _of_reigns(view)
    orders, impossible = linearizability(view, asked="linearizability_violations" in wanted)
    return Metrics(
        client_outage=by_stream[view.headline.stream.name],
        client_outage_read=by_stream[reads.stream.name] if reads else None,
        client_outage_by_stream=by_stream,
        partly_out=partly_out(view, view.worst_piece),
        clients=client_outages(view, view.headline),
        clients_read=client_outages(view, reads) if reads else None,
        failover_time=failover_time(view),
        time_to_detect=time_to_detect(view),
        time_to_approval=time_to_approval(view),
        failover_time_without_approval=failover_time_without_approval(view),
        bad_time=bad_time(view),
        goodput_gap=goodput_gap(view),
        max_stall=max_stall(view),
        dropped_requests=dropped(view, until_recovery(view)),
        lost_writes=lost_writes(view, gone),
        rpo_time=rpo_time(view, gone),
        split_brain_loss=split_brain_loss(view, gone),
        post_heal_loss=post_heal_loss(view, gone),
        recovered_writes=recovered,
        vanished_writes=vanished,
        duplicate_writes=duplicate_writes(view),
        unexpected_writes=unexpected_writes(view),
        resurrected_writes=resurrected_writes(view),
        divergent_writes=divergent_writes(view),
        stale_reads=stale,
        stale_leader_reads=claimed,
        session_violations=broken,
        linearizability_violations=orders,
        impossible=impossible,
        time_to_steady=time_to_steady(view, steady_s),
        settle_time=settle_time(view, steady_s),
        backlog_drain=backlog_drain(view),
        time_to_redundancy=time_to_redundancy(view),
        failback=failback(view),
        heartbeats=heartbeats(view),
        gray_time=gray_time(view),
        dual_primary=dual,
        fencing_latency=fenced,
        metastable=metastability(view),
        flaps=Count(count=bad_runs(view.headline, start)),
        flapping=flapping(view),
        promotions=promotions(view),
        false_failovers=false_failovers(view),
        false_suspicions=false_suspicions(view),
        sharing=_sharing(view),
        lost_goodput=lost_goodput(view),
        latency_overshoot_s=latency_overshoot(view),
        would_page=would_page(view),
        recovery=recovery_kind(view),
        phases=phases(view),
        values=_values(view),
        tally={n: view.counts(t, view.observed) for n, t in view.tracks.items()},
        tally_impact={n: view.counts(t, until_recovery(view)) for n, t in view.tracks.items()},
        spans_s={
            name: (as_seconds(a - origin), as_seconds(b - origin))
            for name, (a, b) in view.spans.items()
        },
    )


def _of_registers(view: View) -> tuple[Safety, Safety, Safety]:
    """Stale reads, broken sessions, stale reads of a node that claims office.

    What all look at is large, and let go of here.
    """
    found = registers_of(view)
    return *stale_and_broken(view, found), stale_leader_reads(view, found)


def _of_reigns(view: View) -> tuple[DualPrimary | None, Interval | None]:
    """Two in office, and how long the old one went on; what both look at is let go of here."""
    found = {} if view.several_serve else reigns_of(view)
    return dual_primary(view, found), fencing_latency(view, found)


def outage_interval(view: View, track: Track) -> Interval:
    """The longest outage of one stream since the fault, with its bracket; 0 if nothing was out."""
    if view.shards:
        return _worst([_of_piece(view, piece) for piece in view.pieces(track).values()])
    return _of_piece(view, track)


def _sharing(view: View) -> Sharing | None:
    """None where one node serves at a time."""
    if not view.several_serve:
        return None
    pieces = view.pieces(view.headline) if view.shards else {}
    return Sharing(
        shares=shares(view),
        impact=impact_second(view),
        outage_by_shard={str(shard): _of_piece(view, piece) for shard, piece in pieces.items()},
    )


def _worst(found: Sequence[Interval]) -> Interval:
    """The longest of several; one that had not ended is at least as long as all that had."""
    worst = max(found, key=lambda i: (i.censored, i.value_s or 0.0, i.high_s or 0.0))
    if not worst.censored:
        return worst
    ends = {end: max(getattr(i, end) or 0.0 for i in found) for end in ("value_s", "low_s")}
    return worst.model_copy(update=ends)


def _of_piece(view: View, track: Track) -> Interval:
    outages = view.outages_of(track)
    longest = worst_of(outages)
    if longest is None:
        late = _late(view, track) if view.late_runs(track) else None
        return bracketed((), track, late)
    partly = partly_out(view, track)
    chance = of_outage(view, track, longest)
    found = bracketed(outages, track, _outage_note(view, track, longest, chance, partly))
    return flagged(view, found, chance)


def _outage_note(
    view: View, track: Track, outage: Outage, chance: float, partly: PartlyOut | None
) -> str | None:
    outages, notes = view.outages_of(track), []
    if outage.censored:
        notes.append("service had not come back when observation ended")
    if outage.held:
        notes.append("requests were held and served at recovery")
    if len(outages) > 1:
        which = "the last" if outage.censored else "the longest"
        notes.append(f"{which} of {len(outages)}")
    ended = worst_of(o for o in outages if not o.censored)
    if (
        outage.censored
        and ended
        and ended.end_ns - ended.start_ns > outage.end_ns - outage.start_ns
    ):
        notes.append(f"one before it took {as_seconds(ended.end_ns - ended.start_ns):.2f} s")
    if chance >= CHANCE:
        notes.append(run_note(outage.bad, chance))
    if outage.start_ns < view.commanded_ns - track.stream.timeout_ns:
        notes.append("it began before the fault")
    if partly is not None:
        notes.append(said(partly))
    if view.late_runs(track):
        notes.append(_late(view, track))
    return "; ".join(notes) or None


def _late(view: View, track: Track) -> str:
    bad = sum(run.bad for run in view.late_runs(track))
    return f"{bad} bad requests in the last moments of the observation are left out"


def percentile_s(view: View, phase: str, q: float) -> float | None:
    """A percentile of the headline's latency in a phase, nearest rank; None without answers."""
    found = latency_at(view.headline, view.spans[phase], q)
    return None if found is None else found / NS


def _values(view: View) -> Mapping[str, float | None]:
    """Shares and latencies of the headline stream by phase."""
    values: dict[str, float | None] = {}
    for phase in PHASES:
        _, bad = error_share(view, view.spans[phase])
        values[f"error_rate@{phase}"] = bad
        values[f"availability@{phase}"] = 1 - bad
        values[f"retry_amplification@{phase}"] = retry_amplification(view, view.spans[phase])
        found = latencies_at(view.headline, view.spans[phase], tuple(_QUANTILES.values()))
        for name, at_ns in zip(_QUANTILES, found, strict=True):
            values[f"latency.{name}@{phase}"] = None if at_ns is None else at_ns / NS
    for objective, burned in budget_burned(view).items():
        values[f"error_budget_ratio@{objective}"] = burned
    return values
