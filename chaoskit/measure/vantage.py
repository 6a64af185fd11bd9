"""Outages as each client had them: the worst client, the median one, any of them, all of them.

Clients that share a front door fail together or one by one, and which of the two it was is what an
average hides: one of eight that stays on a dead connection costs an eighth of the requests and all
of one client's day. Each client's requests are looked at alone, as if there were no others, with
the resolution that its own share of the rate gives.

A client that asked nothing during an outage that others met does not say that it was served. How
long it may have been without service, between two of its answers, belongs to the high ends of what
is said of all clients and of the one in the middle.

*User-uptime* is the share of clients' time in which they were served, which unlike a share of
requests does not weigh clients by how often they ask (Hauer et al., "Meaningful Availability",
NSDI 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from chaoskit.clock import NS
from chaoskit.measure.chance import (
    CHANCE,
    flagged,
    many,
    of_any,
    of_half,
    of_outage,
    of_run,
    run_note,
)
from chaoskit.measure.model import ClientOutages, Interval
from chaoskit.measure.outage import Outage, worst_of
from chaoskit.measure.statistics import median
from chaoskit.measure.track import Bools, Track
from chaoskit.measure.unanswered import Answers, longest_unanswered
from chaoskit.measure.view import View, bracketed, grain_of

__all__ = ["by_client", "client_outages", "common", "joined", "outages_of_client"]

Stretches = list[tuple[int, int]]


def by_client(view: View, track: Track) -> Mapping[str, Track]:
    """The requests of each client of a stream as a track of its own, by the client's name.

    The rate of each is its share of the stream's, as it was asked. A client of whom there is no
    request in the stream is left out.
    """
    names = view.history.clients
    if len(names) <= 2:  # none, and the only one
        return {names[-1]: track} if len(track) else {}
    ids = track.column("client")
    found = {}
    for number in np.flatnonzero(np.bincount(ids)):
        name = names[number] if int(number) < len(names) else f"client {number}"
        if (mine := track.part(ids == number)) is not None:
            found[name] = mine
    return found


def client_outages(view: View, track: Track) -> ClientOutages | None:
    """What each client of a stream felt since the fault; None where nothing was asked.

    Of a client, ``by_client`` has the longest outage, as the headline has of all together.
    ``union`` and ``intersection`` add up over the time since the fault how long any client, and
    how long every client, was in an outage; their brackets are those of the stretches that were
    surely, and that may have been, outages. ``intersection`` and ``median`` reach up to what
    clients may have slept through.
    """
    clients = by_client(view, track)
    if not clients:
        return None
    outages = {name: outages_of_client(view, piece) for name, piece in clients.items()}
    alone = {name: _alone(view, track, clients[name], found) for name, found in outages.items()}
    longest = {n: _longest(view, found, clients[n], alone[n]) for n, found in outages.items()}
    worst = max(longest, key=lambda name: _rank(longest[name]))
    every = list(outages.values())
    met = joined([o.may for o in each] for each in every)
    slept = _slept(view, clients, outages, met)
    shared = _unanswered_by_all(view, track, clients, met)
    may_be = _chances(view, clients, outages, alone, worst)
    return ClientOutages(
        clients=len(clients),
        worst=flagged(view, longest[worst], may_be[0]),
        worst_client=worst if _rank(longest[worst]) > (0.0, 0.0) else None,
        median=flagged(view, _median(longest, slept, clients), may_be[1]),
        union=flagged(view, _any(every, clients), 0.0 if many(view, track) else may_be[0]),
        intersection=flagged(view, _all(every, met, shared, track), may_be[2]),
        user_uptime=_uptime(view, clients.values()),
        by_client=longest,
        due={name: len(_since(view, piece)) for name, piece in clients.items()},
        bad={name: int(np.count_nonzero(_since(view, p))) for name, p in clients.items()},
    )


def outages_of_client(view: View, piece: Track) -> tuple[Outage, ...]:
    """A client's outages since the fault, of each shard where there are any."""
    return tuple(o for part in view.split(piece) for o in view.outages_of(part))


