"""Where several nodes serve: who served how much, and what losing one did to clients."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from chaoskit.clock import NS
from chaoskit.measure.model import Impact, Share
from chaoskit.measure.track import Track
from chaoskit.measure.view import Span, View, as_seconds

__all__ = ["impact_second", "lost_servers", "shares"]


def shares(view: View) -> Mapping[str, Share]:
    """Server → its share before, during and after the fault; empty where one is meant to serve.

    All streams of clients together, by when requests were due. *During* begins once clients had the
    time to notice: with the longest timeout over after the command.
    """
    if not view.several_serve:
        return {}
    patience = max(t.stream.timeout_ns for t in view.served.values())
    start, end = view.spans["fault"]
    spans = (view.spans["baseline"], (min(start + patience, end), end), view.spans["recovered"])
    each = [_answers(view, span) for span in spans]
    names = sorted({name for counts in each for name in counts})
    return {name: Share(**_of(name, each)) for name in names}


def _of(name: str, each: list[dict[str, int]]) -> dict[str, float | None]:
    keys = ("before", "fault", "after")
    return {
        key: counts.get(name, 0) / sum(counts.values()) if counts else None
        for key, counts in zip(keys, each, strict=True)
    }


def _answers(view: View, span: Span) -> dict[str, int]:
    names, total = view.history.servers, np.zeros(len(view.history.servers), dtype=np.int64)
    for track in view.served.values():
        low, high = track.due_between(*span)
        answered = track.server[low:high][track.answered[low:high]]
        total += np.bincount(answered[answered < len(names)], minlength=len(names))
    return {n: int(c) for n, c in zip(names, total.tolist(), strict=True) if n and c}


def lost_servers(view: View) -> tuple[str, ...]:
    """Who served before the fault and has next to nothing of its share while it is on."""
    return tuple(name for name, share in shares(view).items() if share.gone)


def impact_second(view: View) -> Impact | None:
    """What the second after the fault was like: the phase ``impact``, of the headline stream.

    None without a fault, with one node serving, or where no second was observed before or after.
    """
    if view.fault is None or not view.several_serve:
        return None
    track, second = view.headline, view.spans["impact"]
    at, end = second
    seconds = [(start, start + NS) for start in range(at - NS, view.observed[0] - 1, -NS)]
    if not seconds or at == end:
        return None
    base = (seconds[-1][0], at)
    rates = [_answered(track, span) for span in seconds]
    return Impact(
        due=_count(track, second),
        bad=_bad(track, second),
        bad_before=max(_bad(track, span) for span in seconds),
        rate=float(_answered(track, second)),
        rate_before=float(np.median(rates)),
        p50_s=_quantile(track, second, 0.5),
        p50_before_s=_quantile(track, base, 0.5),
        p99_s=_quantile(track, second, 0.99),
        p99_before_s=_quantile(track, base, 0.99),
    )


def _count(track: Track, span: Span) -> int:
    low, high = track.due_between(*span)
    return high - low


def _bad(track: Track, span: Span) -> int:
    low, high = track.due_between(*span)
    return int(np.count_nonzero(~track.good[low:high]))


def _answered(track: Track, span: Span) -> int:
    """Answers that came in the second, whenever they were due."""
    inside = track.answered & (track.done >= span[0]) & (track.done < span[1])
    return int(np.count_nonzero(inside))


def _quantile(track: Track, span: Span, q: float) -> float | None:
    low, high = track.due_between(*span)
    took = np.sort((track.done[low:high] - track.due[low:high])[track.answered[low:high]])
    return as_seconds(took[max(1, -int(-q * took.size // 1)) - 1]) if took.size else None
