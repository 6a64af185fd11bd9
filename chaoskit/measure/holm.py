"""Several statistical gates at once: the correction of Holm (1979).

With ten gates at 5 % each, one in three sets of them errs somewhere by chance. Holm keeps the
chance of *any* wrong decision at 5 %, whatever the gates have to do with each other.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["holm"]


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjusted p-values, in the order given: each is compared with the error as one alone would be.

    The smallest is multiplied by their number m, the next by m - 1, and none may be below one that
    was smaller before.
    """
    m = len(p_values)
    order = sorted(range(m), key=lambda i: p_values[i])
    adjusted, floor = [1.0] * m, 0.0
    for rank, i in enumerate(order):
        floor = max(floor, min(1.0, (m - rank) * p_values[i]))
        adjusted[i] = floor
    return tuple(adjusted)
