"""Do the nodes that hold data agree in the end?

Losses are looked for in what all nodes have together, so a node that came back with another state
than the others hides none of them and is seen by nobody until it becomes primary. Here the final
reads of the nodes are held against each other. The front door is none of them: it shows what some
node has.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chaoskit.history.records import Op, Outcome
from chaoskit.measure.model import Example, Safety
from chaoskit.measure.table import each_once, sorted_once
from chaoskit.measure.view import View
from chaoskit.measure.writes import examples_of, open_where_unread, unchecked

__all__ = ["divergent_writes"]

_SHOWN = 10
_ACKED = (int(Outcome.OK), int(Outcome.OK_LATE))
_Counts = np.ndarray[Any, np.dtype[np.uint64]]
_Tokens = np.ndarray[Any, np.dtype[np.uint64]]


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
    if _same(view, read):
        tokens, counts = np.zeros(0, dtype=np.uint64), np.zeros((1, 0), dtype=np.uint64)
    else:
        tokens, counts = _side_by_side(view, read)
    differs = np.flatnonzero((counts != counts[0]).any(axis=0))
    if not differs.size:
        if missing:
            return unchecked(
                f"{', '.join(read)} agree, but the final read of {', '.join(missing)} is missing"
            )
        return Safety(count=0)
    named, there = tokens[differs], counts[:, differs]
    notes = [_summary(view, read, named, there)]
    if missing:
        notes.append(f"the final read of {', '.join(missing)} is missing")
    return Safety(
        count=int(differs.size),
        examples=_examples(view, read, named, there),
        note="; ".join(notes),
    )


def _same(view: View, nodes: list[str]) -> bool:
    """Whether all nodes have the same, looked at in order: what is usual, and quickly seen."""
    tokens, counts = _in_order(view, nodes[0])
    for node in nodes[1:]:
        others, theirs = _in_order(view, node)
        if not (np.array_equal(tokens, others) and np.array_equal(counts, theirs)):
            return False
    return True


def _in_order(view: View, node: str) -> tuple[_Tokens, _Counts]:
    final = view.history.finals[node]
    if bool((final.tokens[1:] >= final.tokens[:-1]).all()):
        return final.tokens, final.counts
    order = np.argsort(final.tokens, kind="stable")
    return final.tokens[order], final.counts[order]


def _side_by_side(view: View, nodes: list[str]) -> tuple[_Tokens, _Counts]:
    """Every token that a node has, sorted, and how often each node (a row) has it."""
    finals = [view.history.finals[node] for node in nodes]
    tokens = each_once(np.concatenate([final.tokens for final in finals]))
    counts = np.zeros((len(nodes), tokens.size), dtype=np.uint64)
    for row, final in zip(counts, finals, strict=True):
        np.add.at(row, np.searchsorted(tokens, final.tokens), final.counts)
    return tokens, counts


def _summary(view: View, nodes: list[str], tokens: _Tokens, counts: _Counts) -> str:
    """Which node lacks how many, and how many of them clients had been promised."""
    lacks = (counts < counts.max(axis=0)).sum(axis=1).tolist()
    each = ", ".join(f"{node} lacks {n}" for node, n in zip(nodes, lacks, strict=True) if n)
    table = view.table
    acked = (table.column("op") == Op.APPEND) & np.isin(table.column("outcome"), _ACKED)
    promised = np.isin(tokens, table.column("token")[acked]).sum()
    return f"{each}; {int(promised)} of them had been acknowledged"


def _examples(
    view: View, nodes: list[str], tokens: _Tokens, counts: _Counts
) -> tuple[Example, ...]:
    """The first few by when they were acknowledged; then those that no client ever wrote."""

    def say(token: int) -> str:
        often = counts[:, np.searchsorted(tokens, np.uint64(token))].tolist()
        have = [f"{n} ({k} times)" if k > 1 else n for n, k in zip(nodes, often, strict=True) if k]
        none = [n for n, k in zip(nodes, often, strict=True) if not k]
        return f"on {', '.join(have)}" + (f", not on {', '.join(none)}" if none else "")

    table = view.table
    written = (table.column("op") == Op.APPEND) & np.isin(table.column("token"), tokens)
    rows = np.flatnonzero(written)
    ours = examples_of(view, rows, say)
    strange = tokens[~np.isin(tokens, sorted_once(table.column("token")[rows]))]
    more = (Example(token=int(t), detail=say(int(t))) for t in strange[: _SHOWN - len(ours)])
    return (*ours, *more)
