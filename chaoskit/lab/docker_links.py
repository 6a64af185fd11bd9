"""``Links`` in Docker, where names are resolved by the engine and not by a file alone."""

from __future__ import annotations

from collections.abc import Sequence

from chaoskit.capabilities import Cut, Direction, Misname
from chaoskit.contracts import Node
from chaoskit.errors import LabError
from chaoskit.lab.links import Links

__all__ = ["DockerLinks"]

_RESOLVER = Node("resolver", "127.0.0.11")
"""The engine's own, which every container of a user-defined network has at this address."""


class DockerLinks(Links):
    """A wrong address goes into the container's hosts file; an outage cuts its resolver off."""

    def misname(self, wrong: Sequence[Misname]) -> str:
        """See ``Misnames``."""
        if all(one.address is not None for one in wrong):
            return super().misname(wrong)
        if any(one.address is not None for one in wrong):
            raise LabError("either all names are wrong or none is resolved, not both at once")
        return self.cut([Cut(one.node, (_RESOLVER,), Direction.RECEIVE) for one in wrong])

    def misnamed(self, handle: str) -> bool:
        """See ``Misnames``."""
        return super().misnamed(handle) or self.in_force(handle)

    def rename(self, handle: str) -> None:
        """See ``Misnames``."""
        super().rename(handle)
        self.join(handle)
