"""Going back: the preferred node, in sync for a while, takes the office back or asks for it."""

from __future__ import annotations

from chaoskit.reference.messages import Action, Claim, Note, Send, To
from chaoskit.reference.settings import Rules, Timing

__all__ = ["Failback"]

_REMIND_NS = 60_000_000_000


class Failback:
    """Of one node; it matters only on the preferred one, while it is not primary."""

    def __init__(self, rules: Rules, timing: Timing, *, preferred: bool) -> None:
        self._rules, self._timing = rules, timing
        self._wanted = preferred and rules.failback != "never"
        self._due: int | None = None

    def look(self, now: int, claim: Claim, *, backup: bool) -> list[Action]:
        """What to do now. ``backup``: in sync, with a primary that is heard."""
        if not (self._wanted and backup):
            self._due = None
        elif self._due is None:
            self._due = now + self._rules.failback_after_ns
        elif now >= self._due:
            if self._rules.failback == "automatic":
                self._due = now + self._timing.interval_ns
                return [Send(To.PEER, claim)]
            self._due = now + _REMIND_NS
            return [Note("failback-possible", f"{claim.node} is in sync; POST /switchover does it")]
        return []
