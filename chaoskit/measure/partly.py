"""Service that was out for some requests only, for much longer than any one outage lasted.

Where one of five servers is out, every fifth request fails: that is many outages of one request
each, and the longest of them says nothing of how long it went on. What says it is that bad requests
follow each other closely, far more of them than before the fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from chaoskit.measure.chernoff import share_lower, share_upper
from chaoskit.measure.model import PartlyOut
from chaoskit.measure.outage import Outage
from chaoskit.measure.track import Track
from chaoskit.measure.view import View, as_seconds

__all__ = ["partly_out", "said"]

_LEAST = 5
"""So many outages are a stretch: two or three are told one by one."""
_LONGER = 2
"""A stretch says more than its longest outage if it is so many times as long."""
_APART = 10
"""A gap so many times the usual one between two outages ends a stretch."""
_SURE = 0.99


def partly_out(view: View, track: Track) -> PartlyOut | None:
    """The stretch with the most bad requests in which some, not all, of a track's went bad.

    From the first bad request's due time to an interval after the last one's. None where there is
    none, where one outage makes up half of it or more, or where so many bad requests may be what
    there was before the fault: the share's lower bound must lie above the baseline's upper one
    (99 % each).
    """
    found = view.outages_of(track)
    if view.fault is None or len(found) < _LEAST:
        return None
    stretch = max(_stretches(found), key=lambda part: sum(o.bad for o in part))
    last = int(track.due[np.flatnonzero(track.bad & (track.due < stretch[-1].end_ns))[-1]])
    start, end = stretch[0].start_ns, last + track.interval_ns
    longest = max(o.end_ns - o.start_ns for o in stretch)
    if len(stretch) < _LEAST or end - start < _LONGER * longest:
        return None
    asked, bad = track.counts(start, end)
    before, bad_before = track.counts(*view.spans["baseline"])
    if share_lower(bad, asked, _SURE) <= share_upper(bad_before, before, _SURE):
        return None
    return PartlyOut(
        from_s=as_seconds(start - view.origin_ns),
        to_s=as_seconds(end - view.origin_ns),
        bad=bad,
        asked=asked,
    )


def said(found: PartlyOut) -> str:
    """The same as a phrase; seconds since the fault."""
    return (
        f"service was partly out from {found.from_s:+.2f} s to {found.to_s:+.2f} s, with "
        f"{found.ratio:.0%} of requests bad"
    )


def _stretches(found: Sequence[Outage]) -> list[list[Outage]]:
    """Outages that follow each other closely, together."""
    gaps = [b.start_ns - a.end_ns for a, b in pairwise(found)]
    most = _APART * float(np.median(gaps))
    parts = [[found[0]]]
    for gap, outage in zip(gaps, found[1:], strict=True):
        if gap > most:
            parts.append([])
        parts[-1].append(outage)
    return parts
