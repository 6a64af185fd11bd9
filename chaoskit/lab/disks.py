"""Disks of nodes: made before the services start, filled up and held up by faults, taken down.

``Disks`` of both labs. A service asks for one by the label ``chaoskit.disk``; without the rights to
make a device it is a file system in memory of the same size, which can be filled up and no more.
Every fault's undo stands in the journal before the act, and names the process that holds the disk
up: whoever heals lets go of it by one signal.
"""

from __future__ import annotations

import contextlib
import signal
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from chaoskit.capabilities import Kills
from chaoskit.contracts import Node
from chaoskit.disks import DISK_LABEL, Blackout, DiskPace, DiskTrial, Room
from chaoskit.errors import ChaoskitError, HealFailed, LabError
from chaoskit.lab.disk import Device, Hand, no_devices
from chaoskit.lab.doom import doom_with
from chaoskit.lab.journal import Journal
from chaoskit.lab.ops import KillProcess, ReleaseDisk
from chaoskit.lab.process import ProcessIdentity
from chaoskit.stack.labels import disk
from chaoskit.stack.model import Stack

__all__ = ["Mounted", "NodeDisks", "bounded", "mounted"]

_FILL_S = 30.0
_UNMOUNTED_S = 10.0
_LARGEST = 1 << 30
"""Bytes that we fill up at most: all of them are the machine's memory."""


@dataclass(frozen=True)
class Mounted:
    """One line of a process's ``mountinfo``."""

    number: str  # of the device, major:minor
    root: str  # which part of the file system
    target: str
    kind: str
    options: str


def mounted(text: str) -> Iterator[Mounted]:
    """Everything that ``/proc/<pid>/mountinfo`` lists."""
    for line in text.splitlines():
        before, dash, after = line.partition(" - ")
        fields, rest = before.split(), after.split()
        if dash and len(fields) > 4 and len(rest) > 2:
            yield Mounted(fields[2], fields[3], fields[4], rest[0], rest[2])


def bounded(number: str, inside: str, outside: str) -> str | None:
    """Why a file system must not be filled up; None if it is a node's own and of bounded size.

    ``inside`` and ``outside`` are the ``mountinfo`` of the node and of this machine.
    """
    here = [one for one in mounted(inside) if one.number == number]
    if any(one.number == number for one in mounted(outside)):
        return "it lies on a file system of this machine"
    if not here or any(one.kind != "tmpfs" or one.root != "/" for one in here):
        return "it is no file system of the node's own"
    if not any(option.startswith("size=") for option in here[0].options.split(",")):
        return "its size has no bound; give its tmpfs one, e.g. /data:size=64m"
    return None


@dataclass
class _Held:
    entry: int
    space: int = 0


