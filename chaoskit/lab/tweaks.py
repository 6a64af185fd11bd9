"""Changes in a node that outlive their maker: put in, read back, taken out again.

Tables of ours end with the process that holds them; a queueing discipline, a neighbour entry or a
line of a file does not. So each is written to the journal, with the process whose place it is in,
before it is made: whoever heals goes there, if it is still there, and takes out ours and only ours.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from chaoskit.contracts import Node
from chaoskit.errors import ChaoskitError, HealFailed, LabError
from chaoskit.lab.journal import Journal
from chaoskit.lab.netns import Namespaces
from chaoskit.lab.ops import Op
from chaoskit.lab.process import ProcessIdentity

__all__ = ["Tweak", "Tweaks", "tell"]


P = TypeVar("P")
P_contra = TypeVar("P_contra", contravariant=True)


class Tweak(Protocol[P_contra]):
    """One change in one place of a node: frozen data, typed. No field can become syntax."""

    @property
    def node(self) -> Node:
        """Whose place it is."""

    def refuse(self, place: P_contra) -> None:
        """Raise ``LabError`` where something of somebody else's is in the way."""

    def put(self, place: P_contra) -> None:
        """Make it, without replacing anything. Raises ``LabError`` with the program's words."""

    def stands(self, place: P_contra) -> bool:
        """Ask the kernel whether it is there now, as it was made."""

    def take(self, place: P_contra) -> None:
        """Take it out if it is there, and see that it is gone. Raises ``LabError``."""

    def undo(self, who: ProcessIdentity) -> Op:
        """The same for the journal; ``who`` lives in that place."""


@dataclass
class _Made(Generic[P]):
    tweak: Tweak[P]
    entry: int
    who: ProcessIdentity


class Tweaks(Generic[P]):
    """All of one sort in one lab, by handle.

    ``resident`` names a process that lives in the node's place and raises ``LabError`` where the
    node has none now; None: this host does not see it as its own. ``enter`` opens the place of
    such a process, and raises ``LabError`` if it is gone.
    """

    def __init__(
        self,
        journal: Journal,
        resident: Callable[[Node], ProcessIdentity | None],
        enter: Callable[[ProcessIdentity], AbstractContextManager[P]],
    ) -> None:
        self._journal, self._resident, self._enter = journal, resident, enter
        self._made: dict[str, list[_Made[P]]] = {}
        self._count = 0
        self._lock = threading.RLock()

    def enter(self, node: Node) -> AbstractContextManager[P]:
        """The place of a node that runs now. Raises ``LabError``."""
        return self._enter(self._who(node))

    def put(self, tweaks: Sequence[Tweak[P]]) -> str:
        """Make all of them, read back, or none. Raises ``LabError``; returns a handle."""
        with self._lock:
            for tweak in tweaks:
                with self.enter(tweak.node) as place:
                    tweak.refuse(place)
            self._count += 1
            handle = f"t{self._count}"
            made = self._made.setdefault(handle, [])
            try:
                for tweak in tweaks:
                    made.append(self._make(tweak))
            except BaseException:
                self.take(handle)
                raise
            return handle

    def of(self, handle: str) -> tuple[tuple[Tweak[P], ProcessIdentity], ...]:
        """Everything of the handle, as it was made, with the process in whose place it is."""
        with self._lock:
            return tuple((one.tweak, one.who) for one in self._made.get(handle, ()))

    def stand(self, handle: str) -> bool:
        """Whether the kernel shows all of them, in the networks that the nodes have now."""
        with self._lock:
            made = self._made.get(handle, [])
            try:
                return bool(made) and all(self._stands(one) for one in made)
            except LabError:
                return False

    def take(self, handle: str) -> None:
        """Take out all of the handle, going on past one that fails. Idempotent.

        Raises ``HealFailed``.
        """
        with self._lock:
            left: list[_Made[P]] = []
            problems: list[str] = []
            for one in reversed(self._made.pop(handle, [])):
                try:
                    self._take(one)
                except ChaoskitError as error:
                    left.insert(0, one)
                    problems.append(f"{one.tweak.node.name}: {error}")
            if left:
                self._made[handle] = left
                raise HealFailed("; ".join(problems))

    def renew(self, node: Node) -> None:
        """Make again, in a new network of the node's, what is still meant to be in force there.

        To be called when a node was started again. Raises ``LabError``.
        """
        with self._lock:
            who = self._resident(node)
            for made in self._made.values():
                for i, one in enumerate(made):
                    if one.tweak.node.name == node.name and who != one.who:
                        made[i] = self._make(one.tweak)
                        self._journal.undone(one.entry)  # its network went with its process

    def close(self) -> None:
        """Forget all of it: to be called when the networks are gone. Idempotent."""
        with self._lock:
            for one in [one for made in self._made.values() for one in made]:
                self._journal.undone(one.entry)
            self._made.clear()

    def _who(self, node: Node) -> ProcessIdentity:
        who = self._resident(node)
        if who is None:
            raise LabError(
                f"{node.name} cannot be changed from here, because what would undo it needs root "
                "on the machine that the engine runs on"
            )
        return who

    def _make(self, tweak: Tweak[P]) -> _Made[P]:
        who = self._who(tweak.node)
        made = _Made(tweak, self._journal.intend(tweak.undo(who), scope="fault"), who)
        try:
            with self._enter(who) as place:
                tweak.put(place)
                _see(tweak, place)
        except BaseException:
            self._take(made)
            raise
        self._journal.done(made.entry)
        return made

    def _stands(self, one: _Made[P]) -> bool:
        if self._resident(one.tweak.node) != one.who:
            return False
        with self._enter(one.who) as place:
            return one.tweak.stands(place)

    def _take(self, one: _Made[P]) -> None:
        try:
            opened = self._enter(one.who)
        except LabError:
            pass  # the process is gone, and its place with it
        else:
            with opened as place:
                one.tweak.take(place)
        self._journal.undone(one.entry)


def _see(tweak: Tweak[P], place: P) -> None:
    if not tweak.stands(place):
        raise LabError(f"the kernel does not show what was made on {tweak.node.name}")


def tell(space: Namespaces, *argv: str, what: str) -> str:
    """Run a program inside; its output. Raises ``LabError`` that says what did not work."""
    done = space.run(argv)
    if done.returncode != 0:
        raise LabError(what, output=(done.stderr or done.stdout).decode(errors="replace"))
    return done.stdout.decode(errors="replace")
