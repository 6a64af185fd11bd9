"""Whether the records agree with themselves. What fails here is a defect of the harness."""

from __future__ import annotations

from typing import Any

import numpy as np

from chaoskit.history.records import Outcome
from chaoskit.measure.shed import Shed
from chaoskit.measure.track import Track
from chaoskit.measure.view import View

__all__ = ["contradictions", "missing_slots"]

_GRACE_NS = 1_000_000  # clocks are read before and after, never at the same instant


def contradictions(view: View) -> tuple[str, ...]:
    """One sentence for each rule that the records of the trial break."""
    column, history = view.table.column, view.history
    found: list[str] = []
    known = np.isin(column("outcome"), [int(o) for o in Outcome])
    _count(found, ~known, "have no outcome class")
    _count(found, column("stream") >= len(history.streams), "belong to no stream")
    _count(found, column("error") >= len(history.errors), "name an unknown error")
    _count(found, column("server") >= len(history.servers), "name an unknown server")
    asked = column("outcome") != Outcome.NOT_SENT
    early = column("sent_ns") < column("due_ns") - _GRACE_NS
    _count(found, asked & early, "were sent before they were due")
    _count(found, asked & (column("done_ns") < column("sent_ns")), "were done before sent")
    for name, track in view.tracks.items():
        late = track.done - track.due
        wrong = track.good & (late > track.stream.deadline_ns + _GRACE_NS)
        wrong |= (track.outcome == Outcome.OK_LATE) & (late < track.stream.deadline_ns - _GRACE_NS)
        _count(found, wrong, f"of {name} are on the wrong side of the deadline")
        found += _not_adding_up(view, name, track)
    tokens = view.tried
    _count(found, tokens[1:] == tokens[:-1], "wrote a token that is not unique")
    return tuple(found)


def _not_adding_up(view: View, name: str, track: Track) -> list[str]:
    """Due = ok + late + failed + unknown + not sent, of a stream in the run and in every phase."""
    wrong = [
        phase
        for phase, span in view.spans.items()
        if (counts := view.counts(track, span))["due"]
        != sum(counts[outcome.name.lower()] for outcome in Outcome)
    ]
    if not wrong:
        return []
    where = ", ".join(wrong)
    return [f"the classes of {name} do not add up to the requests due (in {where})"]


def _count(found: list[str], broken: np.ndarray[Any, Any], what: str) -> None:
    count = int(np.count_nonzero(broken))
    if count:
        verb = f"{count} request records {what}"
        found.append(f"{verb}: the record is damaged, or the load has a defect")


def missing_slots(track: Track, shed: Shed | None = None) -> tuple[int, int]:
    """Slots between the first and the last that left no record, and the longest such gap, ns.

    Where the load was dropped on purpose, those of the share that was left.
    """
    gaps = np.diff(track.due).astype(np.float64)
    if shed is not None:
        share = shed.due_share(track.due[:-1], track.due[1:])
        gaps = np.where(share < 1, gaps * share - 1e9 / track.stream.rate, gaps)
    skipped = np.maximum(np.rint(gaps * (track.stream.rate / 1e9)).astype(np.int64) - 1, 0)
    holes = gaps[skipped > 0]
    return int(skipped.sum()), int(holes.max()) if holes.size else 0
