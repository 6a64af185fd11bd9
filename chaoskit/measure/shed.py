"""When the load was dropped on purpose, and how much of it was left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chaoskit.history.history import History
from chaoskit.measure.track import Ints

__all__ = ["Shed", "shed_of"]


@dataclass(frozen=True)
class Shed:
    """From (inside) to (outside) the combs had only ``share`` of their slots."""

    from_ns: int
    until_ns: int
    share: float

    def due_share(self, starts: Ints, ends: Ints) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """How much of the full load was due in each window; 1 where all of it was."""
        inside = np.minimum(ends, self.until_ns) - np.maximum(starts, self.from_ns)
        part = np.maximum(inside, 0) / np.maximum(ends - starts, 1)
        return np.asarray(1.0 - (1.0 - self.share) * part)


def shed_of(history: History) -> Shed | None:
    """What the engine noted; None where the load was as declared all the time."""
    noted = history.notes.get("shed")
    if not isinstance(noted, dict):
        return None
    try:
        found = Shed(int(noted["from_ns"]), int(noted["until_ns"]), float(noted["share"]))
    except (KeyError, TypeError, ValueError):
        return None
    return found if 0 < found.share < 1 and found.from_ns < found.until_ns else None
