"""A link, a toxic, and the capability of a lab that can put one on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from chaoskit.contracts import Node

__all__ = ["DOWN", "LinkPlace", "Stream", "Toxic", "Toxifies"]

Stream = Literal["upstream", "downstream"]
DOWN = "down"
"""The type of what is no toxic to Toxiproxy: the proxy is switched off and closes everything."""


@dataclass(frozen=True)
class LinkPlace:
    """Where a link is: the node that the Toxiproxy runs on, and the port that it listens on."""

    name: str
    node: Node
    port: int


@dataclass(frozen=True)
class Toxic:
    """One toxic as the server knows it. Attributes are whole numbers in the server's units.

    ``type`` is the server's word for it, or ``down``. ``stream``: ``upstream`` is what the client
    sends, ``downstream`` what it hears. ``toxicity``: the share of connections that it is put on.
    """

    type: str
    stream: Stream = "downstream"
    toxicity: float = 1.0
    attributes: Mapping[str, int] = field(default_factory=dict, hash=False)


@runtime_checkable
class Toxifies(Protocol):
    """``toxify`` and ``detoxify``: toxics on the links that the stack declares."""

    def link(self, name: str) -> LinkPlace:
        """Where the link of that name is. Raises ``LabError`` if the stack declares none."""

    def toxify(self, link: str, toxic: Toxic) -> str:
        """Put it in force, read it back, return a handle. Raises ``LabError``; nothing is in force.

        A proxy that is switched off is refused: a toxic on it would look injected and do nothing.
        """

    def toxic_in_force(self, handle: str) -> bool:
        """Ask the server whether it is there now, with the values that were set."""

    def detoxify(self, handle: str) -> None:
        """Remove it and see that it is gone. Idempotent. Raises ``HealFailed``."""
