"""The error budget: what share of it a trial burned, and whether that would have paged anybody.

Thirty days of an objective allow (1 - objective) of all time to be bad. The alerts are those of the
SRE Workbook's chapter on alerting: a burn rate, in times what is allowed, over a long window and
over a short one that says that it is still going on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    spent = {window: _spent_s(view, window) for alert in _ALERTS for window in alert[1:3]}
    return {name: _first(allowed, spent) for name, allowed in _OBJECTIVES}


def _first(allowed: float, spent_s: Mapping[int, np.ndarray[Any, Any]]) -> str:
    """Both windows of an alert end at the same moment, that of a bad request."""
    for rate, long, short, words in _ALERTS:
        burning = [spent_s[window] / window >= rate * allowed for window in (long, short)]
        if np.logical_and(*burning).any():
            return f"yes: {words}"
    return "no"


def _spent_s(view: View, window_s: int) -> np.ndarray[Any, Any]:
    """Bad time of the headline in the stretch that long up to each of its bad requests, seconds."""
    track = view.headline
    due = track.due[track.bad]
    before = np.searchsorted(due, due - window_s * NS, side="right")
    return np.asarray((np.arange(due.size) + 1 - before) / track.stream.rate)
