"""Do the nodes that hold data agree in the end?

Losses are looked for in what all nodes have together, so a node that came back with another state
than the others hides none of them and is seen by nobody until it becomes primary. Here the final
reads of the nodes are held against each other. The front door is none of them: it shows what some
node has.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chaoskit.history.records import Outcome
from chaoskit.measure.model import Example, Safety
from chaoskit.measure.table import joined
from chaoskit.measure.track import Ints
from chaoskit.measure.view import View
from chaoskit.measure.writes import among, appends, examples_of, open_where_unread, unchecked

__all__ = ["divergent_writes"]

_SHOWN = 10
_ACKED = (int(Outcome.OK), int(Outcome.OK_LATE))
_Counts = np.ndarray[Any, np.dtype[np.uint64]]
_Tokens = np.ndarray[Any, np.dtype[np.uint64]]
_Read = tuple[_Tokens, _Counts]


def divergent_writes(view: View) -> Safety:
    """Appends that are not equally often in the final read of every node that holds data.

    Acknowledged or not: two nodes that differ in a write that nobody was promised differ all the
    same, and so will what clients read of them. Not checked where fewer than two nodes hold data,
    or where those that were read agree and another could not be read.
    """
    return open_where_unread(view, _divergent(view))


def _divergent(view: View) -> Safety:
    nodes, finals = view.history.nodes, view.history.finals
    read, missing = [n for n in nodes if n in finals], [n for n in nodes if n not in finals]
    if len(nodes) < 2:
        return unchecked("fewer than two nodes hold data: there is nothing to compare")
    if len(read) < 2:
        return unchecked(f"the final read of {', '.join(missing)} is missing")
    tokens, counts = _differing(view, read)
    if not tokens.size:
        if missing:
            return unchecked(
                f"{', '.join(read)} agree, but the final read of {', '.join(missing)} is missing"
            )
        return Safety(count=0)
    rows = appends(view)
    rows = rows[among(view.table.column("token")[rows], tokens)]
    notes = [_summary(view, read, counts, rows)]
    if missing:
        notes.append(f"the final read of {', '.join(missing)} is missing")
    return Safety(
        count=int(tokens.size),
        examples=_examples(view, read, tokens, counts, rows),
        note="; ".join(notes),
    )


def _differing(view: View, nodes: list[str]) -> tuple[_Tokens, _Counts]:
    """Tokens that nodes have unequally often, sorted, and how often each node (a row) has them.

    Each is held against the first, in order: only what differs, mostly little, is put in a table.
    """
    first, *others = reads = [_in_order(view, node) for node in nodes]
    tokens = np.zeros(0, dtype=np.uint64)
    for other in others:
        tokens = joined(tokens, _apart(first, other))
    counts = np.stack([_often(read, tokens) for read in reads])
    differs = (counts != counts[0]).any(axis=0)
    return tokens[differs], counts[:, differs]


def _apart(one: _Read, other: _Read) -> _Tokens:
    """Tokens that one of two has and the other has not, or not as often; sorted."""
    if np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1]):
        return one[0][:0]
    return joined(*(a[0][_often(b, a[0]) != a[1]] for a, b in ((one, other), (other, one))))


def _often(read: _Read, wanted: _Tokens) -> _Counts:
    """How often each token that is wanted is there."""
    tokens, counts = read
    if not tokens.size:
        return np.zeros(wanted.size, dtype=np.uint64)
    at = np.minimum(np.searchsorted(tokens, wanted), tokens.size - 1)
    return np.where(tokens[at] == wanted, counts[at], np.uint64(0))


def _in_order(view: View, node: str) -> _Read:
    """Tokens sorted, each once, and how often it is there all in all."""
    final = view.history.finals[node]
    tokens, counts = final.tokens, final.counts
    if not bool((tokens[1:] >= tokens[:-1]).all()):
        order = np.argsort(tokens, kind="stable")
        tokens, counts = tokens[order], counts[order]
    firsts = np.flatnonzero(np.concatenate(([True], tokens[1:] != tokens[:-1])))[: tokens.size]
    if firsts.size == tokens.size:
        return tokens, counts
    return tokens[firsts], np.add.reduceat(counts, firsts)


def _summary(view: View, nodes: list[str], counts: _Counts, rows: Ints) -> str:
    """Which node lacks how many, and how many of them (``rows``) clients had been promised."""
    lacks = (counts < counts.max(axis=0)).sum(axis=1).tolist()
    each = ", ".join(f"{node} lacks {n}" for node, n in zip(nodes, lacks, strict=True) if n)
    acked = rows[np.isin(view.table.column("outcome")[rows], _ACKED)]
    promised = np.unique(view.table.column("token")[acked]).size
    return f"{each}; {promised} of them had been acknowledged"


def _examples(
    view: View, nodes: list[str], tokens: _Tokens, counts: _Counts, rows: Ints
) -> tuple[Example, ...]:
    """The first few by when they were acknowledged; then those that no client ever wrote."""

    def say(token: int) -> str:
        often = counts[:, np.searchsorted(tokens, np.uint64(token))].tolist()
        have = [f"{n} ({k} times)" if k > 1 else n for n, k in zip(nodes, often, strict=True) if k]
        none = [n for n, k in zip(nodes, often, strict=True) if not k]
        return f"on {', '.join(have)}" + (f", not on {', '.join(none)}" if none else "")

    ours = examples_of(view, rows, say)
    strange = tokens[~among(tokens, np.sort(view.table.column("token")[rows]))]
    more = (Example(token=int(t), detail=say(int(t))) for t in strange[: _SHOWN - len(ours)])
    return (*ours, *more)
