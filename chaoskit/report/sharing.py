"""Where several nodes serve: who answered how much, the second of the fault, shards' outages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaoskit.judge.result import Interval, RunResult
from chaoskit.measure.model import Share, Sharing
from chaoskit.report.cards import valid_trials
from chaoskit.report.format import NONE, clean, interval
from chaoskit.report.scale import Range, place
from chaoskit.report.sharing_words import became, impact_cells, share_cells

__all__ = ["ImpactRow", "NodeRow", "ShardRow", "Shared", "build_sharing"]

_FEW = 6  # trials that are all shown; of more, a choice is
_CHOICE = 3


@dataclass(frozen=True)
class NodeRow:
    """A node in one trial. ``bars``: a share's text and its width in percent, three of them."""

    trial: int
    span: int  # rows of this trial that begin here; 0: it began before
    node: str
    bars: tuple[tuple[str, str], ...]  # before, under, after the fault
    became: str
    loud: bool  # it did not come back


@dataclass(frozen=True)
class ImpactRow:
    """A trial's second of the fault: pairs of that second and before it."""

    trial: int
    cells: tuple[tuple[str, str], ...]  # bad, answers a second, p50, p99


@dataclass(frozen=True)
class ShardRow:
    """A shard's longest outage over the trials, and in those that are shown."""

    shard: str
    worst: str
    width: str  # percent of the longest of all
    out: bool
    each: tuple[str, ...]


@dataclass(frozen=True)
class Shared:
    """The three tables; each may be empty. ``trials``: those shown; ``of``: how many there are."""

    nodes: tuple[NodeRow, ...]
    impacts: tuple[ImpactRow, ...]
    shards: tuple[ShardRow, ...]
    trials: tuple[int, ...]
    of: int
    left_out: int  # nodes and shards for which there was no room


_Found = Sequence[tuple[int, Sharing]]


def build_sharing(result: RunResult, most: int, few: int = _FEW) -> Shared | None:
    """None where one node serves at a time. ``most`` nodes, and as many shards, are shown.

    Up to ``few`` trials are shown; of more those in whose second of the fault most went wrong.
    """
    found = [
        (t.n, t.metrics.sharing)
        for t in valid_trials(result)
        if t.metrics is not None and t.metrics.sharing is not None
    ]
    if not any(s.shares or s.impact or s.outage_by_shard for _, s in found):
        return None
    shown = found if len(found) <= few else sorted(sorted(found, key=_wrong)[-min(few, _CHOICE) :])
    shards, shards_left = _shards(found, shown, most)
    nodes, nodes_left = _nodes(shown, most)
    return Shared(
        nodes=nodes,
        impacts=tuple(ImpactRow(n, impact_cells(s.impact)) for n, s in shown if s.impact),
        shards=shards,
        trials=tuple(n for n, _ in shown),
        of=len(found),
        left_out=nodes_left + shards_left,
    )


def _wrong(one: tuple[int, Sharing]) -> tuple[float, float, int]:
    """A sort key: how bad the second of the fault was; the longest outage of a shard without it."""
    n, found = one
    longest = max((_length(o) for o in found.outage_by_shard.values()), default=(False, 0.0))
    bad = found.impact.bad / max(1, found.impact.due) if found.impact else 0.0
    return bad + 2 * longest[0], longest[1], -n


def _nodes(shown: _Found, most: int) -> tuple[tuple[NodeRow, ...], int]:
    rows: list[NodeRow] = []
    left = 0
    for n, sharing in shown:
        some = list(sharing.shares.items())[:most]
        left = max(left, len(sharing.shares) - len(some))
        rows += [
            _node(n, 0 if i else len(some), node, share) for i, (node, share) in enumerate(some)
        ]
    return tuple(rows), left


def _node(n: int, span: int, node: str, share: Share) -> NodeRow:
    parts = (share.before, share.fault, share.after)
    bars = tuple(
        (text, place(100 * (part or 0.0)))
        for text, part in zip(share_cells(share), parts, strict=True)
    )
    return NodeRow(n, span, clean(node, 60), bars, became(share), share.not_back)


def _shards(found: _Found, shown: _Found, most: int) -> tuple[tuple[ShardRow, ...], int]:
    names = list(dict.fromkeys(name for _, s in found for name in s.outage_by_shard))
    longest = max((_length(o)[1] for _, s in found for o in s.outage_by_shard.values()), default=0)
    scale = Range(0.0, longest)
    rows = tuple(_shard(name, found, shown, scale) for name in names[:most])
    return rows, len(names) - len(rows)


def _shard(name: str, found: _Found, shown: _Found, scale: Range) -> ShardRow:
    of = [(n, s.outage_by_shard[name]) for n, s in found if name in s.outage_by_shard]
    n, worst = max(of, key=lambda pair: _length(pair[1]))
    never, length = _length(worst)
    text = interval(worst)
    if len(found) > 1 and (never or length):
        text += f", trial {n}"
    return ShardRow(
        shard=clean(name, 20),
        worst=text,
        width="100" if never else scale.x(length),
        out=never or length > 0,
        each=tuple(
            interval(s.outage_by_shard[name]) if name in s.outage_by_shard else NONE
            for _, s in shown
        ),
    )


def _length(outage: Interval) -> tuple[bool, float]:
    """A sort key: one that had not ended is the longest."""
    return outage.censored, outage.value_s or 0.0
