"""What is said of service that was partly out for much longer than any one outage lasted."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from chaoskit.judge.result import Metrics
from chaoskit.judge.wording import quantity, seconds

__all__ = ["partly", "partly_unjudged"]

_SPEAK = frozenset({"bad_time", "dropped_requests", "error_rate", "availability", "time_to_steady"})
"""Metrics that such a stretch cannot leave as they are; an outage's length is not among them."""


def partly(measured: Sequence[Metrics]) -> str:
    """The longest stretch, for the run's sentence; empty where there was none."""
    found = [m.partly_out for m in measured if m.partly_out is not None]
    if not found:
        return ""
    longest = max(found, key=lambda one: one.span_s)
    each = f" in {len(found)} of {len(measured)} trials" if len(measured) > 1 else ""
    most = "up to " if len(found) > 1 else ""
    return (
        f"service was partly out for {most}{seconds(longest.span_s)} with "
        f"{quantity(longest.ratio, 'ratio')} of requests bad{each}"
    )


def partly_unjudged(judged: Collection[str], measured: Sequence[Metrics]) -> list[str]:
    """That nobody asked about it."""
    text = partly(measured)
    if not text or _SPEAK & set(judged):
        return []
    return [f"{text}, and no threshold on bad_time, dropped_requests or error_rate speaks of it"]
