"""A node's network, entered through a helper container: where we are not root on the engine's host.

The helper shares the node's network namespace and may administer it. Programs run there through
the ``docker`` program, as a child of ours: when we die its connection breaks, the program's input
ends, and what it held goes with it, as it does on the direct way.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaoskit.errors import LabError
from chaoskit.lab.docker_probe import Endpoint
from chaoskit.lab.netns import Namespaces

__all__ = ["HelperNamespaces"]


class HelperNamespaces(Namespaces):
    """``Namespaces`` of the helper container with this full id; it stays when this is closed."""

    def __init__(self, endpoint: Endpoint, helper: str) -> None:
        super().__init__({})
        self._enter = ["docker", "-H", endpoint.url, "exec", "-i", "--user", "0", helper]

    def command(self, argv: Sequence[str]) -> list[str]:
        """The argument list that runs ``argv`` in the helper."""
        return [*self._enter, *argv]

    def inode(self, kind: str = "net") -> int:
        """The namespace's number, as the helper sees it. Raises ``LabError`` if it is gone."""
        told = self.run(["readlink", f"/proc/self/ns/{kind}"])
        digits = told.stdout.decode(errors="replace").partition("[")[2].rstrip("]\n")
        if told.returncode != 0 or not digits.isdigit():
            said = told.stderr.decode(errors="replace").strip()
            raise LabError(f"the helper beside the node is gone: {said}")
        return int(digits)
