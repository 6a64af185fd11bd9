"""How often is asked what a metric's times are read from: nothing shorter than a slot shows."""

from __future__ import annotations

from chaoskit.measure.view import View

__all__ = ["slots_per_second"]

_ASKED_THEMSELVES = ("dual_primary", "fencing_latency")
_OF_EACH_CLIENT = "client_outage_"


def slots_per_second(view: View, metric: str) -> float:
    """Requests a second of the comb that ``metric`` is taken from, in a trial.

    The headline's, whatever other streams there are and how fast; of reads the read comb's on kept
    connections. What only nodes themselves can be asked has the slowest of their writers. A shard,
    or a client that is looked at alone, has its share.
    """
    track, share = view.headline, max(1, view.shards)
    if metric == "client_outage_read":
        track = view.kept_reads() or track
    elif metric.startswith(_OF_EACH_CLIENT):
        share *= max(1, len(view.history.clients) - 1)
    rate = track.stream.rate / share
    if metric in _ASKED_THEMSELVES:
        pinned = [s.rate for s in view.history.streams if s.pinned and s.op == "write"]
        rate = min(pinned, default=rate)
    return rate