def _since(view: View, piece: Track) -> Bools:
    """Which requests of a client were bad, from the fault on; where there was none, of all."""
    start = view.commanded_ns if view.fault else view.observed[0]
    low, high = piece.due_between(start, view.observed[1])
    return piece.bad[low:high]


def _longest(view: View, outages: Sequence[Outage], piece: Track, chance: float) -> Interval:
    worst, notes = worst_of(outages), []
    if len(outages) > 1:
        notes.append(f"the longest of {len(outages)}")
    if worst and chance >= CHANCE:
        notes.append(run_note(worst.bad, chance))
    found = bracketed(outages, piece, "; ".join(notes) or None)
    return flagged(view, found, chance)


def _alone(view: View, track: Track, piece: Track, outages: Sequence[Outage]) -> float:
    """How likely a client's longest outage is nothing; 0 if it is part of one of all clients."""
    worst = worst_of(outages)
    if worst is None:
        return 1.0
    of_all = (o for o in view.outages(track) if of_run(view, track, o.bad) < CHANCE)
    if any(o.start_ns < worst.end_ns and worst.start_ns < o.end_ns for o in of_all):
        return 0.0
    return of_outage(view, piece, worst)


def _chances(
    view: View,
    clients: Mapping[str, Track],
    outages: Mapping[str, Sequence[Outage]],
    alone: Mapping[str, float],
    worst: str,
) -> tuple[float, float, float]:
    """How likely the worst client's outage, the median one and one that all had are nothing.

    That all had one is no likelier than that the one had it of whom it is least likely.
    """
    longest = {name: worst_of(found) for name, found in outages.items()}
    spans = {n: o.bad * clients[n].interval_ns if o else 0 for n, o in longest.items()}
    tracks, ordered = list(clients.values()), sorted(spans.values(), reverse=True)
    sure = sum(chance == 0.0 for chance in alone.values())
    middle = ordered[(len(ordered) - 1) // 2]
    return (
        of_any(view, tracks, spans[worst]) if alone[worst] else 0.0,
        0.0 if 2 * sure >= len(tracks) else of_half(view, tracks, middle),
        min(alone.values()),
    )


def _rank(found: Interval) -> tuple[float, float]:
    """One that had not ended is longer than all that had."""
    return (math.inf if found.censored else 0.0), found.value_s or 0.0


def _slept(
    view: View,
    clients: Mapping[str, Track],
    outages: Mapping[str, Sequence[Outage]],
    met: Stretches,
) -> Mapping[str, int]:
    """Of clients without an outage: how long one may have been, ns, while others had one."""
    found = {}
    for name, piece in clients.items():
        if met and not outages[name]:
            parts = [Answers.of(part) for part in view.split(piece)]
            found[name] = max(longest_unanswered([parts], met))
    return found


def _unanswered_by_all(
    view: View, track: Track, clients: Mapping[str, Track], met: Stretches
) -> list[int]:
    """Of each stretch in which a client met an outage: how long one of all may have been, ns."""
    if not met or len(clients) == 1:
        return [0] * len(met)
    if view.shards:
        each = [[Answers.of(part) for part in view.split(piece)] for piece in clients.values()]
    else:  # an answer to any of them contradicts
        each = [[Answers.of(track)]]
    return longest_unanswered(each, met)


def _median(
    longest: Mapping[str, Interval], slept: Mapping[str, int], clients: Mapping[str, Track]
) -> Interval:
    """The median of values, low ends and high ends; of an even number, the mean of the middle two.

    That is a bracket of the median, because a median grows with every single value.
    """
    found = [
        i.model_copy(update={"high_s": slept[name] / NS}) if name in slept else i
        for name, i in longest.items()
    ]
    value, high = (median([pick(i) for i in found]) for pick in (_value, _high))
    censored = math.isinf(value)
    if censored:
        value = median([i.value_s or 0.0 for i in found])
    return Interval(
        value_s=value,
        low_s=median([i.low_s or 0.0 for i in found]),
        high_s=None if math.isinf(high) else high,
        censored=censored,
        note=None if value else _grain(clients),
    )


def _grain(clients: Mapping[str, Track]) -> str:
    """What the client that asks least could not see."""
    return grain_of(min(clients.values(), key=lambda piece: piece.stream.rate))


def _value(found: Interval) -> float:
    return math.inf if found.censored else found.value_s or 0.0


def _high(found: Interval) -> float:
    return math.inf if found.censored or found.high_s is None else found.high_s


# ---------------------------------------------------------------- stretches of time


def joined(parts: Iterable[Stretches]) -> Stretches:
    """Stretches in which at least one of the parts is, in order, apart from each other."""
    found: Stretches = []
    for start, end in sorted(s for part in parts for s in part if s[1] > s[0]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def common(parts: Iterable[Stretches]) -> Stretches:
    """Stretches in which all of the parts are, in order."""
    each = [joined([part]) for part in parts]
    found = each[0] if each else []
    for other in each[1:]:
        pairs = ((max(a[0], b[0]), min(a[1], b[1])) for a in found for b in other)
        found = sorted(s for s in pairs if s[1] > s[0])
    return found


def _length(stretches: Stretches) -> float:
    return sum(end - start for start, end in stretches) / NS


def _any(outages: Sequence[Sequence[Outage]], clients: Mapping[str, Track]) -> Interval:
    """How long, in sum, at least one client was in an outage."""
    found = _together(outages, joined)
    return found if any(outages) else found.model_copy(update={"note": _grain(clients)})


def _all(
    outages: Sequence[Sequence[Outage]], met: Stretches, shared: Sequence[int], track: Track
) -> Interval:
    """How long, in sum, every client was in an outage.

    Of the stretches in which some client ``met`` one, each may hold an outage of all as long as
    what the clients' own have in common, or as nobody was answered: ``shared``.
    """
    found = _together(outages, common)
    if not met:
        return found.model_copy(update={"note": grain_of(track)})
    alike = common([o.may for o in each] for each in outages)
    most = 0.0
    for stretch, unanswered in zip(met, shared, strict=True):
        most += max(_length(common([[stretch], alike])), unanswered / NS)
    if found.high_s is None or most <= found.high_s:
        return found
    note = "one of all may lie between two requests of a client that met none"
    return found.model_copy(update={"high_s": most, "note": note})


def _together(
    outages: Sequence[Sequence[Outage]], how: Callable[[Iterable[Stretches]], Stretches]
) -> Interval:
    """How long, in sum, outages of clients are ``joined`` or ``common``."""
    value = _length(how([[(o.start_ns, o.end_ns) for o in each] for each in outages]))
    low = _length(how([[o.sure for o in each] for each in outages]))
    high = _length(how([[o.may for o in each] for each in outages]))
    last = [any(o.censored for o in each) for each in outages]
    censored = any(last) if how is joined else all(last)
    return Interval(
        value_s=value,
        low_s=min(low, value),
        high_s=None if censored else max(high, value),
        censored=censored,
    )


def _uptime(view: View, pieces: Iterable[Track]) -> Interval:
    """Clients' time in which they were up, of all their time in the whole observation; a ratio."""
    start, end = view.observed
    span = (end - start) / NS
    down = low = high = 0.0
    count = 0
    for piece in pieces:
        count += 1
        found = [o for part in view.split(piece) for o in view.every_outage(part)]
        value = _length(common([[(start, end)], joined([[(o.start_ns, o.end_ns) for o in found]])]))
        down += value
        low += min(value, _length(common([[(start, end)], [o.sure for o in found]])))
        high += max(value, _length(common([[(start, end)], [o.may for o in found]])))
    if not count or not span:
        return Interval(applicable=False, note="nothing was observed")
    return Interval(
        value_s=1 - down / (count * span),
        low_s=1 - high / (count * span),
        high_s=1 - low / (count * span),
    )
