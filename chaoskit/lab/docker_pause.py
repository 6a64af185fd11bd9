"""A container stands still and goes on: the engine's freezer, read back."""

from __future__ import annotations

from abc import abstractmethod

from chaoskit.contracts import Node
from chaoskit.errors import ChaoskitError, HealFailed, LabError
from chaoskit.lab.docker_engine import Engine, translating
from chaoskit.lab.journal import Journal
from chaoskit.lab.ops import DockerUnpause

__all__ = ["Freezer", "is_paused", "pause", "unpause"]


class Freezer:
    """``Pauses`` of the Docker lab: the engine's freezer."""

    _engine: Engine
    _journal: Journal
    _frozen: dict[str, list[int]]

    @abstractmethod
    def _id(self, node: Node) -> str: ...

    def pause(self, node: Node) -> None:
        """See ``Pauses``."""
        identity = self._id(node)
        entry = self._journal.intend(DockerUnpause(identity), scope="fault")
        self._frozen.setdefault(node.name, []).append(entry)
        pause(self._engine, identity)
        self._journal.done(entry)

    def paused(self, node: Node) -> bool:
        """See ``Pauses``."""
        return is_paused(self._engine, self._id(node))

    def resume(self, node: Node) -> None:
        """See ``Pauses``."""
        try:
            unpause(self._engine, self._id(node))
        except ChaoskitError as error:
            raise HealFailed(f"{error}; by hand: docker unpause {self._id(node)[:12]}") from error
        for entry in self._frozen.pop(node.name, []):
            self._journal.undone(entry)


def pause(engine: Engine, container_id: str) -> None:
    """Pause it. Raises ``LabError`` if it does not run or the engine cannot."""
    with translating("pausing a container"):
        engine.client().api.pause(container_id)
    if not is_paused(engine, container_id):
        raise LabError(f"container {container_id[:12]} was paused and is not")


def is_paused(engine: Engine, container_id: str) -> bool:
    """Whether the engine says so now; False for one that is gone."""
    state = _state(engine, container_id)
    return state is not None and bool(state.get("Paused"))


def unpause(engine: Engine, container_id: str) -> bool:
    """Let it go on, and see that it does. False: it is gone, or does not run."""
    from docker import errors

    state = _state(engine, container_id)
    if state is None or not state.get("Running"):
        return False
    if state.get("Paused"):
        with translating("letting a container go on"):
            try:
                engine.client().api.unpause(container_id)
            except errors.APIError:
                # Somebody else was quicker, or it has ended: what counts is what is there now.
                if is_paused(engine, container_id):
                    raise
    if is_paused(engine, container_id):
        raise ChaoskitError(f"container {container_id[:12]} is still paused")
    return True


def _state(engine: Engine, container_id: str) -> dict[str, object] | None:
    from docker import errors

    with translating("looking at a container"):
        try:
            found: dict[str, object] = engine.client().api.inspect_container(container_id)["State"]
        except errors.NotFound:
            return None
    return found
