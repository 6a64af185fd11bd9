"""What looks on while a trial runs: role probes, dials that prove a bite, the harness's own tick.

Everything here runs inside the lab in child processes, or is cheap enough for the main thread.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from chaoskit.clock import NS, MonotonicClock, now_ns
from chaoskit.contracts import CLIENT, OBSERVER, Child, Dial, Lab

__all__ = ["DialBoard", "RoleBoard", "Ticker", "rest_collector"]

DIAL_EVERY_NS = 20_000_000
_TRANSFER_EVERY_NS = 400_000_000  # it takes a share of the link from those who need it
_TWO_ENDS = ("datagram", "transfer")


@dataclass
class _Role:
    value: str | None = None
    since_ns: int = 0
    seen: bool = False
    error: str = ""


class RoleBoard:
    """The last role of every probed node, fed by the probe child's changes."""

    def __init__(self, probed: Sequence[str], labelled: Mapping[str, str | None]) -> None:
        self._roles = {name: _Role() for name in probed}
        self._labelled = dict(labelled)

    def take(self, message: Mapping[str, Any]) -> bool:
        """Note a ``change`` event; True if it changed a role."""
        if message.get("event") != "change" or message.get("question") != "role":
            return False
        role = self._roles.get(str(message["node"]))
        if role is None:
            return False
        value = message.get("value")
        role.error = str(message.get("error") or "")
        if role.seen and value is None and role.value is None:
            return False  # still no answer, for another reason
        if not role.seen or role.value != value:
            role.value, role.since_ns = value, int(message["done_ns"])
        role.seen = True
        return True

    def roles(self) -> dict[str, str | None]:
        """Node → role as observed, or as labelled where the node has no role probe."""
        found = dict(self._labelled)
        found.update({name: role.value for name, role in self._roles.items()})
        return found

    def told(self) -> str:
        """What every probed node last said of itself, or why it said nothing, as a phrase."""
        return ", ".join(
            f"{name}: {role.value or role.error or 'nothing'}" for name, role in self._roles.items()
        )

    def primaries(self) -> tuple[str, ...]:
        """Who says now that it is primary."""
        return tuple(name for name, role in self.roles().items() if role == "primary")

    def leaders(self) -> int | None:
        """How many say that they are primary; None where nobody is asked."""
        return len(self.primaries()) if self._roles else None

    def settled_for_s(self) -> float:
        """How long every probed node has had a known role, unchanged; 0.0 while one is unknown.

        Infinite where nothing is probed: there is nothing to wait for.
        """
        if not self._roles:
            return float("inf")
        if any(not role.seen or role.value is None for role in self._roles.values()):
            return 0.0
        return (now_ns() - max(role.since_ns for role in self._roles.values())) / NS


@dataclass
class _Line:
    """One dial being repeated."""

    dial: Dial
    asked: int | None = None  # id of the question under way
    spared_ns: int | None = None  # first success that was asked after ``restart``
    since_ns: int = 0  # when ``restart`` was
    sent: int = 0  # datagrams since then, and how many of them were heard
    heard: int = 0
    next_ns: int = 0
    last: str | None = None
    failed_ns: int | None = None  # first failure asked after the fault was acknowledged
    opened_ns: int | None = None  # first success asked after the heal


def _word(heard: Mapping[str, Any], dial: Dial) -> str:
    """What became of a try's datagrams."""
    if heard["n"] < dial.size:
        return "lossy"
    if heard["copies"]:
        return "doubled"
    return "shuffled" if heard["disorder"] else "open"


def _route(dial: Dial) -> str:
    """Who asks whom, for a sentence."""
    way = f"{dial.source} to {dial.target}"
    return f"{way}:{dial.port}" if dial.how in ("connect", "name") else f"{way} ({dial.how})"


