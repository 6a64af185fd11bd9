"""What must be known to read a trial's durations: the notes of those that are headlines or judged.

Counts and violations show their notes beside the number, so they are not said here again.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaoskit.experiment.threshold import Threshold
from chaoskit.judge.bounds import Bounded
from chaoskit.measure.model import Metrics

__all__ = ["noted"]

_HEADLINES = ("client_outage", "failover_time")


def noted(
    metrics: Metrics, thresholds: Sequence[Threshold], bounded: Sequence[Bounded]
) -> tuple[str, ...]:
    """``client_outage, bad_time: the note``: each note once, with all metrics that have it.

    What is not applicable says why beside its threshold. Two primaries say how they were looked for
    only where they are judged or were seen.
    """
    by_note: dict[str, list[str]] = {}

    def add(name: str, note: str | None) -> None:
        names = by_note.setdefault(note, []) if note else []
        if name not in names:
            names.append(name)

    for name in _HEADLINES:
        found = getattr(metrics, name)
        if found.applicable:
            add(name, found.note)
    dual = metrics.dual_primary
    if dual is not None and dual.low_s:
        add("dual_primary", dual.note)
    for threshold, seen in zip(thresholds, bounded, strict=True):
        reading = seen.reading
        if reading.applicable and reading.unit != "count":
            add(threshold.metric, reading.note)
    return tuple(f"{', '.join(names)}: {note}" for note, names in by_note.items())
