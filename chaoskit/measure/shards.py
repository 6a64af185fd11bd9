"""Requests by shard. The shard of a request is ``(key - 1) mod shards + 1``.

A stack declares how many shards there are (``chaoskit.shards``); the key of a request says which
register it is about, or which part of the log.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from chaoskit.history.history import History
from chaoskit.measure.table import Column
from chaoskit.measure.track import Track

__all__ = ["by_shard", "shard_of", "whole_fact"]


def whole_fact(history: History, name: str) -> int:
    """A whole number (or yes, as 1) of what the stack declares about sharing; 0 where it is not."""
    told = history.notes.get("sharing")
    value = told.get(name) if isinstance(told, Mapping) else None
    return int(value) if isinstance(value, int) and 0 < value <= 1000 else 0


def shard_of(keys: Column, shards: int) -> Column:
    """The shard of each key; 0 for a request without one."""
    found: Column = np.where(keys == 0, 0, (keys.astype(np.int64) - 1) % shards + 1)
    return found


def by_shard(track: Track, shards: int) -> Mapping[int, Track]:
    """The requests of each shard as a track of its own; one of which nothing was asked is left out.

    The rate of each is its share of the stream's, as it was asked.
    """
    of = shard_of(track.column("key"), shards)
    parts = ((shard, track.part(of == shard)) for shard in range(1, shards + 1))
    return {shard: part for shard, part in parts if part is not None} or {0: track}
