"""Reading everything back when the load is over: the proof of what was kept and what was lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import gevent
import numpy as np
from gevent import Timeout

from chaoskit.errors import BadInput
from chaoskit.history.history import FRONTDOOR
from chaoskit.load.config import Endpoint
from chaoskit.load.operation import describe
from chaoskit.load.tokens import Table, save, table_of

__all__ = ["read_everything"]

_AGAIN_S = 0.1
_ASK_AGAIN_SHARE = 0.5
_LOOK_AGAIN_S = 0.25

ReadBack = Callable[[Endpoint | None], Mapping[int, int]]


class NotAsked(str):
    """Why nothing came of a place that was not to blame for it."""

    __slots__ = ()


Found = Mapping[str, Table | str]
"""What each place returned, or the sentence that says why it did not."""


def read_everything(
    read_back: ReadBack,
    nodes: tuple[Endpoint, ...],
    folder: Path,
    timeout_s: float,
    agree_s: float = 0.0,
) -> dict[str, dict[str, object]]:
    """Read the front door and every node at once; ``<folder>/<place>.npy`` holds what came.

    Returns place → ``{"tokens": n, "distinct": n}`` or ``{"error": sentence}`` within
    ``timeout_s``, give or take the writing of the files; with ``"asked": False`` where that is
    nothing that the place did: the load cannot read, or what came could not be kept. A place
    that fails is asked again for half of that time; one that answers slowly has all of it.

    Nodes that differ may still be copying: everything is read again for ``agree_s`` more, until
    they agree or one of them cannot be read. What was read last is what counts.
    """
    places: dict[str, Endpoint | None] = {FRONTDOOR: None}
    places.update({node.node: node for node in nodes})
    found = _read_all(read_back, places, timeout_s)
    until = time.monotonic() + agree_s
    while _differ(found) and time.monotonic() < until:
        gevent.sleep(_LOOK_AGAIN_S)
        again = _read_all(read_back, places, timeout_s)
        if any(isinstance(again[place], str) > isinstance(found[place], str) for place in places):
            break  # what could be read a moment ago cannot any more: the whole earlier read stands
        found = again
    return {place: _stored(folder, place, table) for place, table in found.items()}


def _differ(found: Found) -> bool:
    """Whether two nodes that could be read returned different things."""
    tables = [t for p, t in found.items() if p != FRONTDOOR and not isinstance(t, str)]
    return any(not np.array_equal(tables[0], other) for other in tables[1:])


def _read_all(read_back: ReadBack, places: Mapping[str, Endpoint | None], within_s: float) -> Found:
    jobs = {
        place: gevent.spawn(_one, read_back, place, node, within_s)
        for place, node in places.items()
    }
    gevent.joinall(list(jobs.values()))
    return {place: job.get() for place, job in jobs.items()}


def _one(read_back: ReadBack, place: str, node: Endpoint | None, within_s: float) -> Table | str:
    why = "it did not answer"
    again_until = time.monotonic() + within_s * _ASK_AGAIN_SHARE
    timeout = Timeout.start_new(within_s)
    try:
        while True:
            try:
                return table_of(read_back(node))
            except OSError as error:
                why = describe(error)
                if time.monotonic() > again_until:
                    return f"{place} could not be read back: {why}"
                gevent.sleep(_AGAIN_S)
    except Timeout as error:
        if error is not timeout:
            raise
        return f"{place} could not be read back within {within_s:g} s: {why}"
    except BadInput as error:
        return NotAsked(f"{place} could not be read back: {error}")
    except ValueError as error:
        return f"{place} could not be read back: {error}"
    finally:
        timeout.close()


def _stored(folder: Path, place: str, found: Table | str) -> dict[str, object]:
    """Write what a place returned; the facts about it."""
    if isinstance(found, str):
        asked = not isinstance(found, NotAsked)
        return {"error": str(found)} if asked else {"error": str(found), "asked": False}
    try:
        save(folder / f"{place}.npy", found)
    except OSError as error:
        text = f"what {place} returned could not be written: {describe(error)}"
        return {"error": text, "asked": False}
    return {"tokens": int(found[:, 1].sum()), "distinct": len(found)}
