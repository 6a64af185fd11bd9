"""Reading everything back when the load is over: the proof of what was kept and what was lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import gevent
from gevent import Timeout

from chaoskit.errors import BadInput
from chaoskit.history.history import FRONTDOOR
from chaoskit.load.config import Endpoint
from chaoskit.load.operation import describe
from chaoskit.load.tokens import save

__all__ = ["read_everything"]

_AGAIN_S = 0.1
_ASK_AGAIN_SHARE = 0.5

ReadBack = Callable[[Endpoint | None], Mapping[int, int]]


def read_everything(
    read_back: ReadBack, nodes: tuple[Endpoint, ...], folder: Path, timeout_s: float
) -> dict[str, dict[str, object]]:
    """Read the front door and every node at once; ``<folder>/<place>.npy`` holds what came.

    Returns place → ``{"tokens": n, "distinct": n}`` or ``{"error": sentence}`` within
    ``timeout_s``, give or take the writing of the files. A place that fails is asked again for
    half of that time; one that answers slowly has all of it.
    """
    places: dict[str, Endpoint | None] = {FRONTDOOR: None}
    places.update({node.node: node for node in nodes})
    jobs = {
        place: gevent.spawn(_one, read_back, place, node, folder, timeout_s)
        for place, node in places.items()
    }
    gevent.joinall(list(jobs.values()))
    return {place: job.get() for place, job in jobs.items()}


def _one(
    read_back: ReadBack, place: str, node: Endpoint | None, folder: Path, within_s: float
) -> dict[str, object]:
    why = "it did not answer"
    again_until = time.monotonic() + within_s * _ASK_AGAIN_SHARE
    timeout = Timeout.start_new(within_s)
    try:
        while True:
            try:
                counts = read_back(node)
                break
            except OSError as error:
                why = describe(error)
                if time.monotonic() > again_until:
                    return {"error": f"{place} could not be read back: {why}"}
                gevent.sleep(_AGAIN_S)
    except Timeout as error:
        if error is not timeout:
            raise
        return {"error": f"{place} could not be read back within {within_s:g} s: {why}"}
    except (ValueError, BadInput) as error:
        return {"error": f"{place} could not be read back: {error}"}
    finally:
        timeout.close()
    try:
        save(folder / f"{place}.npy", counts)
    except OSError as error:
        return {"error": f"what {place} returned could not be written: {describe(error)}"}
    return {"tokens": sum(counts.values()), "distinct": len(counts)}
