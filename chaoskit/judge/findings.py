"""Findings about the system: what fails a trial without any threshold."""

from __future__ import annotations

from collections.abc import Mapping

from chaoskit.clock import NS
from chaoskit.judge.wording import joined, seconds
from chaoskit.measure.outage import Outage
from chaoskit.measure.takeovers import calm_takeovers
from chaoskit.measure.told import ended_before
from chaoskit.measure.track import Track
from chaoskit.measure.view import View
from chaoskit.measure.writes import asked_in_vain

__all__ = ["FINDINGS", "OWNED", "READABLE", "findings"]

COMES_BACK = "service comes back while it is observed"
CALM = "no failover without a fault"
STANDS = "services run until something is done to them"
READABLE = "every data node can be read when all is healed"
OWNED = "every shard is served again"
FINDINGS = (COMES_BACK, CALM, STANDS, READABLE, OWNED)


def findings(view: View) -> tuple[tuple[str, str], ...]:
    """What fails a trial without any threshold: expectation and what was seen instead."""
    found: list[tuple[str, str]] = []
    never, orphans = [], []
    for name, track in view.served.items():
        out = {n: o for n, p in view.pieces(track).items() if (o := _never_back(view, p))}
        if out and len(out) < len(view.pieces(track)):
            orphans.append(_orphaned(view, name, track, out))
        elif out:
            never.append((name, max(out.values(), key=lambda o: o.end_ns - o.start_ns)))
    if never:
        names = joined([name for name, _ in never])
        longest = max((o.end_ns - o.start_ns) / NS for _, o in never)
        found.append(
            (
                COMES_BACK,
                f"{names}: still out after {seconds(longest)}, when observation ended",
            )
        )
    if orphans:
        found.append((OWNED, "; ".join(orphans)))
    change = _false_failover(view)
    if change is not None:
        found.append((CALM, change))
    if fallen := ended_before(view.history):
        found.append(
            (STANDS, f"{joined(fallen)} had ended by itself before the first step; look at logs/")
        )
    if silent := asked_in_vain(view):
        found.append((READABLE, "; ".join(silent.values())))
    return tuple(found)


def _never_back(view: View, piece: Track) -> Outage | None:
    """An outage that was still on at the end, of a stream or of one shard of it."""
    last = view.outages_of(piece)[-1:]
    return last[0] if last and last[0].censored and _was_there(view, piece) else None


def _orphaned(view: View, name: str, track: Track, out: Mapping[int, Outage]) -> str:
    """Shards that nobody took over while all others were served."""
    others = [piece for n, piece in view.pieces(track).items() if n not in out]
    took = max((o.end_ns - o.start_ns for p in others for o in view.outages_of(p)), default=0)
    longest = max(o.end_ns - o.start_ns for o in out.values()) / NS
    which = f"{'shard' if len(out) == 1 else 'shards'} {joined([str(n) for n in out])}"
    return (
        f"{name}: {which} still out after {seconds(longest)}, when observation ended; "
        f"the others were out for {seconds(took / NS)} at most"
    )


def _was_there(view: View, track: Track) -> bool:
    """Whether anything was served before the fault: what never was there cannot come back."""
    good = track.good
    if view.fault is not None:
        good = good & (track.done < view.commanded_ns)
    return bool(good.any())


def _false_failover(view: View) -> str | None:
    """Another node became primary while no fault was in force."""
    if view.fault is None:
        return None
    found = calm_takeovers(view)
    if not found:
        return None
    first = found[0]
    when = (first.seen_ns - view.origin_ns) / NS
    what = f"shard {first.shard}" if first.shard else "primary"
    text = f"{what} moved from {first.before} to {first.node} at {when:+.2f} s"
    more = f", the first of {len(found)} times" if len(found) > 1 else ""
    return f"{text}{more}, with no fault in force"
