"""How much a page draws. It is drawn with less until it is small enough to be mailed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DETAILS", "Detail"]


@dataclass(frozen=True)
class Detail:
    """Limits of one attempt; nothing on a page is without one."""

    timelines: int  # up to so many trials each has its timeline; of more, a choice is shown
    columns: int  # of a timeline
    good_dots: int
    rare_dots: int
    trials: int  # rows of tables by trial
    items: int  # of any other list
    source: int  # characters of the experiment file
    long_table: bool = True  # every figure of every trial


DETAILS = (
    Detail(5, 180, 450, 300, 150, 60, 40_000),
    Detail(3, 120, 200, 120, 100, 40, 20_000),
    Detail(2, 60, 80, 60, 50, 20, 8_000, long_table=False),
    Detail(1, 30, 40, 20, 10, 8, 2_000, long_table=False),
)
"""From the richest to the barest."""
