"""Heartbeats as the nodes saw them: the evidence beneath the time to detect."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from chaoskit.clock import NS
from chaoskit.measure.model import Heartbeats
from chaoskit.measure.told import told
from chaoskit.measure.view import View

__all__ = ["heartbeats", "peer_of"]

_ENOUGH = 5


def heartbeats(view: View) -> Mapping[str, Heartbeats]:
    """Link (``listener`` or ``listener from peer``) → what was seen of its heartbeats.

    Intervals are taken until the fault: after it they show the fault. ``missed`` counts, as the
    listener did, from the fault on and before it apart.
    """
    start, until = view.history.window.load_start_ns, view.commanded_ns
    seen: dict[str, list[int]] = {}
    for one in told(view.history, "heartbeat-seen"):
        seen.setdefault(_link(one.node, one.detail), []).append(one.t_ns)
    missed: dict[str, list[int]] = {}
    for one in told(view.history, "heartbeat-missed"):
        missed.setdefault(_link(one.node, one.detail), []).append(one.t_ns)
    found: dict[str, Heartbeats] = {}
    for link in sorted({*seen, *missed}):
        beats = np.array([t for t in seen.get(link, ()) if start <= t <= until], dtype=np.int64)
        misses = [t for t in missed.get(link, ()) if t >= start]
        if beats.size < _ENOUGH and not misses:
            continue
        gaps = np.diff(beats) / NS
        known = gaps.size >= _ENOUGH - 1
        p05, p95 = (float(p) for p in np.percentile(gaps, (5, 95))) if known else (0.0, 0.0)
        found[link] = Heartbeats(
            seen=int(beats.size),
            interval_s=float(np.median(gaps)) if known else None,
            longest_s=float(gaps.max()) if known else None,
            p05_s=p05 if known else None,
            p95_s=p95 if known else None,
            jitter_s=p95 - p05 if known else None,
            missed_before=sum(t <= until for t in misses),
            missed_after=sum(t > until for t in misses),
        )
    return found


def peer_of(detail: str) -> str:
    """Who was heard or missed: ``N of PEER`` names it; a count alone, or ``2 of 3``, does not."""
    _, _, peer = detail.partition(" of ")
    return "" if peer.isdigit() else peer


def _link(node: str, detail: str) -> str:
    peer = peer_of(detail)
    return f"{node} from {peer}" if peer else node
