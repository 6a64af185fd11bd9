"""The witness as a pure state machine: who holds the office, and who may take it over.

It knows four things: the epoch, the primary (name and incarnation), the in-sync set, and when it
last heard the primary. The first three are durable and change only together with the epoch, one
step at a time; the fourth is a lease and is assumed to be fresh after a restart or a stall.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chaoskit.reference.messages import Action, Call, Note, Persist, Reply, View
from chaoskit.reference.settings import Timing

__all__ = ["Witness"]


@dataclass(frozen=True)
class _Heard:
    """The last call of a node that arrived in order."""

    inc: str
    n: int
    at_ns: int
    blank: bool
    preferred: bool


class Witness:
    """One witness process. ``incarnation`` is new for each process; ``now`` is in ns."""

    def __init__(
        self,
        timing: Timing,
        incarnation: str,
        now: int,
        durable: Mapping[str, object] | None = None,
    ) -> None:
        self.timing = timing
        self.inc = incarnation
        self.epoch = 0
        self.primary = ""
        self.primary_inc = ""
        self.in_sync: dict[str, str] = {}
        if durable:
            self._recall(durable)
        self.heard_ns = now  # whoever is primary may have been heard just before a restart
        self._tick_ns = now
        self._nodes: dict[str, _Heard] = {}
        self._out: list[Action] = []

    def tick(self, now: int) -> list[Action]:
        """Look at the clock; call it every ``timing.tick_ns``."""
        if now - self._tick_ns > self.timing.interval_ns:
            # This process stood still: what the primary sent meanwhile waits unread. Nobody may
            # be called silent because of that.
            self.heard_ns = now
            self._out.append(Note("stalled", f"{(now - self._tick_ns) / 1e6:.0f} ms"))
        self._tick_ns = now
        return self._take()

    def call(self, now: int, call: Call) -> list[Action]:
        """A node called: consider what it asks, renew its lease, answer with all we know."""
        self.tick(now)
        epoch = self.epoch
        before = self._nodes.get(call.node)
        fresh = before is None or before.inc != call.inc or call.n > before.n
        if fresh:
            if before is None or before.inc != call.inc:
                self._out.append(Note("node-seen", f"{call.node} incarnation {call.inc}"))
            self._nodes[call.node] = _Heard(call.inc, call.n, now, call.blank, call.preferred)
            self._found(now)
            if call.ask and call.witness == self.inc and call.epoch == self.epoch > 0:
                self._consider(now, call)
        holds = self._is_primary(call.node, call.inc)
        lease = holds and (call.live or call.proof or self.epoch != epoch)
        if lease:
            self.heard_ns = now
        wait = max(0, self.heard_ns + self.timing.witness_ns - now)
        view = View(
            self.inc, call.n, self.epoch, self.primary, self.primary_inc, dict(self.in_sync),
            lease, wait,
        )  # fmt: skip
        return [*self._take(), Reply(view)]

    def _consider(self, now: int, call: Call) -> None:
        holds = self._is_primary(call.node, call.inc)
        if holds and not (call.live or call.proof):
            return  # it is deaf: what we grant would not reach it, and would bind everybody else
        if call.ask == "alone" and holds:
            self._change(call, {call.node: call.inc})
        elif call.ask == "add" and holds and call.peer not in {"", call.node}:
            self._change(call, {call.node: call.inc, call.peer: call.peer_inc})
        elif call.ask == "handover" and holds:
            if self.in_sync.get(call.peer) == call.peer_inc and call.peer != call.node:
                self._change(call, {call.peer: call.peer_inc}, call.peer)
                self.heard_ns = now
            else:
                self._out.append(Note("refused", f"handover to {call.peer}: it is not in sync"))
        elif call.ask == "promote" and not holds:
            silent = now - self.heard_ns >= self.timing.witness_ns
            if silent and self.in_sync.get(call.node) == call.inc:
                self._change(call, {call.node: call.inc})
                self._out.append(Note("chosen", call.node))
                self.heard_ns = now
            else:
                why = "the primary is heard" if not silent else "it is not in sync"
                self._out.append(Note("refused", f"promotion of {call.node}: {why}"))

    def _change(self, call: Call, in_sync: dict[str, str], primary: str = "") -> None:
        self.epoch += 1
        self.primary = primary or call.node
        self.primary_inc, self.in_sync = in_sync[self.primary], in_sync
        members = " ".join(sorted(in_sync))
        self._out.append(Persist(self._durable()))
        self._out.append(
            Note("epoch", f"{self.epoch}: {call.ask}, primary {self.primary}, in sync {members}")
        )

    def _found(self, now: int) -> None:
        """Begin, or begin again: only when both nodes are here and neither remembers anything."""
        lease = self.timing.witness_ns
        here = {k: v for k, v in self._nodes.items() if v.blank and now - v.at_ns <= lease}
        if len(here) < 2 or any(here[n].inc == inc for n, inc in self.in_sync.items() if n in here):
            return
        name = min(here, key=lambda n: (not here[n].preferred, n))
        if self.epoch:
            self._out.append(Note("data-lost", "no node remembers anything; beginning again"))
        self.epoch += 1
        self.primary, self.primary_inc = name, here[name].inc
        self.in_sync = {name: here[name].inc}
        self.heard_ns = now
        self._out.append(Persist(self._durable()))
        self._out.append(Note("epoch", f"{self.epoch}: founded, primary {name}"))

    def _is_primary(self, node: str, inc: str) -> bool:
        return bool(node) and (node, inc) == (self.primary, self.primary_inc)

    def _durable(self) -> dict[str, object]:
        return {
            "epoch": self.epoch,
            "primary": self.primary,
            "primary_inc": self.primary_inc,
            "in_sync": dict(self.in_sync),
        }

    def _recall(self, durable: Mapping[str, object]) -> None:
        """Raises ``ValueError`` if that is not what ``Persist`` wrote."""
        epoch, members = durable.get("epoch"), durable.get("in_sync")
        if not isinstance(epoch, int) or not isinstance(members, dict):
            raise ValueError("not the state of a witness")  # noqa: TRY004 - it is data, not a type
        self.epoch = epoch
        self.primary = str(durable.get("primary", ""))
        self.primary_inc = str(durable.get("primary_inc", ""))
        self.in_sync = {str(k): str(v) for k, v in members.items()}

    def _take(self) -> list[Action]:
        out, self._out = self._out, []
        return out
