"""How long service may have been away without an answer to contradict it.

A request that was answered was served between its sending and its answer. A stretch in which
service was away therefore holds no such request from beginning to end; that is all that can be said
of clients that asked nothing in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from chaoskit.measure.track import Ints, Track

__all__ = ["Answers", "longest_unanswered"]

_NEVER = 1 << 62


@dataclass(frozen=True)
class Answers:
    """When answered requests were sent, sorted, and the first answer to any sent from there on."""

    sent: Ints
    first: Ints  # one more: to those sent after the last there is none

    @classmethod
    def of(cls, track: Track) -> Answers:
        """Those of a stream, or of a part of it; answers that came late count too."""
        sent, done = track.sent[track.answered], track.done[track.answered]
        order = np.argsort(sent, kind="stable")
        least = np.minimum.accumulate(done[order][::-1])[::-1]
        return cls(sent[order], np.append(least, _NEVER))

    def since(self, moments: Ints) -> Ints:
        """The first answer to a request sent after each of the moments."""
        found: Ints = self.first[np.searchsorted(self.sent, moments, side="right")]
        return found


def longest_unanswered(
    clients: Sequence[Sequence[Answers]], spans: Iterable[tuple[int, int]]
) -> list[int]:
    """Of each span the longest stretch, ns, in which all clients may have been without service.

    Of a client several parts may be given: it was without service where one of them was.
    """
    found = []
    for low, high in spans:
        inside = [a.sent[slice(*np.searchsorted(a.sent, (low, high)))] for p in clients for a in p]
        starts = np.concatenate(([low], *inside))
        ends = np.full(starts.size, high)
        for parts in clients:
            mine = np.full(starts.size, low)
            for part in parts:
                np.maximum(mine, part.since(starts), out=mine)
            np.minimum(ends, mine, out=ends)
        found.append(max(0, int((ends - starts).max())))
    return found
