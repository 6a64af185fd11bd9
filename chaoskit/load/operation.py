"""One logical operation while it is under way, and how a client says how it ended."""

from __future__ import annotations

import errno
import os
from enum import Enum
from typing import Any

from chaoskit.history.records import Op

__all__ = ["Operation", "Verdict", "describe"]


class Verdict(Enum):
    """What a client knows when an operation is over. The default, always, is UNKNOWN."""

    ACKNOWLEDGED = "acknowledged"  # the system said yes
    REFUSED = "refused"  # provably not executed: nothing was sent, or it said no before acting
    UNKNOWN = "unknown"  # it may or may not have been executed


class Operation:
    """What to ask (set by the comb) and what came of it (set by the client that asks).

    ``dispatched`` is the fact on which the classification of every error rests: a client sets
    it to True as soon as the first byte of a request has been handed to the kernel, and to False
    before it tries anew elsewhere (``begin_anew``). An operation that ends in a timeout or an
    ``OSError`` while it is False is provably not executed; in every other case it is ambiguous.
    """

    __slots__ = (
        "attempts",
        "carrier",
        "connect_s",
        "dispatched",
        "done_ns",
        "epoch",
        "error",
        "flags",
        "fresh",
        "hint",
        "key",
        "move_on",
        "op",
        "seen",
        "server",
        "slot",
        "token",
    )

    def __init__(self, op: Op, slot: int, token: int, key: int, fresh: bool) -> None:
        self.op = op
        self.slot = slot  # number of the slot in its comb, from 0
        self.token = token  # what to write, unique in the run; 0 for a read
        self.key = key  # which register, from 1; 0 where there is none
        self.fresh = fresh  # must open a connection of its own
        self.carrier: Any = None  # the greenlet that runs out of time; for the comb alone
        self.attempts = 0
        self.connect_s = 0.0  # patience with a connection that does not come; 0: the operation's
        self.flags = 0
        self.dispatched = False
        self.done_ns = 0  # when the answer was complete; 0: the comb takes the time itself
        self.server = ""  # node that answered
        self.epoch = 0
        self.seen = 0  # token that was read, or the version that a write's answer carried
        self.error = ""  # a short phrase without addresses or numbers of this one request
        self.hint = ""  # node that a refusal pointed at
        self.move_on = False  # this refusal leaves room to ask another endpoint

    def begin_anew(self) -> None:
        """Before the next attempt: what an earlier one was told is no word of this one's.

        An attempt that breaks fills in nothing, and would else end when the earlier refusal came,
        in the name of the server that gave it.
        """
        self.dispatched = self.move_on = False
        self.hint = self.server = ""
        self.done_ns = self.epoch = 0


_PHRASES = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.ECONNABORTED: "connection aborted",
    errno.EPIPE: "broken pipe",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network unreachable",
    errno.ETIMEDOUT: "connection timed out in the kernel",
    errno.EACCES: "prohibited by a firewall",
    errno.EPERM: "prohibited by a firewall",
    errno.EMFILE: "out of file descriptors",
    errno.EADDRNOTAVAIL: "out of local ports",
}


def describe(error: OSError) -> str:
    """An ``OSError`` as the short phrase that goes into the record; the same cause, the same."""
    if error.errno is None:
        return str(error) or type(error).__name__
    return _PHRASES.get(error.errno) or os.strerror(error.errno).lower()
