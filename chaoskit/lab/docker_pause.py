"""A container stands still and goes on: the engine's freezer, read back."""

from __future__ import annotations

from chaoskit.errors import ChaoskitError, LabError
from chaoskit.lab.docker_engine import Engine, translating

__all__ = ["is_paused", "pause", "unpause"]


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
