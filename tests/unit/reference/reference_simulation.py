"""Two nodes, a witness, clients and a bad network, all in one thread and in nobody's real time.

Messages are delayed, lost, doubled and overtaken, processes are killed, restarted and stopped,
directions are cut: everything drawn from one seed. What clients were told is kept and judged.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from chaoskit.reference.messages import (
    Action,
    Answer,
    Call,
    Persist,
    Reply,
    Send,
    To,
    Told,
    decode,
    encode,
)
from chaoskit.reference.node import Node
from chaoskit.reference.settings import Rules, Timing
from chaoskit.reference.witness import Witness

MS = 1_000_000
NODES = ("node-a", "node-b")
ALL = (*NODES, "witness")
WAYS = [(a, b) for a in (*ALL, "client") for b in (*ALL, "client") if a != b]


@dataclass
class Weather:
    """How bad the network is."""

    lost: float = 0.0
    doubled: float = 0.0
    slow: float = 0.0  # share of messages that take up to ``slow_ns``
    slow_ns: int = 400 * MS


@dataclass
class Request:
    """What a client asked, and what it was told."""

    node: str
    op: str
    key: str
    token: int
    sent: int
    status: int | None = None
    done: int = 0
    value: int | None = None
    version: int = 0


@dataclass
class Process:
    """A slot in which incarnations of one service live and die."""

    machine: Node | Witness | None = None
    life: int = 0
    paused: bool = False
    waiting: list[Callable[[], None]] = field(default_factory=list)


class World:
    """Everything there is. ``run_until`` moves its time."""

    def __init__(
        self,
        seed: int,
        weather: Weather | None = None,
        kind: type[Node] = Node,
        timing: Timing | None = None,
        rate_ns: int = 10 * MS,
        rules: Rules | None = None,
    ) -> None:
        self.rules = rules
        self.told: list[Told] = []  # what operators were answered
        self.random = Random(seed)
        self.weather = weather or Weather()
        self.kind = kind
        self.timing = timing or Timing()
        self.now = 1_000 * MS
        self.cut: set[tuple[str, str]] = set()
        self.processes = {name: Process() for name in ALL}
        self.durable: dict[str, object] | None = None
        self.requests: list[Request] = []
        self.served: list[tuple[int, int, str]] = []  # time, epoch, node of every 200
        self.notes: list[tuple[int, str, str, str]] = []
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._tokens = itertools.count(1)
        self._open: dict[int, Request] = {}
        self._numbers = itertools.count(1)
        self.clients_on = True
        self.rate_ns = rate_ns
        for name in self.random.sample(ALL, 3):
            self.start(name)
        self.at(self.now + 300 * MS, self._client)

    # ------------------------------------------------------------ time

    def at(self, when: int, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), what))

    def run_until(self, when: int) -> None:
        while self._events and self._events[0][0] <= when:
            self.now, _, what = heapq.heappop(self._events)
            what()
        self.now = when

    def run_for(self, ns: int) -> None:
        self.run_until(self.now + ns)

    # ------------------------------------------------------------ processes

    def start(self, name: str) -> None:
        slot = self.processes[name]
        slot.life += 1
        slot.paused, slot.waiting = False, []
        inc = f"{name}#{slot.life}"
        if name == "witness":
            slot.machine = Witness(self.timing, inc, self.now, self.durable)
        else:
            preferred = name == "node-a"
            slot.machine = self.kind(
                name, inc, self.timing, self.now, preferred=preferred, rules=self.rules
            )
        self._tick(name, slot.life)

    def kill(self, name: str) -> None:
        slot = self.processes[name]
        slot.machine, slot.paused, slot.waiting = None, False, []
        slot.life += 1  # ends its ticks

    def pause(self, name: str) -> None:
        self.processes[name].paused = True

    def resume(self, name: str) -> None:
        slot = self.processes[name]
        slot.paused = False
        waiting, slot.waiting = slot.waiting, []
        for what in waiting:
            what()

    def _tick(self, name: str, life: int) -> None:
        slot = self.processes[name]
        if slot.life != life:
            return
        if slot.paused:
            slot.waiting.append(lambda: self._tick(name, life))
            return
        assert slot.machine is not None
        self._perform(name, slot.machine.tick(self.now), None)
        jitter = self.random.randrange(0, 2 * MS)
        self.at(self.now + self.timing.tick_ns + jitter, lambda: self._tick(name, life))

    # ------------------------------------------------------------ network

    def _delay(self) -> int:
        if self.random.random() < self.weather.slow:
            return self.random.randrange(MS, self.weather.slow_ns)
        return self.random.randrange(100_000, MS)

    def _carry(self, source: str, target: str, deliver: Callable[[], None]) -> None:
        copies = 1
        if self.random.random() < self.weather.lost:
            copies = 0
        elif "client" not in (source, target) and self.random.random() < self.weather.doubled:
            copies = 2  # a client's requests come once: TCP sees to that, and its token is unique
        for _ in range(copies):
            if (source, target) in self.cut:
                return
            self.at(self.now + self._delay(), lambda: self._arrive(source, target, deliver))

    def _arrive(self, source: str, target: str, deliver: Callable[[], None]) -> None:
        if (source, target) in self.cut:
            return
        slot = self.processes.get(target)
        if slot is not None and slot.paused:
            slot.waiting.append(deliver)
        else:
            deliver()

    def _perform(self, name: str, actions: list[Action], source: str | None) -> None:
        for action in actions:
            if isinstance(action, Send):
                other = NODES[1 - NODES.index(name)] if action.to is To.PEER else "witness"
                self._post(name, other, encode(action.message))
            elif isinstance(action, Reply):
                assert source is not None
                self._post(name, source, encode(action.message))
            elif isinstance(action, Persist):
                self.durable = dict(action.state)
            elif isinstance(action, Answer):
                self._answer(name, action)
            elif isinstance(action, Told):
                self.told.append(action)
            else:
                self.notes.append((self.now, name, action.event, action.detail))

    def _post(self, source: str, target: str, body: bytes) -> None:
        life = self.processes[target].life
        lives = {life} if self.random.random() < 0.5 else {life, life + 1, life + 2}

        def deliver() -> None:
            slot = self.processes[target]
            # A late message may reach the process that was started in the meantime.
            if slot.machine is None or slot.life not in lives:
                return
            message = decode(body)
            if isinstance(slot.machine, Witness):
                assert isinstance(message, Call)
                actions = slot.machine.call(self.now, message)
            else:
                actions = slot.machine.message(self.now, message)
            self._perform(target, actions, source)

        self._carry(source, target, deliver)

    # ------------------------------------------------------------ clients

    def _client(self) -> None:
        if self.clients_on:
            self.at(self.now + self.rate_ns, self._client)
            # Half of all clients ask whoever they like: a deposed node must hear from them too.
            if self.random.random() < 0.5:
                node = self.random.choice(NODES)
            else:
                node = self.primary() or self.random.choice(NODES)
            op = self.random.choice(["append", "append", "put", "get"])
            key = "" if op == "append" else self.random.choice("xyz")
            token = 0 if op == "get" else next(self._tokens)
            self.ask(Request(node, op, key, token, self.now))

    def ask(self, request: Request) -> Request:
        self.requests.append(request)
        self._carry("client", request.node, lambda: self._handle(request))
        return request

    def _handle(self, request: Request) -> None:
        node = self.machine(request.node)
        if node is None:
            return
        number = next(self._numbers)
        self._open[number] = request
        if request.op == "get":
            answer = node.read(self.now, request.key)
            self._answer(request.node, answer._replace(request=number))
        else:
            actions = node.write(self.now, number, request.key, request.token)
            self._perform(request.node, actions, None)

    def _answer(self, name: str, answer: Answer) -> None:
        request = self._open.pop(answer.request)
        node = self.machine(name)
        if answer.status == 200 and node is not None:
            self.served.append((self.now, node.epoch, name))

        def deliver() -> None:
            if request.status is None:
                request.status, request.done = answer.status, self.now
                request.value, request.version = answer.value, answer.version

        self._carry(name, "client", deliver)

    # ------------------------------------------------------------ operators

    def decide(self, name: str, what: str, request: str = "", candidate: str = "") -> int:
        """An operator says what to do with a pending failover; the status of the answer."""
        node = self.machine(name)
        assert node is not None
        decided = node.decide(self.now, what, request, candidate)
        self._perform(name, node.take(), None)
        return decided.status

    def switchover(self, name: str, to: str = "") -> Told | None:
        """An operator asks for a switchover; the answer if there was one at once."""
        node, before = self.machine(name), len(self.told)
        if node is not None and not self.processes[name].paused:
            self._perform(name, node.switchover(self.now, next(self._numbers), to), None)
        return self.told[before] if len(self.told) > before else None

    # ------------------------------------------------------------ looking

    def machine(self, name: str) -> Node | None:
        machine = self.processes[name].machine
        return machine if isinstance(machine, Node) else None

    @property
    def witness(self) -> Witness | None:
        machine = self.processes["witness"].machine
        return machine if isinstance(machine, Witness) else None

    def roles(self) -> dict[str, str]:
        found = {name: self.machine(name) for name in NODES}
        return {name: node.role(self.now) if node else "dead" for name, node in found.items()}

    def primary(self) -> str | None:
        return next((name for name, role in self.roles().items() if role == "primary"), None)

    def settled(self) -> bool:
        return sorted(self.roles().values()) == ["backup", "primary"]

    def in_sync_and_alive(self, without: str = "") -> list[str]:
        """Members of the durable in-sync set that still hold what they held."""
        members = (self.durable or {}).get("in_sync", {})
        assert isinstance(members, dict)
        alive = []
        for name, inc in members.items():
            node = self.machine(name)
            if name != without and node is not None and node.inc == inc:
                alive.append(name)
        return alive

    def heal(self) -> None:
        self.cut.clear()
        self.weather = Weather()
        for name, slot in self.processes.items():
            if slot.paused:
                self.resume(name)
            if slot.machine is None:
                self.start(name)

    def log_of(self, name: str) -> Counter[int]:
        node = self.machine(name)
        return Counter(node.store.tokens if node else [])

    # ------------------------------------------------------------ judging

    def violations(self) -> list[str]:
        """Everything that a client or an onlooker could hold against the system."""
        return [*self._overlaps(), *self._reads(), *self._writes()]

    def _overlaps(self) -> list[str]:
        found, newest, owner = [], 0, {}
        for when, epoch, node in self.served:
            if epoch < newest:
                found.append(f"{node} served in epoch {epoch} at {when} after epoch {newest}")
            if owner.setdefault(epoch, node) != node:
                found.append(f"{node} and {owner[epoch]} both served in epoch {epoch}")
            newest = max(newest, epoch)
        return found

    def _reads(self) -> list[str]:
        found = []
        for key in "xyz":
            ok = [r for r in self.requests if r.key == key and r.status == 200]
            values: dict[int, int | None] = {}
            found += [
                f"version {r.version} of {key} had two values"
                for r in ok
                if values.setdefault(r.version, r.value) != r.value
            ]
            newest = sorted((w.done, w.version) for w in ok)
            for i in range(1, len(newest)):
                newest[i] = (newest[i][0], max(newest[i][1], newest[i - 1][1]))
            for r in ok:
                before = bisect.bisect_left(newest, (r.sent, 0)) - 1
                known = newest[before][1] if before >= 0 else 0
                if r.op == "get" and r.version < known:
                    found.append(f"stale read of {key}: {r.version} after {known}")
        return found

    def _writes(self) -> list[str]:
        found = []
        logs = {name: self.log_of(name) for name in NODES}
        anywhere = {token for log in logs.values() for token in log}
        front = logs[self.primary() or NODES[0]]
        for r in self.requests:
            if r.op == "append" and r.status == 200 and r.token not in anywhere:
                found.append(f"lost: {r.token}, acknowledged by {r.node} at {r.done}")
            if r.op == "append" and r.status in {421, 503} and r.token in front:
                found.append(f"resurrected: {r.token}, refused with {r.status} by {r.node}")
        found += [f"twice: {token}" for token, count in front.items() if count > 1]
        if self.settled() and logs[NODES[0]] != logs[NODES[1]]:
            found.append("the two logs differ")
        return found
