"""Durability: what was acknowledged against what is there at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chaoskit.clock import NS
from chaoskit.history.history import FRONTDOOR, FinalRead
from chaoskit.history.records import Op, Outcome
from chaoskit.measure.model import Example, Safety
from chaoskit.measure.view import View

__all__ = [
    "duplicate_writes",
    "lost_writes",
    "missing_reads",
    "resurrected_writes",
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


def lost_writes(view: View) -> Safety:
    """Acknowledged appends that are in no final read, front door or node."""
    appends = _appends(view)
    acked = appends[np.isin(appends["outcome"], (Outcome.OK, Outcome.OK_LATE))]
    finals, missing = view.history.finals, missing_reads(view)
    if not finals:
        return _unchecked(f"there is no final read ({acked.size} acknowledged writes)")
    there = np.isin(acked["token"], _union(list(finals.values())))
    absent = acked[~there]
    if absent.size and missing:
        return _unchecked(
            f"{absent.size} acknowledged writes are in none of the final reads, but that of "
            f"{', '.join(missing)} is missing"
        )
    notes = []
    if FRONTDOOR in finals:
        hidden = int(np.count_nonzero(there & ~np.isin(acked["token"], finals[FRONTDOOR].tokens)))
        if hidden:
            notes.append(f"{hidden} more are on a node but not behind the front door")
    else:
        notes.append("the front door could not be read at the end")
    examples = _examples(view, absent, lambda _token: "acknowledged, and in no final read")
    return Safety(count=int(absent.size), examples=examples, note="; ".join(notes) or None)


def duplicate_writes(view: View) -> Safety:
    """Copies too many of appends of this trial, in the place that has most of them."""
    appends = _appends(view)
    worst, where, offenders = 0, "", {}
    for place, final in sorted(view.history.finals.items()):
        twice = (final.counts > 1) & np.isin(final.tokens, appends["token"])
        extra = int((final.counts[twice] - np.uint64(1)).sum())
        if extra > worst:
            worst, where = extra, place
            counts = final.counts[twice].tolist()
            offenders = dict(zip(final.tokens[twice].tolist(), counts, strict=True))
    if not view.history.finals:
        return _unchecked("there is no final read")
    rows = appends[np.isin(appends["token"], np.array(list(offenders), dtype=np.uint64))]
    examples = _examples(view, rows, lambda t: f"{offenders[t]} times on {where}")
    return Safety(count=worst, examples=examples)


def unexpected_writes(view: View) -> Safety:
    """Tokens in a final read that nobody tried to append in this trial."""
    if not view.history.finals:
        return _unchecked("there is no final read")
    appends = _appends(view)
    tried = appends["token"][appends["outcome"] != Outcome.NOT_SENT]
    found = _union(list(view.history.finals.values()))
    strange = found[~np.isin(found, tried)]
    examples = tuple(
        Example(token=int(t), detail="on " + ", ".join(_places(view, int(t))))
        for t in strange[:_SHOWN]
    )
    return Safety(count=int(strange.size), examples=examples)


def resurrected_writes(view: View) -> Safety:
    """Appends that were definitely refused and are there all the same."""
    if not view.history.finals:
        return _unchecked("there is no final read")
    appends = _appends(view)
    refused = appends[appends["outcome"] == Outcome.FAIL_DEFINITE]
    back = refused[np.isin(refused["token"], _union(list(view.history.finals.values())))]
    examples = _examples(view, back, lambda t: "refused, yet on " + ", ".join(_places(view, t)))
    return Safety(count=int(back.size), examples=examples)


def _appends(view: View) -> np.ndarray[Any, Any]:
    """Every append of the trial, warm-up included."""
    requests = view.history.requests
    appends: np.ndarray[Any, Any] = requests[
        (requests["op"] == Op.APPEND) & (requests["token"] != 0)
    ]
    return appends


def _union(finals: list[FinalRead]) -> Tokens:
    held: Tokens = np.sort(np.concatenate([f.tokens[f.counts > 0] for f in finals]))
    first = np.ones(held.size, dtype=bool)  # sorting beats numpy's hashing tenfold here
    first[1:] = held[1:] != held[:-1]
    return held[first]


def _places(view: View, token: int) -> list[str]:
    wanted = np.uint64(token)
    return sorted(p for p, f in view.history.finals.items() if bool((f.tokens == wanted).any()))


def _examples(
    view: View, rows: np.ndarray[Any, Any], say: Callable[[int], str]
) -> tuple[Example, ...]:
    """The first few by when they were acknowledged."""
    servers, fault = view.history.servers, view.fault
    first = rows[np.lexsort((rows["token"], rows["done_ns"]))][:_SHOWN]
    return tuple(
        Example(
            token=int(row["token"]),
            sent_ns=int(row["sent_ns"]),
            acknowledged_ns=int(row["done_ns"]),
            server=servers[row["server"]] or None if row["server"] < len(servers) else None,
            after_fault_s=(int(row["done_ns"]) - fault.acknowledged_ns) / NS if fault else None,
            detail=say(int(row["token"])),
        )
        for row in first
    )


def _unchecked(note: str) -> Safety:
    return Safety(count=None, checked=False, note=note)
