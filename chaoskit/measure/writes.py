"""Durability: what was acknowledged against what is there at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chaoskit.clock import NS
from chaoskit.history.history import FRONTDOOR
from chaoskit.history.records import Op, Outcome
from chaoskit.measure.model import Example, Safety
from chaoskit.measure.table import sorted_once
from chaoskit.measure.track import Bools, Ints
from chaoskit.measure.view import View

__all__ = [
    "Lost",
    "among",
    "appends",
    "asked_in_vain",
    "duplicate_writes",
    "examples_of",
    "lost",
    "lost_writes",
    "missing_reads",
    "open_where_unread",
    "resurrected_writes",
    "unchecked",
    "unexpected_writes",
]

_SHOWN = 10
Tokens = np.ndarray[Any, np.dtype[np.uint64]]


def missing_reads(view: View) -> tuple[str, ...]:
    """Places without whose final read nothing can be said about what is stored.

    Every node that holds data. The front door shows nothing that no node holds, so it is missed
    only together with a node: a system that never came back cannot be read through its front
    door, and that is a finding about the system and not about the measurement.
    """
    finals, nodes = view.history.finals, view.history.nodes
    missing = tuple(node for node in nodes if node not in finals)
    if FRONTDOOR not in finals and (missing or not nodes):
        return (FRONTDOOR, *missing)
    return missing


def asked_in_vain(view: View) -> Mapping[str, str]:
    """Of ``missing_reads`` those that were asked and did not answer: place → what came instead.

    That is the system's doing. A place that nobody asked is not among them.
    """
    stored = view.history.notes.get("final_reads")
    facts = stored if isinstance(stored, Mapping) else {}
    found: dict[str, str] = {}
    for place in missing_reads(view):
        said = facts.get(place)
        if isinstance(said, Mapping) and "error" in said and said.get("asked") is not False:
            found[place] = str(said["error"])
    return found


def _named(places: Iterable[str]) -> str:
    return ", ".join("the front door" if place == FRONTDOOR else place for place in places)


def open_where_unread(view: View, found: Safety) -> Safety:
    """The same, with an open end if a place was asked in vain: it may hold more of them."""
    silent = asked_in_vain(view)
    if not silent or len(silent) < len(missing_reads(view)):
        return found
    note = f"{_named(silent)} could not be read"
    if found.note:
        note = f"{found.note}; {note}"
    if not found.count:
        return Safety(count=None, checked=False, unread=True, note=note)
    return found.model_copy(update={"unread": True, "note": note})


@dataclass(frozen=True)
class Lost:
    """``rows`` of the table: acknowledged appends that are in no final read, front door or node.

    ``hidden``: so many more are on a node but not behind the front door; None: it was not read.
    ``missing``: places that could not be read; ``maybe`` are then the rows that are in no read
    that there is, and may be there: ``rows`` is empty.
    """

    rows: Ints
    hidden: int | None
    missing: tuple[str, ...]
    maybe: Ints


def lost(view: View) -> Lost | Safety:
    """What is lost; a ``Safety`` where it cannot be told, with the reason."""
    acked = appends(view, Outcome.OK, Outcome.OK_LATE)
    finals, missing = view.history.finals, missing_reads(view)
    unasked = [place for place in missing if place not in asked_in_vain(view)]
    if not finals and (unasked or not missing):
        return unchecked(f"there is no final read ({acked.size} acknowledged writes)")
    tokens = view.table.column("token")[acked]
    there = among(tokens, view.held)
    absent = acked[~there]
    if absent.size and unasked:
        return unchecked(
            f"{absent.size} acknowledged writes are in none of the final reads, but that of "
            f"{', '.join(unasked)} is missing"
        )
    hidden = None
    if FRONTDOOR in finals:
        shown = among(tokens, sorted_once(finals[FRONTDOOR].tokens))
        hidden = int(np.count_nonzero(there & ~shown))
    nothing = absent[:0]
    sure, maybe = (nothing, absent) if missing else (absent, nothing)
    return Lost(sure, hidden, missing, maybe)


def lost_writes(view: View, found: Lost | Safety) -> Safety:
    """Acknowledged appends that are in no final read, front door or node."""
    if isinstance(found, Safety):
        return found
    notes = []
    if found.hidden is None:
        notes.append("the front door could not be read at the end")
    elif found.hidden:
        notes.append(f"{found.hidden} more are on a node but not behind the front door")
    examples = examples_of(view, found.rows, lambda _token: "acknowledged, and in no final read")
    if found.maybe.size:
        notes.append(
            f"{found.maybe.size:,} acknowledged writes are in no final read, and "
            f"{_named(found.missing)} could not be read"
        )
    return Safety(
        count=int(found.rows.size),
        unknown=int(found.maybe.size),
        examples=examples,
        note="; ".join(notes) or None,
    )


def duplicate_writes(view: View) -> Safety:
    """Copies too many of appends of this trial, in the place that has most of them."""
    return open_where_unread(view, _duplicate(view))


def _duplicate(view: View) -> Safety:
    worst, where, offenders = 0, "", {}
    for place, final in sorted(view.history.finals.items()):
        twice = np.flatnonzero(final.counts > 1)
        twice = twice[among(final.tokens[twice], view.appended)]
        extra = int((final.counts[twice] - np.uint64(1)).sum())
        if extra > worst:
            worst, where = extra, place
            counts = final.counts[twice].tolist()
            offenders = dict(zip(final.tokens[twice].tolist(), counts, strict=True))
    if not view.history.finals:
        return unchecked("there is no final read")
    if not offenders:
        return Safety(count=worst)
    written = appends(view)
    named = np.sort(np.array(list(offenders), dtype=np.uint64))
    rows = written[among(view.table.column("token")[written], named)]
    examples = examples_of(view, rows, lambda t: f"{offenders[t]} times on {where}")
    return Safety(count=worst, examples=examples)


def unexpected_writes(view: View) -> Safety:
    """Tokens in a final read that nobody tried to append in this trial.

    Where records are missing, a token of which there is none may have been asked for: ``unknown``.
    """
    return open_where_unread(view, _unexpected(view))


def _unexpected(view: View) -> Safety:
    if not view.history.finals:
        return unchecked("there is no final read")
    strange = view.held[~among(view.held, view.tried)]
    maybe, note = 0, None
    if strange.size and not view.history.complete:
        known = among(strange, view.appended)  # the record says that they were not sent
        maybe, strange = int(np.count_nonzero(~known)), strange[known]
        note = f"{maybe:,} writes that were read have no record, and records are missing"
    examples = tuple(
        Example(token=int(t), detail="on " + ", ".join(_places(view, int(t))))
        for t in strange[:_SHOWN]
    )
    return Safety(
        count=int(strange.size), unknown=maybe, examples=examples, note=note if maybe else None
    )


def resurrected_writes(view: View) -> Safety:
    """Appends that were definitely refused and are there all the same."""
    return open_where_unread(view, _resurrected(view))


def _resurrected(view: View) -> Safety:
    if not view.history.finals:
        return unchecked("there is no final read")
    refused = appends(view, Outcome.FAIL_DEFINITE)
    back = refused[among(view.table.column("token")[refused], view.held)]
    examples = examples_of(view, back, lambda t: "refused, yet on " + ", ".join(_places(view, t)))
    return Safety(count=int(back.size), examples=examples)


def appends(view: View, *outcomes: Outcome) -> Ints:
    """Rows of the table: appends of the trial, warm-up included, that ended in one of these."""
    table = view.table
    chosen = (table.column("op") == Op.APPEND) & (table.column("token") != 0)
    if outcomes:
        chosen &= np.isin(table.column("outcome"), outcomes)
    rows: Ints = np.flatnonzero(chosen)
    return rows


def among(tokens: Tokens, held: Tokens) -> Bools:
    """Which of ``tokens`` are in ``held``, which is sorted."""
    if not held.size:
        return np.zeros(tokens.size, dtype=bool)
    at = np.searchsorted(held, tokens)
    at[at == held.size] = 0
    found: Bools = held[at] == tokens
    return found


def _places(view: View, token: int) -> list[str]:
    wanted = np.uint64(token)
    return sorted(p for p, f in view.history.finals.items() if bool((f.tokens == wanted).any()))


def examples_of(view: View, rows: Ints, say: Callable[[int], str]) -> tuple[Example, ...]:
    """The first few by when they were acknowledged; ``rows`` of the table."""
    servers, fault, table = view.history.servers, view.fault, view.table
    token, done = table.column("token"), table.column("done_ns")
    first = rows[np.lexsort((token[rows], done[rows]))][:_SHOWN]
    sent, server = table.column("sent_ns"), table.column("server")
    return tuple(
        Example(
            token=int(token[row]),
            sent_ns=int(sent[row]),
            acknowledged_ns=int(done[row]),
            server=servers[server[row]] or None if server[row] < len(servers) else None,
            after_fault_s=(int(done[row]) - fault.acknowledged_ns) / NS if fault else None,
            detail=say(int(token[row])),
        )
        for row in first.tolist()
    )


def unchecked(note: str) -> Safety:
    """Nothing can be said, and why."""
    return Safety(count=None, checked=False, note=note)