@dataclass
class DialBoard:
    """Repeats the dials of a fault from the right nodes and says when they failed and worked."""

    lab: Lab
    children: dict[str, Child] = field(default_factory=dict)
    _ports: dict[str, Mapping[str, int]] = field(default_factory=dict)
    _who: dict[str, str | None] = field(default_factory=dict)
    _lines: dict[Dial, _Line] = field(default_factory=dict)
    _sent: dict[int, tuple[_Line, int]] = field(default_factory=dict)
    _count: int = 0

    def prepare(self, sources: Sequence[str]) -> None:
        """Start a dial child in each node's namespace before anything is timed.

        A node that was started again since may have another network: its child is replaced. One
        that does not run gets none.
        """
        for name in dict.fromkeys(sources):
            node = self.lab.node(name)
            who = self.lab.identity(node)
            if who is None and name not in (CLIENT, OBSERVER):
                continue
            if name in self.children and who == self._who.get(name):
                continue
            if name in self.children:
                self.children.pop(name).close()
                self._ports.pop(name, None)
            self.children[name] = self.lab.spawn(node, ["python", "-m", "chaoskit.probes.dial"])
            self._who[name] = who

    def watch(self, dials: Sequence[Dial]) -> tuple[Dial, ...]:
        """Repeat these from now on; those of them that can be tried.

        None can from or to a node that has not run since the dials were prepared.
        """
        for dial in dials:
            self.prepare([dial.source, *([dial.target] if dial.how in _TWO_ENDS else [])])
        able = tuple(dial for dial in dials if self._is_able(dial))
        for dial in able:
            self._lines.setdefault(dial, _Line(dial))
        return able

    def _is_able(self, dial: Dial) -> bool:
        return dial.source in self.children and (
            dial.how not in _TWO_ENDS or dial.target in self.children
        )

    def forget(self, dials: Sequence[Dial]) -> None:
        """Repeat these no longer."""
        for dial in dials:
            self._lines.pop(dial, None)

    def pump(self) -> None:
        """Read answers and ask what is due. Never waits."""
        for name, child in self.children.items():
            while (message := child.receive(0.0)) is not None:
                self._hear(name, message)
        now = now_ns()
        for number, (line, asked_ns) in list(self._sent.items()):
            if line.dial.how == "datagram" and now - asked_ns > line.dial.patience_s * NS:
                self._take({"id": number, "outcome": "silent", "done_ns": now})
        for line in self._lines.values():
            if line.asked is None and now >= line.next_ns:
                self._ask(line, now)

    def failed_ns(self, dials: Sequence[Dial], since_ns: int) -> int | None:
        """When the last of the dials had failed, of those asked after ``since_ns``."""
        return self._all(dials, "failed_ns", since_ns)

    def opened_ns(self, dials: Sequence[Dial], since_ns: int) -> int | None:
        """When the last of the dials worked, of those asked after ``since_ns``."""
        return self._all(dials, "opened_ns", since_ns)

    def spared_ns(self, dials: Sequence[Dial]) -> int | None:
        """When the last of the dials worked, of those asked since ``restart``; None: not all."""
        return self._all(dials, "spared_ns", 0)

    def lost(self, dials: Sequence[Dial]) -> tuple[int, int]:
        """How many datagrams of these were lost since ``restart``, of how many."""
        lines = [self._lines[dial] for dial in dials if dial in self._lines]
        sent = sum(line.sent for line in lines)
        return sent - sum(line.heard for line in lines), sent

    def unanswered(self, dials: Sequence[Dial], since_ns: int) -> bool:
        """Whether nothing that was asked after ``since_ns`` has worked, and some of it waits.

        How a fault that is shorter than a dial's patience is felt.
        """
        lines = [self._lines[dial] for dial in dials]
        waiting = {id(line) for line, asked_ns in self._sent.values() if asked_ns >= since_ns}
        return bool(lines) and all(
            line.opened_ns is None and (id(line) in waiting or line.failed_ns is not None)
            for line in lines
        )

    def restart(self, dials: Sequence[Dial]) -> None:
        """Forget what was seen, before a fault or before its heal."""
        for dial in dials:
            line = self._lines[dial]
            line.failed_ns = line.opened_ns = line.spared_ns = None
            line.sent = line.heard = 0
            line.since_ns = now_ns()

    def outcomes(self, dials: Sequence[Dial]) -> str:
        """The last outcome of each dial, for a sentence."""
        return ", ".join(
            f"{_route(d)} {self._lines[d].last or 'no answer yet'}"
            for d in dials
            if d in self._lines
        )

    def _all(self, dials: Sequence[Dial], which: str, since_ns: int) -> int | None:
        moments = [getattr(self._lines[dial], which) for dial in dials]
        if any(moment is None or moment < since_ns for moment in moments):
            return None
        return max(moments, default=None)

    def _ask(self, line: _Line, now: int) -> None:
        port = line.dial.port
        if line.dial.how in _TWO_ENDS:
            ports = self._ports.get(line.dial.target)
            if ports is None:
                return  # the child there is still starting
            port = ports["udp" if line.dial.how == "datagram" else "tcp"]
        self._count += 1
        line.asked = self._count
        self._sent[self._count] = (line, now)
        asked = asdict(line.dial)
        del asked["source"], asked["target"]
        asked["timeout_s"] = asked.pop("patience_s")
        asked["port"] = port
        self.children[line.dial.source].send({"id": self._count, **asked})

    def _hear(self, name: str, message: Mapping[str, Any]) -> None:
        if message.get("event") == "ready" and "udp" in message:
            self._ports[name] = {key: int(message[key]) for key in ("udp", "tcp")}
        elif message.get("event") == "heard":
            line, _ = self._sent.get(int(message["id"]), (None, 0))
            if line is not None:
                self._take({**message, "outcome": _word(message, line.dial)})
        else:
            self._take(message)

    def _take(self, message: Mapping[str, Any]) -> None:
        known = self._sent.pop(int(message.get("id", 0)), None)
        if known is None:
            return
        line, asked_ns = known
        line.asked = None
        line.next_ns = now_ns() + (_TRANSFER_EVERY_NS if line.dial.how == "transfer" else 0)
        line.next_ns += DIAL_EVERY_NS
        if "outcome" not in message:  # the child could not make sense of it
            return
        line.last = str(message["outcome"])
        done = int(message["done_ns"])
        if line.dial.how == "datagram" and asked_ns >= line.since_ns:
            line.sent += line.dial.size
            line.heard += int(message.get("n", 0))
        if line.last == "open":
            line.opened_ns = line.opened_ns or done
            if asked_ns >= line.since_ns:
                line.spared_ns = line.spared_ns or done
        else:
            line.failed_ns = line.failed_ns or done

    def close(self) -> None:
        """End the children."""
        for child in self.children.values():
            child.close()
        self.children.clear()


class Ticker(threading.Thread):
    """The harness's own heartbeat: how late was it, at worst? A stalled harness shows here."""

    EVERY_S = 0.02

    def __init__(self) -> None:
        super().__init__(name="tick", daemon=True)
        self._ended = threading.Event()
        self._worst_ns = 0
        self._clock = MonotonicClock()

    def run(self) -> None:
        """Note how much later than asked each sleep ended."""
        while not self._ended.is_set():
            before = now_ns()
            self._ended.wait(self.EVERY_S)
            self._worst_ns = max(self._worst_ns, now_ns() - before - int(self.EVERY_S * NS))

    def restart(self) -> None:
        """Forget what was before the window that counts."""
        self._worst_ns = 0

    def worst_ns(self) -> int:
        """The worst lateness since ``restart``."""
        return max(0, self._worst_ns)

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        self.join(timeout=1.0)


def rest_collector() -> None:
    """Let Python's garbage collector pass by, until the next call, whatever lives now.

    To look through all that a harness has imported stops every thread of it for a twentieth of a
    second: in the middle of an injection that would be the fault's lateness.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
