"""How every measurement looks at a history: streams sorted by due time, phases, outages.

Requests are sorted once; everything after that is linear or logarithmic in their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from chaoskit.clock import NS
from chaoskit.history.history import FaultRecord, History, Stream
from chaoskit.history.records import Op, Outcome
from chaoskit.measure.answered import answered_by_failover
from chaoskit.measure.model import Interval
from chaoskit.measure.office import holders, in_office
from chaoskit.measure.outage import Outage, find_outages, worst_of
from chaoskit.measure.shards import by_shard, whole_fact
from chaoskit.measure.shed import Shed, shed_of
from chaoskit.measure.table import Column, Table, each_once, joined, sorted_once
from chaoskit.measure.track import Bools, Track

__all__ = ["PHASES", "Span", "View", "as_seconds", "bracketed", "grain_of"]

PHASES = ("baseline", "fault", "impact", "outage", "recovery", "recovered", "run")

Span = tuple[int, int]
"""From (inside) to (outside), ns; empty where both are the same."""


@dataclass(frozen=True)
class View:
    """A history, prepared. Everything is computed at first use and kept."""

    history: History

    @cached_property
    def fault(self) -> FaultRecord | None:
        """The first fault that is supposed to bite: where the time of a trial is 0.

        The first of all where none is, as with an operator who was only on duty; None where no
        fault was recorded.
        """
        return min(self.biting, key=lambda f: f.commanded_ns, default=None)

    @cached_property
    def biting(self) -> tuple[FaultRecord, ...]:
        """The faults that are supposed to bite; all of them where none is.

        An operator who is on duty beside a kill, until the load stops, is no failure going on.
        """
        return tuple(f for f in self.history.faults if f.must_bite) or self.history.faults

    @cached_property
    def observed(self) -> Span:
        """After warm-up, until the combs were told to stop."""
        window = self.history.window
        return window.baseline_start_ns, max(window.observe_end_ns, window.baseline_start_ns)

    @cached_property
    def shed(self) -> Shed | None:
        """When the load was dropped on purpose; None if it never was."""
        return shed_of(self.history)

    @cached_property
    def commanded_ns(self) -> int:
        """When the first fault was commanded; the end of observation if there was none."""
        return self.fault.commanded_ns if self.fault else self.observed[1]

    @cached_property
    def origin_ns(self) -> int:
        """0 of every axis: the first fault acknowledged, else the start of the baseline."""
        return self.fault.acknowledged_ns if self.fault else self.observed[0]

    @cached_property
    def tracks(self) -> Mapping[str, Track]:
        """Each stream's requests that were due while the trial was observed."""
        table = self.table
        return {
            s.name: Track(s, table.stream(index).due_between(*self.observed))
            for index, s in enumerate(self.history.streams)
        }

    @cached_property
    def served(self) -> Mapping[str, Track]:
        """The streams that are clients: all but the pinned ones."""
        return {name: t for name, t in self.tracks.items() if not t.stream.pinned}

    @cached_property
    def table(self) -> Table:
        """Every request of the trial, warm-up included, by column."""
        return Table(self.history.requests, len(self.history.streams))

    @cached_property
    def pinned_rows(self) -> Bools:
        """Which rows of the table were asked of one node, past the front door."""
        rows: Bools = np.isin(self.table.column("stream"), self.history.pinned)
        return rows

    @cached_property
    def headline(self) -> Track:
        """The write comb on kept connections; the read comb where nothing is written."""

        def rank(stream: Stream) -> tuple[bool, bool, bool]:
            return bool(stream.pinned), stream.op != "write", stream.connections != "kept"

        return self.tracks[min(self.history.streams, key=rank).name]

    def kept_reads(self) -> Track | None:
        """The read comb on kept connections, where it is not the headline itself."""
        for track in self.served.values():
            if track.stream.op == "read" and track.stream.connections == "kept":
                return None if track is self.headline else track
        return None

    # ------------------------------------------------------------ outages

    @cached_property
    def all_outages(self) -> Mapping[str, tuple[Outage, ...]]:
        """Every outage of every stream, before the fault too; of every shard where there are any.

        Shards are out each on its own: requests for the others are no sign that one is back.
        """
        found: dict[str, tuple[Outage, ...]] = {}
        for name, track in self.served.items():
            each = [find_outages(piece, self.observed[1]) for piece in self.pieces(track).values()]
            found[name] = tuple(sorted(chain.from_iterable(each), key=lambda o: o.end_ns))
        return found

    # ------------------------------------------------------------ several at once

    @cached_property
    def shards(self) -> int:
        """Parts of the workload that have owners of their own, as declared; 0: none."""
        return whole_fact(self.history, "shards")

    @cached_property
    def several_serve(self) -> bool:
        """More than one node is meant to acknowledge at once, as declared."""
        return self.shards > 0 or whole_fact(self.history, "spread") > 0

    def pieces(self, track: Track) -> Mapping[int, Track]:
        """The stream's requests by shard, from 1; all of them under 0 where there are no shards."""
        if not self.shards:
            return {0: track}
        name = track.stream.name
        if name not in self._pieces:
            self._pieces[name] = by_shard(track, self.shards)
        return self._pieces[name]

    @cached_property
    def _pieces(self) -> dict[str, Mapping[int, Track]]:
        return {}

    @cached_property
    def worst_piece(self) -> Track:
        """The headline's requests, of the shard whose failover took longest, if there are any."""
        outage = self.failover_outage
        for piece in self.pieces(self.headline).values() if outage and self.shards else ():
            if outage in find_outages(piece, self.observed[1]):
                return piece
        return self.headline

    def outages(self, track: Track) -> tuple[Outage, ...]:
        """Outages of a stream that had not ended when the fault was commanded.

        Without a fault, all of them. A bad run that begins so late that its end could not have
        been seen is left out (``late_runs`` has it): it cannot be told from a single slow answer.
        """
        return self._counting(track, self.all_outages[track.stream.name])

    def outages_of(self, piece: Track) -> tuple[Outage, ...]:
        """The same of one shard's, or one client's, requests."""
        return self._counting(piece, self.every_outage(piece))

    def every_outage(self, piece: Track) -> tuple[Outage, ...]:
        """Each outage of some of a stream's requests, before the fault too."""
        name = piece.stream.name
        if not self.shards and piece is self.tracks[name] and name in self.served:
            return self.all_outages[name]
        return find_outages(piece, self.observed[1])

    def split(self, piece: Track) -> Iterable[Track]:
        """Some of a stream's requests by shard; as they are where there are no shards."""
        return by_shard(piece, self.shards).values() if self.shards else (piece,)

    def _counting(self, track: Track, found: tuple[Outage, ...]) -> tuple[Outage, ...]:
        return tuple(
            o
            for o in found
            if (self.fault is None or o.end_ns > self.commanded_ns) and not self._too_late(track, o)
        )

    def late_runs(self, track: Track) -> tuple[Outage, ...]:
        """Bad runs in the last moments of the observation."""
        return tuple(o for o in self.all_outages[track.stream.name] if self._too_late(track, o))

    def _too_late(self, track: Track, outage: Outage) -> bool:
        stream = track.stream
        rate = min(self.tracks[stream.name].stream.rate / max(1, self.shards), stream.rate)
        needed = stream.timeout_ns + stream.deadline_ns + int(4 * NS / rate)
        return outage.censored and outage.start_ns > self.observed[1] - needed

    def longest(self, track: Track) -> Outage | None:
        """The longest outage of a stream since the fault; one that had not ended is the longest."""
        return worst_of(self.outages(track))

    @cached_property
    def outage(self) -> Outage | None:
        """The longest outage of the headline stream; None if nothing was out."""
        return self.longest(self.headline)

    @cached_property
    def failover_outage(self) -> Outage | None:
        """The outage that a failover answered, see ``answered_by_failover``."""
        return answered_by_failover(
            self.outages(self.headline),
            self.headline,
            self.history.faults,
            one_serves=not self.several_serve,
            who=self.holders,
        )

    @cached_property
    def recovered_ns(self) -> int:
        """The headline outage's end, of the last shard where there are any; else observation's."""
        if self.outage is None:
            return self.observed[1]
        found = self.outages(self.headline) if self.shards else (self.outage,)
        return min(max(o.end_ns for o in found), self.observed[1])

    # ------------------------------------------------------------ what was written

    @cached_property
    def appended(self) -> Column:
        """Tokens of every append, warm-up included, sorted."""
        return self._tokens(asked=False)

    @cached_property
    def tried(self) -> Column:
        """Tokens of the appends that were really asked, sorted."""
        return self._tokens(asked=True)

    def _tokens(self, *, asked: bool) -> Column:
        table = self.table
        tokens = table.column("token")
        chosen = (table.column("op") == Op.APPEND) & (tokens != 0)
        if asked:
            chosen &= table.column("outcome") != Outcome.NOT_SENT
        return sorted_once(tokens[chosen])

    @cached_property
    def held(self) -> Column:
        """Tokens in any final read, sorted, each once."""
        held = np.zeros(0, dtype=np.uint64)
        for final in self.history.finals.values():
            tokens = final.tokens if bool(final.counts.all()) else final.tokens[final.counts > 0]
            held = joined(held, each_once(tokens))
        return held

    # ------------------------------------------------------------ phases

    @cached_property
    def spans(self) -> Mapping[str, Span]:
        """The phases that a threshold may name; from inside, to outside.

        ``fault``: from the first command until the last heal is commanded, so that what the heal
        itself costs (a container's start takes a machine's breath away) is not the fault's.
        ``impact``: the second from that command on; empty if it was not observed to its end.
        ``outage``: the headline's. ``recovery``: from the outage's end (the fault's command if
        there was none) until every fault is healed too; ``recovered``: after that.
        """
        start, end = self.observed
        commanded = min(max(self.commanded_ns, start), end)
        if self.fault is None:
            nothing = (end, end)
            return {p: (start, end) if p in ("baseline", "run") else nothing for p in PHASES}
        healing = max(healing_ns(f, end) for f in self.biting)
        healed = self.healed_ns
        outage = self.outage
        out = (commanded, commanded) if outage is None else (outage.start_ns, self.recovered_ns)
        calm = max(out[1], healed)
        second = commanded + NS if commanded + NS <= end else commanded
        return {
            "baseline": (start, commanded),
            "fault": (commanded, min(max(healing, commanded), end)),
            "impact": (commanded, second),
            "outage": out,
            "recovery": (out[1], calm),
            "recovered": (calm, end),
            "run": (start, end),
        }

    @cached_property
    def healed_ns(self) -> int:
        """When every fault was over; the end of observation if one never was, or there is none."""
        start, end = self.observed
        healed = max((_healed_ns(f, end) for f in self.biting), default=end)
        return min(max(healed, self.commanded_ns, start), end)

    # ------------------------------------------------------------ who answered

    @cached_property
    def holders(self) -> Bools | None:
        """By number of a server, whether it can be in office; None: all can."""
        return holders(self.history)

    def writers(
        self, span: Span, first: int | None = None, last: int | None = None
    ) -> frozenset[str]:
        """Servers that acknowledged requests of the headline stream completed in ``span``.

        With ``first`` or ``last``, those of so many at that end. One that answered under a
        twentieth of them is left out: a straggler is not a writer. Nor is a front door one.
        """
        track = self.worst_piece
        server = in_office(track.server, self.holders)
        chosen = np.flatnonzero(
            track.answered & (track.done >= span[0]) & (track.done < span[1]) & (server > 0)
        )
        ids = server[chosen[-last:] if last else chosen[:first]]
        if not ids.size:
            return frozenset()
        values, counts = np.unique(ids, return_counts=True)
        names = self.history.servers
        known = {int(v) for v, c in zip(values, counts, strict=True) if c * 20 >= ids.size} & set(
            range(len(names))
        )
        return frozenset(names[v] for v in known)

    @cached_property
    def writers_before(self) -> frozenset[str]:
        """Who acknowledged before the fault."""
        return self.writers((self.observed[0], self.commanded_ns))

    @cached_property
    def writers_after(self) -> frozenset[str]:
        """Who acknowledged first after the outage (after the fault, if nothing was out)."""
        outage = self.failover_outage
        if outage is None:
            return self.writers((self.origin_ns, self.observed[1]))
        return self.writers((outage.end_ns, _FAR), first=20)

    def counts(self, track: Track, span: Span) -> dict[str, int]:
        """Requests due in ``span`` by outcome, and ``due``, their sum."""
        low, high = track.due_between(*span)
        found = np.bincount(track.outcome[low:high], minlength=max(Outcome) + 1)
        return {"due": high - low, **{o.name.lower(): int(found[o]) for o in Outcome}}


