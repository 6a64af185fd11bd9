"""Which node an address is of, where a server or a sentinel names its own."""

from __future__ import annotations

from collections.abc import Iterable

from chaoskit.load.config import Endpoint

__all__ = ["Whereabouts"]


class Whereabouts:
    """Nodes by every address and name that they have in the lab.

    A node has several where it is on several networks, and may listen at other ports than the one
    that its endpoint names, as behind a pooler. So the port only counts where nodes share an
    address.
    """

    def __init__(self, nodes: Iterable[Endpoint], port: int) -> None:
        """``port`` is where those listen whose endpoint names none."""
        found: dict[str | tuple[str, int], set[str]] = {}
        for node in nodes:
            own = set(node.addresses)
            if not node.frontdoor:  # an address that moves is nobody's
                own.add(node.host)
            for host in own:
                for key in (host, (host, node.port or port)):
                    found.setdefault(key, set()).add(node.node)
        self._known = {key: next(iter(of)) for key, of in found.items() if len(of) == 1}

    def node(self, host: str, port: int) -> str:
        """The node's name; empty where nobody, or more than one, is known there."""
        return self._known.get(host) or self._known.get((host, port), "")
