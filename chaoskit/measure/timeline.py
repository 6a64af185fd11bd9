"""What the charts of a report are drawn from, aggregated from a history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from chaoskit.clock import NS
from chaoskit.history.history import History
from chaoskit.history.records import Outcome
from chaoskit.measure.roles import spells
from chaoskit.measure.track import Ints, Track
from chaoskit.measure.vantage import by_client, outages_of_client
from chaoskit.measure.view import View

__all__ = ["Band", "Dot", "RoleSpan", "Timeline", "timeline", "timeline_of"]

_BINS_AT_MOST = 400
_DOTS_AT_MOST = 3000
_CODES = 256  # values that the byte of an outcome can have
_AROUND_NS = NS  # of the close-up, before the fault and after the outage


@dataclass(frozen=True)
class RoleSpan:
    """``role`` None: the node did not answer."""

    node: str
    from_s: float
    to_s: float
    role: str | None


@dataclass(frozen=True)
class Band:
    """A stretch of time to shade: a fault in force, or an outage."""

    label: str
    from_s: float
    to_s: float


@dataclass(frozen=True)
class Dot:
    """One request of the close-up around the fault."""

    due_s: float
    latency_s: float | None  # from due; None where nothing came back
    outcome: str
    stream: str


@dataclass(frozen=True)
class Timeline:
    """Seconds on one axis; 0 is when the first fault was acknowledged (load start if none).

    ``outcomes[stream][outcome][i]`` counts requests due in bin i; outcome names are those of
    ``Outcome`` in lower case. ``latency[stat][i]`` in seconds, of answered requests, from due.
    """

    start_s: float
    bin_s: float
    outcomes: Mapping[str, Mapping[str, tuple[int, ...]]]
    latency: Mapping[str, tuple[float | None, ...]]
    roles: tuple[RoleSpan, ...]
    faults: tuple[Band, ...]
    outages: tuple[Band, ...]
    dots: tuple[Dot, ...]
    clients: Mapping[str, tuple[Band, ...]] = field(default_factory=dict)
    """Outages of each client of the headline stream, where there are several clients."""


def timeline(history: History) -> Timeline:
    """Everything that the charts of a trial need, however long it was: at most 400 bins."""
    return timeline_of(View(history))


def timeline_of(view: View) -> Timeline:
    """The same, of a view that was made already."""
    start, end = view.observed
    width = _width_ns(end - start)
    edges = np.arange(start, max(end, start + 1) + width, width, dtype=np.int64)
    named = [(name, o) for name in view.served for o in view.outages(view.served[name])]
    shown = [(name, o) for name, o in named if o == view.longest(view.served[name])]
    return Timeline(
        start_s=_axis(view, start),
        bin_s=width / NS,
        outcomes={name: _outcomes(track, edges) for name, track in view.served.items()},
        latency=_latency(view.headline, edges),
        roles=tuple(
            RoleSpan(s.node, _axis(view, max(s.from_ns, start)), _axis(view, s.to_ns), s.role)
            for s in spells(view.history)
            if s.to_ns > start
        ),
        faults=tuple(
            Band(
                f"{f.fault} {', '.join(f.nodes)}".strip(),
                _axis(view, f.commanded_ns),
                _axis(view, end if f.healed_ns is None else f.healed_ns),
            )
            for f in view.history.faults
        ),
        outages=tuple(Band(n, _axis(view, o.start_ns), _axis(view, o.end_ns)) for n, o in shown),
        dots=_dots(view),
        clients=_clients(view),
    )


def _clients(view: View) -> Mapping[str, tuple[Band, ...]]:
    clients = by_client(view, view.headline)
    if len(clients) < 2:
        return {}
    return {
        name: tuple(
            Band(name, _axis(view, o.start_ns), _axis(view, o.end_ns))
            for o in outages_of_client(view, piece)
        )
        for name, piece in clients.items()
    }


def _axis(view: View, at_ns: int) -> float:
    return (int(at_ns) - view.origin_ns) / NS


def _width_ns(length_ns: int) -> int:
    """The smallest round bin, from 100 ms, of which there are few enough."""
    for tenths in (1, 2, 5, 10, 20, 50, 100, 200, 300, 600, 1200, 3000, 6000):
        if length_ns <= _BINS_AT_MOST * tenths * NS // 10:
            return tenths * NS // 10
    return max(1, -(-length_ns // _BINS_AT_MOST))


def _outcomes(track: Track, edges: Ints) -> Mapping[str, tuple[int, ...]]:
    """Requests due in each bin, by outcome."""
    bins = edges.size - 1
    cell = _bin(track.due, edges) * _CODES + track.outcome
    table = np.bincount(cell, minlength=bins * _CODES).reshape(-1, _CODES)[:bins]
    return {o.name.lower(): tuple(table[:, o].tolist()) for o in Outcome}


def _latency(track: Track, edges: Ints) -> Mapping[str, tuple[float | None, ...]]:
    """p50, p99 and max of each bin, never between two requests; None where nothing was answered."""
    due = track.due[track.answered]
    took = pd.Series((track.done[track.answered] - due) / NS)
    by_bin = took.groupby(_bin(due, edges))
    every = range(edges.size - 1)
    found: dict[str, tuple[float | None, ...]] = {}
    for name, q in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        values = by_bin.quantile(q, interpolation="higher").reindex(every)
        found[name] = tuple(None if pd.isna(value) else float(value) for value in values)
    return found


def _bin(due: Ints, edges: Ints) -> Ints:
    """Which bin each request was due in."""
    return np.searchsorted(edges, due, side="right") - 1


def _dots(view: View) -> tuple[Dot, ...]:
    """Single requests around the fault; where there are too many, good ones are thinned out."""
    if view.fault is None:
        return ()
    end = view.outage.end_ns if view.outage else view.commanded_ns
    span = (view.commanded_ns - _AROUND_NS, end + _AROUND_NS)
    share = max(1, _DOTS_AT_MOST // max(1, len(view.served)))
    dots: list[Dot] = []
    for name, track in view.served.items():
        low, high = track.due_between(*span)
        chosen = np.arange(low, high)
        other, good = chosen[~track.good[low:high]], chosen[track.good[low:high]]
        other = other[:: max(1, -(-other.size // share))]
        good = good[:: max(1, -(-good.size // max(1, share - other.size)))]
        dots += [
            Dot(
                due_s=_axis(view, track.due[k]),
                latency_s=int(track.done[k] - track.due[k]) / NS if track.answered[k] else None,
                outcome=_NAMES.get(int(track.outcome[k]), "unknown"),
                stream=name,
            )
            for k in np.sort(np.concatenate([other, good])).tolist()
        ]
    return tuple(dots)


_NAMES = {int(outcome): outcome.name.lower() for outcome in Outcome}