_FAR = 1 << 62


def healing_ns(fault: FaultRecord, end: int) -> int:
    """When a fault began to be taken away."""
    begins = fault.heal_commanded_ns
    return _healed_ns(fault, end) if begins is None else begins


def _healed_ns(fault: FaultRecord, end: int) -> int:
    """When a fault was over; the end of observation if that was never read back."""
    times = [t for t in (fault.healed_ns, fault.felt_healed_ns) if t is not None]
    return max(times) if fault.healed_ns is not None else end


def as_seconds(nanoseconds: Any) -> float:
    """Seconds as a plain float, whatever integer type the time has."""
    return int(nanoseconds) / NS


def grain_of(track: Track) -> str:
    """What a track's rate could not show, as a note."""
    return f"an outage shorter than {1000 / track.stream.rate:g} ms would not be seen"


def bracketed(outages: Sequence[Outage], track: Track, note: str | None = None) -> Interval:
    """How long the longest outage of a track was, with its bracket; without any, 0 and its grain.

    The grain is what the track's rate could not show. ``note`` is of the outage, or follows it.
    One that had not ended is the longest, and at least as long as each that had.
    """
    longest = worst_of(outages)
    if longest is None:
        said = f"{grain_of(track)}; {note}" if note else grain_of(track)
        return Interval(value_s=0.0, low_s=0.0, high_s=0.0, note=said)
    known = outages if longest.censored else (longest,)
    return Interval(
        value_s=as_seconds(max(o.end_ns - o.start_ns for o in known)),
        low_s=as_seconds(max(o.low_ns for o in known)),
        high_s=None if longest.high_ns is None else as_seconds(longest.high_ns),
        censored=longest.censored,
        note=note,
    )
