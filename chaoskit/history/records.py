"""What one request, one observation and one mark are.

This is the only truth about a trial: everything that acts writes these, everything that
measures reads nothing else. Column names are those of ``docs/architecture.md``.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any

import numpy as np

__all__ = ["LATE", "REQUEST", "Flag", "Op", "Outcome"]

LATE = "not sent: the load itself was late"
"""The error of a slot that was skipped because the generator came to it too late: its own doing."""

REQUEST = np.dtype(
    [
        ("due_ns", "<i8"),  # when the comb said that it should start
        ("sent_ns", "<i8"),  # when it did; 0 for not_sent
        ("done_ns", "<i8"),  # answer or error; 0 for not_sent
        ("token", "<u8"),  # what was written, unique in the run; 0 for a read
        ("seen", "<u8"),  # what was read, or the version the answer carried; 0 for none
        ("key", "<u4"),  # which register; 0 where the operation has none
        ("epoch", "<u4"),  # epoch or term in the answer; 0 for none
        ("error", "<u2"),  # id into strings["errors"]; 0 for none
        ("server", "<u2"),  # id into strings["servers"], who answered; 0 for nobody
        ("client", "<u2"),  # id into strings["clients"], the vantage
        ("op", "u1"),  # Op
        ("outcome", "u1"),  # Outcome
        ("stream", "u1"),  # index into strings["streams"]
        ("attempt", "u1"),  # attempts made inside this one logical operation, 0 for not_sent
        ("flags", "<u2"),  # Flag
        ("spare", "<u4"),
    ]
)
"""One request: 64 bytes, little endian, appended raw while the trial runs."""

assert REQUEST.itemsize == 64  # noqa: S101 - the file format; a wrong size must not get far


class Op(IntEnum):
    """What the request asked for."""

    OTHER = 0
    APPEND = 1  # a unique token onto the log: losses and duplicates are counted from these
    PUT = 2  # a unique token into a register
    GET = 3  # a register
    SCAN = 4  # the whole log


class Outcome(IntEnum):
    """How a logical operation ended for the client (``docs/reading-a-report.md``)."""

    OK = 1  # acknowledged within the deadline, counted from when it was due
    OK_LATE = 2  # acknowledged after the deadline
    FAIL_DEFINITE = 3  # provably not executed
    AMBIGUOUS = 4  # may or may not have executed
    NOT_SENT = 5  # the slot was skipped: the generator had no room or was late


class Flag(IntFlag):
    """Facts about one request that no other column holds."""

    NONE = 0
    NEW_CONNECTION = 1  # opened its own connection
    TIMED_OUT = 2  # the client gave up at its timeout
    REDIRECTED = 4  # followed a hint or went on to the next endpoint


def empty(rows: int) -> np.ndarray[Any, np.dtype[np.void]]:
    """An array of ``rows`` zeroed request records."""
    return np.zeros(rows, dtype=REQUEST)
