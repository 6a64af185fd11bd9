"""What every field of an undo operation is checked with; see ``ops.py``."""

from __future__ import annotations

import re
from ipaddress import IPv4Address

__all__ = ["BOOT_ID", "PID_MAX", "check", "check_process", "is_int", "is_ipv4", "matches"]

BOOT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PID_MAX = 4_194_304
"""The kernel's own ceiling, PID_MAX_LIMIT."""


def check(good: bool, name: str, value: object) -> None:
    """``ValueError`` that names the field, unless it is good."""
    if not good:
        raise ValueError(f"undo operation: bad {name} {value!r}")


def check_process(pid: object, starttime: object, boot_id: object) -> None:
    """A process that may be touched: number, start time, boot."""
    check(isinstance(pid, int) and is_int(pid) and 1 < pid <= PID_MAX, "pid", pid)
    good = isinstance(starttime, int) and is_int(starttime) and starttime >= 0
    check(good, "starttime", starttime)
    check(matches(BOOT_ID, boot_id), "boot_id", boot_id)


def is_ipv4(value: object) -> bool:
    """Whether it is an IPv4 address, written in the one usual way."""
    try:
        return isinstance(value, str) and str(IPv4Address(value)) == value
    except ValueError:
        return False


def is_int(value: object) -> bool:
    """A whole number; True is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def matches(pattern: re.Pattern[str], value: object) -> bool:
    """A text that is all of the pattern."""
    return isinstance(value, str) and pattern.fullmatch(value) is not None