class NodeDisks:
    """``Disks`` of a lab whose nodes are processes of this machine."""

    _stack: Stack
    _run_id: str
    _journal: Journal

    def __init__(self) -> None:
        self._devices: dict[str, Device] = {}
        self._hands: dict[tuple[str, str], Hand] = {}
        self._entered: dict[tuple[str, str], ProcessIdentity] = {}
        self._disk_entries: list[int] = []
        self._full: dict[tuple[str, str], _Held] = {}
        self._slow: dict[str, _Held] = {}

    @abstractmethod
    def first_process(self, node: Node) -> ProcessIdentity:
        """See ``NodeProcesses``."""

    # ------------------------------------------------------------ for the lab

    def _make_disks(self) -> dict[str, str | None]:
        """Service → its new device; None where it has to be memory of that size instead."""
        asked = {name: disk(service) for name, service in self._stack.services.items()}
        found: dict[str, str | None] = {}
        for name, words in asked.items():
            if words is None:
                continue
            found[name] = None
            if no_devices() is None:
                device = Device(self._run_id, name, words.size)
                self._devices[name] = device
                self._hands[name, ""] = device.hand
                found[name] = device.path
                for helper in (device.hand, device.server):
                    self._note(helper.identity, f"disk of {name}")
        return found

    def _let_all_go(self) -> None:
        """Nobody may hang on a disk while the lab is taken down. Never raises."""
        for device in self._devices.values():
            with contextlib.suppress(ChaoskitError):
                device.server.release()
        for hand in self._hands.values():
            with contextlib.suppress(ChaoskitError):
                hand.release()

    def _close_disks(self) -> None:
        """To be called when the nodes are gone. Idempotent."""
        for device in self._devices.values():
            device.close()
        for hand in self._hands.values():
            hand.close()
        held = [*self._full.values(), *self._slow.values()]
        for entry in [*(one.entry for one in held), *self._disk_entries]:
            self._journal.undone(entry)
        for table in (self._devices, self._hands, self._entered, self._full, self._slow):
            table.clear()
        self._disk_entries.clear()

    def _note(self, who: ProcessIdentity, what: str) -> None:
        entry = self._journal.intend(KillProcess(who.pid, who.starttime, who.boot_id, what))
        self._journal.done(entry)
        self._disk_entries.append(entry)

    # ------------------------------------------------------------ Disks

    def ready_disk(self, node: Node, path: str = "") -> Room:
        """See ``Disks``."""
        key = node.name, self._same(node, path)
        first = self.first_process(node)
        hand = self._hands.get(key)
        if hand is None:
            hand = self._hands[key] = Hand(self._run_id, node.name)
            self._note(hand.identity, f"hand in {key[1] or 'the disk'} of {node.name}")
        if self._entered.get(key) != first:
            place = key[1] or self._place(node)
            seen = hand.ask(do="enter", pid=first.pid, path=place)
            self._check(node, place, seen, first)
            self._entered[key] = first
        return _room(hand.ask(do="look"))

    def try_disk(self, node: Node, size: int, patience_s: float, path: str = "") -> DiskTrial:
        """See ``Disks``."""
        hand = self._hand(node, path)
        told = hand.ask(patience_s + _FILL_S, do="try", bytes=size, patience_s=patience_s)
        return DiskTrial(bool(told["ended"]), float(str(told["took_s"])), str(told["error"]))

    def fill(self, node: Node, leave: int, path: str = "") -> Room:
        """See ``Disks``."""
        hand = self._hand(node, path)
        held = self._full[node.name, self._same(node, path)] = _Held(self._intend(hand.identity))
        room = _room(hand.ask(_FILL_S, do="fill", leave=leave))
        held.space = room.held
        self._journal.done(held.entry)
        return room

    def filled(self, node: Node, path: str = "") -> bool:
        """See ``Disks``."""
        key = node.name, self._same(node, path)
        held, hand = self._full.get(key), self._hands.get(key)
        if held is None or hand is None or not hand.busy():
            return False
        try:
            seen = hand.ask(do="look")
        except LabError:
            return False
        return _room(seen).held >= held.space > 0 and self._has(node, str(seen["number"]))

    def drain(self, node: Node, path: str = "") -> None:
        """See ``Disks``."""
        key = node.name, self._same(node, path)
        held = self._full.get(key)
        if held is None:
            return
        try:
            self._hands[key].release()
        except LabError as error:
            raise HealFailed(f"the disk of {node.name} is still full: {error}") from error
        self._journal.undone(held.entry)
        del self._full[key]

    def hold_up(self, node: Node, pace: DiskPace) -> None:
        """See ``Disks``."""
        device = self._device(node)
        if node.name not in self._slow:
            self._slow[node.name] = _Held(self._intend(device.server.identity))
        device.pace(pace)
        self._journal.done(self._slow[node.name].entry)

    def held_up(self, node: Node) -> bool:
        """See ``Disks``."""
        device = self._devices.get(node.name)
        busy = device is not None and node.name in self._slow and device.server.busy()
        return device is not None and busy and self._has(node, device.number)

    def requests_waiting(self, node: Node) -> int:
        """See ``Disks``."""
        return self._device(node).waiting()

    def let_go(self, node: Node) -> None:
        """See ``Disks``."""
        held = self._slow.get(node.name)
        if held is None:
            return
        try:
            self._device(node).server.release()
        except LabError as error:
            raise HealFailed(f"the disk of {node.name} is still held up: {error}") from error
        self._journal.undone(held.entry)
        del self._slow[node.name]

    def lose_power(self, nodes: Sequence[Node]) -> Blackout:
        """See ``Disks``. If it fails, the disks have power and have forgotten nothing."""
        for node in nodes:
            self._device(node)
        try:
            for node in nodes:
                self.hold_up(node, DiskPace(stalled=True))  # its undo is in the journal from here
                self._entered.pop((node.name, ""), None)
                self._device(node).cut_power()
            told_ns = max(self._end(node) for node in nodes)
            left = {n.name: self._device(n).restore_power(_UNMOUNTED_S) for n in nodes}
            return Blackout(left, told_ns)
        finally:
            for node in nodes:
                self.let_go(node)

    def _end(self, node: Node) -> int:
        """A process that hangs on its disk cannot end: it is answered when it can only end.

        When it was told to.
        """
        first, device = self.first_process(node), self._device(node)
        with ThreadPoolExecutor(max_workers=1) as pool:
            ended = pool.submit(doom_with, first, device.run_out)
            told_ns = cast("Kills", self).kill(node, signal.SIGKILL)
            ended.result()
        return told_ns

    # ------------------------------------------------------------ small things

    def _intend(self, who: ProcessIdentity) -> int:
        op = ReleaseDisk(who.pid, who.starttime, who.boot_id)
        return self._journal.intend(op, scope="fault")

    def _place(self, node: Node) -> str:
        service = self._stack.services.get(node.name)
        words = disk(service) if service else None
        if words is None:
            raise LabError(
                f"{node.name} has no disk of its own: give it the label {DISK_LABEL}, e.g. "
                "'/data 64m'"
            )
        return words.path

    def _same(self, node: Node, path: str) -> str:
        """The path itself, empty for that of the node's disk."""
        service = self._stack.services.get(node.name)
        words = disk(service) if service else None
        return "" if words is not None and path.rstrip("/") == words.path else path

    def _hand(self, node: Node, path: str) -> Hand:
        self.ready_disk(node, path)
        return self._hands[node.name, self._same(node, path)]

    def _device(self, node: Node) -> Device:
        self._place(node)
        if node.name not in self._devices:
            raise LabError(no_devices() or f"{node.name} has no disk now: the lab is not up")
        return self._devices[node.name]

    def _check(self, node: Node, place: str, seen: dict[str, object], who: ProcessIdentity) -> None:
        """Refuse what is not the node's own, or so large that it would hurt this machine."""
        device, number = self._devices.get(node.name), str(seen["number"])
        if device is not None and device.number == number:
            return
        inside, outside = (
            Path(f"/proc/{whose}/mountinfo").read_text(encoding="utf-8", errors="replace")
            for whose in (who.pid, "self")
        )
        reason = "it is the root of the node's files" if not seen["own"] else None
        reason = reason or bounded(number, inside, outside)
        if reason is None and _room(seen).size > _LARGEST:
            reason = f"it is larger than {_LARGEST >> 20} MiB, and all of that is memory"
        if reason is not None:
            raise LabError(
                f"{place} of {node.name} is left alone: {reason}; a disk of its own comes with the "
                f"label {DISK_LABEL}"
            )

    def _has(self, node: Node, number: str) -> bool:
        """Whether the node has that file system mounted now; while it is down: will have."""
        try:
            who = self.first_process(node)
            text = Path(f"/proc/{who.pid}/mountinfo").read_text(encoding="utf-8", errors="replace")
        except (LabError, OSError):
            device = self._devices.get(node.name)
            return device is not None and device.number == number
        return any(one.number == number for one in mounted(text))


def _room(told: dict[str, object]) -> Room:
    size, free, held = (int(str(told[key])) for key in ("size", "free", "held"))
    return Room(size, free, held)
