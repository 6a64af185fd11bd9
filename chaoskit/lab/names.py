"""What names mean on a node: its ``/etc/hosts``, changed in place and changed back.

The file is reached through the root folder of the service's first process, which in either lab is
the very file that the node's programs and our observers beside it have mounted. Nothing is deleted:
a line that must not count is turned into a comment that carries our mark and can be turned back.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Self

from chaoskit.contracts import Node
from chaoskit.errors import LabError
from chaoskit.lab.ops import Op, RestoreNames, check_run_id
from chaoskit.lab.process import ProcessIdentity, open_checked

__all__ = ["HostsFile", "Names", "misled", "restored"]

_LARGEST = 1 << 20


def _marks(run_id: str) -> tuple[str, str]:
    """Before a line that was switched off, and after a line of ours."""
    return f"#chaoskit_{run_id}# ", f" # chaoskit_{run_id}"


def misled(text: str, run_id: str, own: str, names: tuple[str, ...], address: str | None) -> str:
    """The file in which ``names`` mean ``address``; without one, in which no other node is known.

    The node's own name and ``localhost`` stay.
    """
    off, ours = _marks(check_run_id(run_id))
    added = [f"{IPv4Address(address)} {name}{ours}" for name in names] if address else []
    kept = []
    for line in text.splitlines():
        known = set(line.partition("#")[0].split()[1:])
        hit = bool(known & set(names)) if address else bool(known - {own, "localhost"})
        stays = not known or "localhost" in known or own in known
        kept.append(line if stays or not hit else off + line)
    return "".join(f"{line}\n" for line in [*added, *kept])


def restored(text: str, run_id: str) -> str:
    """The file without anything of ours."""
    off, ours = _marks(check_run_id(run_id))
    lines = (line for line in text.splitlines() if not line.endswith(ours))
    return "".join(f"{line.removeprefix(off)}\n" for line in lines)


class HostsFile:
    """``/etc/hosts`` as a process sees it, open. Raises ``LabError`` if that is not possible."""

    def __init__(self, who: ProcessIdentity) -> None:
        path = f"/proc/{who.pid}/root/etc/hosts"
        try:
            with open_checked(who):
                self._fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            with open_checked(who):  # still the same process: the file is its own
                pass
        except OSError as error:
            raise LabError(f"{path} cannot be changed: {error.strerror or error}") from None

    def read(self) -> str:
        """All of it."""
        return os.pread(self._fd, _LARGEST, 0).decode(errors="surrogateescape")

    def write(self, text: str) -> None:
        """Put this in its place: the same file, which others have mounted."""
        data = text.encode(errors="surrogateescape")
        os.pwrite(self._fd, data, 0)
        os.ftruncate(self._fd, len(data))

    def restore(self, run_id: str) -> bool:
        """Take out everything of ours; False if there was nothing. Raises ``LabError``."""
        text = self.read()
        clean = restored(text, run_id)
        if clean == text:
            return False
        self.write(clean)
        if self.read() != clean:
            raise LabError("/etc/hosts does not hold what was written to it")
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


@dataclass(frozen=True)
class Names:
    """Wrong names on one node: a ``Tweak``."""

    node: Node
    run_id: str
    names: tuple[str, ...]
    address: str | None

    def refuse(self, place: HostsFile) -> None:
        """One at a time: the second could not be told from the first when it is taken out."""
        if restored(place.read(), self.run_id) != place.read():
            raise LabError(f"names of {self.node.name} are wrong already, by an earlier fault")

    def put(self, place: HostsFile) -> None:
        """Change the file."""
        text = place.read()
        place.write(misled(text, self.run_id, self.node.name, self.names, self.address))

    def stands(self, place: HostsFile) -> bool:
        """Whether the file is as it was made."""
        text = place.read()
        again = misled(
            *(restored(text, self.run_id), self.run_id, self.node.name, self.names, self.address)
        )
        return text == again != restored(text, self.run_id)

    def take(self, place: HostsFile) -> None:
        """Change it back."""
        place.restore(self.run_id)

    def undo(self, who: ProcessIdentity) -> Op:
        """For the journal."""
        return RestoreNames(who.pid, who.starttime, who.boot_id, self.run_id)
