"""Nodes that all talk to each other, clients and a bad network, in nobody's real time.

Messages are delayed, lost, doubled and overtaken, processes are killed, restarted and stopped,
directions are cut: everything drawn from one seed. What clients were told is kept; the two shapes
judge it each by what it promises.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from chaoskit.reference.actions import Answer, Note, Reply, Tell
from chaoskit.reference.settings import Timing

MS = 1_000_000
LENGTHS = [30, 150, 300, 330, 360, 400, 700, 1000, 3000]


@dataclass
class Weather:
    """How bad the network is."""

    lost: float = 0.0
    doubled: float = 0.0
    slow: float = 0.0  # share of messages that take up to ``slow_ns``
    slow_ns: int = 400 * MS


WEATHERS = {
    "calm": Weather(),
    "rough": Weather(lost=0.05, doubled=0.05, slow=0.05),
    "wild": Weather(lost=0.2, doubled=0.1, slow=0.2, slow_ns=900 * MS),
}


@dataclass
class Request:
    """What a client asked, and what it was told."""

    node: str
    op: str  # append, put, get
    number: int  # part of the log, or number of the register
    token: int
    sent: int
    status: int | None = None
    done: int = 0
    value: int | None = None
    version: int = 0


@dataclass
class Process:
    """A slot in which incarnations of one node live and die."""

    machine: Any = None
    life: int = 0
    paused: bool = False
    waiting: list[Callable[[], None]] = field(default_factory=list)


class Mesh:
    """Everything there is. ``codec`` and the three methods at the end are the shape's."""

    codec: Any
    numbers = 6

    def __init__(self, seed: int, weather: Weather, names: tuple[str, ...]) -> None:
        self.random = Random(seed)
        self.weather, self.names = weather, names
        self.timing = Timing(100 * MS, 3, 50 * MS, 500 * MS)
        self.now = 1_000 * MS
        self.queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._tokens = itertools.count(1)
        self._numbers = itertools.count(1)
        self.processes = {name: Process() for name in names}
        self.cut: set[tuple[str, str]] = set()
        self.troubled_until = 0
        self.requests: list[Request] = []
        self.open: dict[int, Request] = {}
        self.served: list[tuple[int, str, Request, Any]] = []
        self.notes: list[tuple[int, str, str, str]] = []
        self.clients_on = True
        self.rate_ns = 5 * MS
        for name in names:
            self.at(self.now + self.random.randrange(0, 300 * MS), lambda n=name: self.start(n))
        self.at(self.now, self._client)

    def at(self, when: int, what: Callable[[], None]) -> None:
        heapq.heappush(self.queue, (when, next(self._order), what))

    def run_for(self, length: int) -> None:
        end = self.now + length
        while self.queue and self.queue[0][0] <= end:
            self.now, _, what = heapq.heappop(self.queue)
            what()
        self.now = end

    # ------------------------------------------------------------ processes

    def start(self, name: str) -> None:
        slot = self.processes[name]
        if slot.machine is not None:
            return
        slot.life += 1
        slot.machine, slot.paused, slot.waiting = self.make(name), False, []
        self._tick(name, slot.life)

    def kill(self, name: str) -> None:
        slot = self.processes[name]
        slot.machine, slot.paused, slot.waiting = None, False, []
        slot.life += 1

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
        self.perform(name, slot.machine.tick(self.now), None)
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

    def perform(self, name: str, actions: list[Any], source: str | None) -> None:
        for action in actions:
            if isinstance(action, Tell):
                self._post(name, action.to, self.codec.encode([action.message]))
            elif isinstance(action, Reply):
                assert source is not None
                self._post(name, source, self.codec.encode([action.message]))
            elif isinstance(action, Answer):
                self._answer(name, action)
            else:
                assert isinstance(action, Note)
                self.notes.append((self.now, name, action.event, action.detail))

    def _post(self, source: str, target: str, body: bytes) -> None:
        life = self.processes[target].life
        # A late message may reach the process that was started in the meantime.
        lives = {life} if self.random.random() < 0.5 else {life, life + 1, life + 2}

        def deliver() -> None:
            slot = self.processes[target]
            if slot.machine is not None and slot.life in lives:
                for message in self.codec.decode(body):
                    self.perform(target, slot.machine.message(self.now, message), source)

        self._carry(source, target, deliver)

    # ------------------------------------------------------------ clients

    def _client(self) -> None:
        if not self.clients_on:
            return
        self.at(self.now + self.rate_ns, self._client)
        op = self.random.choice(["append", "append", "put", "get"])
        number = self.random.randrange(1, self.numbers + 1)
        # Half of all clients ask whoever they like: a deposed node must hear from them too.
        node = self.random.choice(self.names)
        if self.random.random() < 0.5:
            node = self.owner(number) or node
        token = 0 if op == "get" else next(self._tokens)
        request = Request(node, op, number, token, self.now)
        self.requests.append(request)
        self._carry("client", node, lambda: self._handle(request))

    def _handle(self, request: Request) -> None:
        machine = self.processes[request.node].machine
        if machine is None:
            return
        asked = next(self._numbers)
        self.open[asked] = request
        if request.op == "get":
            answer = self.read(machine, request.number)
            self._answer(request.node, answer._replace(request=asked))
        else:
            self.perform(request.node, self.write(machine, asked, request), None)

    def _answer(self, name: str, answer: Answer) -> None:
        request = self.open.pop(answer.request)
        machine = self.processes[name].machine
        if answer.status == 200:
            self.served.append((self.now, name, request, self.mark(machine, request.number)))

        def deliver() -> None:
            if request.status is None:
                request.status, request.done = answer.status, self.now
                request.value, request.version = answer.value, answer.version

        self._carry(name, "client", deliver)

    # ------------------------------------------------------------ misfortune

    def machines(self) -> dict[str, Any]:
        return {n: p.machine for n, p in self.processes.items() if p.machine is not None}

    def heal(self) -> None:
        self.cut.clear()
        self.weather = Weather()
        for name, slot in self.processes.items():
            if slot.paused:
                self.resume(name)
            self.start(name)

    def misfortune(self, random: Random) -> None:
        """One thing goes wrong, for a while."""
        what = random.choice(["kill", "kill", "pause", "pause", "cut", "cut", "isolate", "deafen"])
        name = random.choice(self.names)
        slot = self.processes[name]
        length = random.choice(LENGTHS) * MS
        end = self.now + random.randrange(length // 2, length)
        if what == "kill":
            if slot.machine is not None and self.may_be_killed(name):
                self.kill(name)
                self.at(end, lambda: self.start(name))
            return
        self.troubled_until = max(self.troubled_until, end + 2_000 * MS)
        if what == "pause" and slot.machine is not None and not slot.paused:
            life = slot.life
            self.pause(name)
            self.at(end, lambda: self.resume(name) if slot.life == life else None)
            return
        everybody = (*self.names, "client")
        ways = [(a, b) for a in everybody for b in everybody if a != b]
        if what == "isolate":
            chosen = {way for way in ways if name in way and random.random() < 0.9}
        elif what == "deafen":
            chosen = {way for way in ways if way[1] == name and way[0] != "client"}
        else:
            chosen = set(random.sample(ways, random.choice([1, 2, 4])))
        self.cut |= chosen
        self.at(end, lambda: self.cut.difference_update(chosen))

    def bad_day(self, seed: int, seconds: int = 8) -> list[str]:
        """A day of misfortunes, then everything heals and comes to rest: what is held against it."""
        random = Random(f"misfortune {seed}")
        self.run_for(1_500 * MS)
        end = self.now + seconds * 1_000 * MS
        while self.now < end:
            self.run_for(random.randrange(1, 700) * MS)
            self.misfortune(random)
        self.heal()
        self.run_for(5_000 * MS)
        self.clients_on = False
        self.run_for(2_500 * MS)
        return self.violations()

    # ------------------------------------------------------------ of the shape

    def make(self, name: str) -> Any:
        raise NotImplementedError

    def read(self, machine: Any, number: int) -> Answer:
        raise NotImplementedError

    def write(self, machine: Any, asked: int, request: Request) -> list[Any]:
        raise NotImplementedError

    def owner(self, number: int) -> str | None:
        raise NotImplementedError

    def mark(self, machine: Any, number: int) -> Any:
        raise NotImplementedError

    def may_be_killed(self, name: str) -> bool:
        raise NotImplementedError

    def violations(self) -> list[str]:
        raise NotImplementedError
