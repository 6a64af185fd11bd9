"""The error budget: what share of it a trial burned, and whether that would have paged anybody.

Thirty days of an objective allow (1 - objective) of all time to be bad. The alerts are those of the
SRE Workbook's chapter on alerting: a burn rate, in times what is allowed, over a long window and
over a short one that says that it is still going on.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from chaoskit.clock import NS
from chaoskit.measure.requests import bad_time
from chaoskit.measure.view import View

__all__ = ["budget_burned", "would_page"]

_MONTH_S = 30 * 86_400
_OBJECTIVES = (("99.9%", 0.001), ("99.99%", 0.0001))  # share of bad requests that each allows
_HOUR_S = 3600
_ALERTS = (  # burn rate, long window, short window, as a person would say it
    (14.4, _HOUR_S, 300, "14.4 times what is allowed, over 1 h and over 5 min"),
    (6.0, 6 * _HOUR_S, 1800, "6 times what is allowed, over 6 h and over 30 min"),
    (1.0, 72 * _HOUR_S, 6 * _HOUR_S, "all that is allowed, over 3 days and over 6 h"),
)


def budget_burned(view: View) -> Mapping[str, float]:
    """Bad time over what thirty days allow, by objective."""
    burned = bad_time(view).value_s or 0.0
    return {name: burned / (allowed * _MONTH_S) for name, allowed in _OBJECTIVES}


def would_page(view: View) -> Mapping[str, str]:
    """Objective → the first alert that would have gone off, or ``no``.

    What lies outside the observation counts as good, at the same rate.
    """
    bad_s = {window: _worst_s(view, window) for alert in _ALERTS for window in (alert[1], alert[2])}
    return {name: _first(allowed, bad_s) for name, allowed in _OBJECTIVES}


def _first(allowed: float, bad_s: Mapping[int, float]) -> str:
    for rate, long, short, words in _ALERTS:
        if all(bad_s[window] / window >= rate * allowed for window in (long, short)):
            return f"yes: {words}"
    return "no"


def _worst_s(view: View, window_s: int) -> float:
    """The most bad time of the headline in any stretch that long, seconds."""
    track = view.headline
    due = track.due[track.bad]
    if not due.size:
        return 0.0
    until = np.searchsorted(due, due + window_s * NS, side="left")
    return int((until - np.arange(due.size)).max()) / track.stream.rate
