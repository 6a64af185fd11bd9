"""What reads of registers returned, against what had been written: staleness and sessions.

A value is known by its token. Nothing is said of two operations that overlap: a PUT took effect at
some moment between being sent and being acknowledged, or being read if that was earlier. A read is
in the wrong only if every such moment of its value lies before every such moment of a later one
that was settled before the read was sent. A linearizable system is therefore never accused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from chaoskit.clock import NS
from chaoskit.measure.model import Example, Safety
from chaoskit.measure.operations import (
    NEVER,
    Operations,
    Part,
    Registers,
    in_groups,
    registers_of,
)
from chaoskit.measure.table import Column
from chaoskit.measure.track import Bools, Ints
from chaoskit.measure.view import View

__all__ = ["session_violations", "stale_among", "stale_and_broken", "stale_reads"]

_SHOWN = 10


def stale_reads(view: View) -> Safety:
    """Reads of a value that another one had replaced, acknowledged before the read was sent.

    The age is the time from that acknowledgement to the read's sending; the note has the greatest.
    """
    return stale_and_broken(view, registers_of(view))[0]


def session_violations(view: View) -> Safety:
    """Reads that contradict what the same client knew before it sent them.

    Monotonic reads: within one stream of a client, no value older than one already read. Read your
    writes: no value older than what the client itself had put and was told is there.
    """
    return stale_and_broken(view, registers_of(view))[1]


def stale_and_broken(view: View, found: Registers) -> tuple[Safety, Safety]:
    """``stale_reads`` and ``session_violations``, from one look at each register."""
    if why := found.unknown(pinned=False):
        nothing = Safety(count=None, checked=False, note=why)
        return nothing, nothing
    stale, broken = _Wrong(), _Broken()
    for part in found.parts(pinned=False):
        _add_stale(stale, part)
        _add_broken(broken, part)
    return stale.safety(view, stale.age_note()), broken.safety(view, broken.kinds_note())


def stale_among(view: View, found: Registers, counted: Callable[[Operations], Bools]) -> Safety:
    """The stale ones of those reads past the front door that are ``counted``."""
    if why := found.unknown(pinned=True):
        return Safety(count=None, checked=False, note=why)
    stale = _Wrong()
    for part in found.parts(pinned=True):
        _add_stale(stale, part, counted(part.reads))
    return stale.safety(view, stale.age_note())


# ---------------------------------------------------------------- what is in the wrong


@dataclass
class _Wrong:
    """Reads in the wrong so far: how many, and the few that are shown, the first of them first."""

    count: int = 0
    judged: int = 0
    strange: int = 0
    oldest_ns: int = 0
    shown: list[tuple[tuple[int, ...], int, str]] = field(default_factory=list)

    def look(self, part: Part) -> None:
        """Count what is judged of a part, and what is not."""
        self.judged += part.reads.sent.size
        self.strange += part.strange

    def add(self, count: int, some: Iterable[tuple[tuple[int, ...], int, str]]) -> None:
        """So many more; of ``some``, each with its place, those that come first may be shown."""
        self.count += count
        self.shown = sorted([*self.shown, *some])[:_SHOWN]

    def age_note(self) -> str:
        """How old the oldest value was."""
        return f"up to {self.oldest_ns / NS:.3f} s old" if self.count else ""

    def safety(self, view: View, note: str) -> Safety:
        """The count as it is told."""
        if not self.judged:
            why = "no value that was read is one that this trial had put there"
            return Safety(count=None, checked=False, note=why)
        notes = [note] if note else []
        if self.strange:
            notes.append(
                f"{self.strange} reads of values that nobody is known to have put there are "
                "left out"
            )
        examples = tuple(_example(view, row, text) for _, row, text in self.shown)
        return Safety(count=self.count, examples=examples, note="; ".join(notes) or None)


@dataclass
class _Broken(_Wrong):
    """The same of sessions, and of which kind."""

    forgot: int = 0  # against own writes
    back: int = 0  # against earlier reads

    def kinds_note(self) -> str:
        """How many there are of each kind."""
        if not self.count:
            return ""
        return f"{self.forgot} against own writes, {self.back} against earlier reads"


def _add_stale(found: _Wrong, part: Part, counted: Bools | None = None) -> None:
    puts, reads = part.puts, part.reads
    found.look(part)
    since = _settled_ns(puts.key, puts, reads.key, reads)
    stale = since < reads.sent
    wrong = np.flatnonzero(stale if counted is None else stale & counted)
    if not wrong.size:
        return
    age = reads.sent[wrong] - since[wrong]
    found.oldest_ns = max(found.oldest_ns, int(age.max()))
    first = np.lexsort((reads.sent[wrong], reads.done[wrong], -age))[:_SHOWN]
    some = []
    for k, old in zip(wrong[first].tolist(), age[first].tolist(), strict=True):
        text = f"another value had been acknowledged {old / NS:.3f} s before the read was sent"
        some.append(_placed(reads, k, text, -old))
    found.add(wrong.size, some)


def _add_broken(found: _Broken, part: Part) -> None:
    puts, reads = part.puts, part.reads
    found.look(part)
    if not reads.sent.size:
        return
    own, mine = _by_client(puts, part), _by_client(reads, part)
    forgot = _settled_ns(own, puts, mine, reads) < reads.sent
    session = mine * 256 + reads.stream
    back = _settled_ns(session, reads, session, reads) < reads.sent  # a value read is settled
    wrong = np.flatnonzero(forgot | back)
    if not wrong.size:
        return
    found.forgot += int(np.count_nonzero(forgot))
    found.back += int(np.count_nonzero(back))
    some = []
    for k in wrong[np.lexsort((reads.sent[wrong], reads.done[wrong]))[:_SHOWN]].tolist():
        kinds = (forgot[k], "written"), (back[k], "read")
        said = " and ".join(f"older than what this client had {did}" for so, did in kinds if so)
        some.append(_placed(reads, k, said))
    found.add(wrong.size, some)


def _placed(reads: Operations, k: int, text: str, *before: int) -> tuple[tuple[int, ...], int, str]:
    """A read in the wrong with its place among others, its row of the table, and what is said."""
    place = (*before, int(reads.done[k]), int(reads.sent[k]))
    return place, int(reads.row[k]), f"register {int(reads.key[k])}: {text}"


def _by_client(ops: Operations, part: Part) -> Ints:
    """One number for client and register, small where there is one register."""
    first = min(int(keys.min()) for keys in (part.puts.key, part.reads.key) if keys.size)
    clients = max(int(o.client.max(initial=0)) for o in (part.puts, part.reads)) + 1
    found: Ints = (ops.key.astype(np.int64) - first) * clients + ops.client
    return found


# ---------------------------------------------------------------- the one rule


def _settled_ns(groups: Column, evidence: Operations, asked: Column, reads: Operations) -> Ints:
    """For each read the earliest moment at which a later value of its group was settled.

    Later: writing it began after the value that was read had certainly taken effect. ``NEVER``
    where there is none. Evidence is sorted by when writing began; the earliest settlement from
    there on is a running minimum from the end.
    """
    found = np.full(asked.size, NEVER)
    known = _Groups(groups)
    looking = known if groups is asked else _Groups(asked)
    for name, ours in known.each():
        rows = looking.rows(name)
        if not rows.size:
            continue
        begun, done = evidence.begun[ours], evidence.done[ours]
        if (begun[1:] < begun[:-1]).any():
            order = np.argsort(begun, kind="stable")
            begun, done = begun[order], done[order]
        least = np.append(np.minimum.accumulate(done[::-1])[::-1], NEVER)
        found[rows] = least[np.searchsorted(begun, reads.ended[rows], side="right")]
    return found


class _Groups:
    """Places of equal numbers."""

    def __init__(self, numbers: Column) -> None:
        self._order = in_groups(numbers)
        ordered = numbers[self._order]
        edges = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
        self._bounds = np.concatenate(([0], edges, [ordered.size]))
        self._at = {int(ordered[b]): n for n, b in enumerate(self._bounds[:-1]) if ordered.size}

    def each(self) -> Iterable[tuple[int, Ints]]:
        """Each number and where it stands."""
        return ((name, self.rows(name)) for name in self._at)

    def rows(self, name: int) -> Ints:
        """Where a number stands."""
        n = self._at.get(name)
        return self._order[:0] if n is None else self._order[self._bounds[n] : self._bounds[n + 1]]


# ---------------------------------------------------------------- how it is shown


def _example(view: View, row: int, text: str) -> Example:
    read, servers, fault = view.table.record_at(row), view.history.servers, view.fault
    done = int(read["done_ns"])
    return Example(
        token=int(read["seen"]),
        sent_ns=int(read["sent_ns"]),
        acknowledged_ns=done,
        server=servers[read["server"]] or None if read["server"] < len(servers) else None,
        after_fault_s=(done - fault.acknowledged_ns) / NS if fault else None,
        detail=text if read["seen"] else f"{text}; nothing was there",
    )
