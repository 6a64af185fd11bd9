"""A stale neighbour: an address that a node believes to be at a link-layer address of nobody's.

As after a virtual address has moved and nobody has told: the entry is permanent until we take it
out, so no answer of the real owner can mend it. Ours is known by its link-layer address, which is
locally administered and made from the run's id.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass
from ipaddress import IPv4Address

from chaoskit.contracts import Node
from chaoskit.errors import LabError
from chaoskit.lab.netns import Namespaces
from chaoskit.lab.ops import Op, RemoveNeighbour, check_run_id
from chaoskit.lab.process import ProcessIdentity
from chaoskit.lab.shaping import devices_of
from chaoskit.lab.tweaks import tell

__all__ = ["Neighbour", "device_towards", "link_address", "remove_neighbour"]


def link_address(run_id: str) -> str:
    """Where this run's misled packets go: a locally administered address that no device has."""
    digest = zlib.crc32(check_run_id(run_id).encode())
    return "02:ca:" + ":".join(f"{digest >> shift & 0xFF:02x}" for shift in (24, 16, 8, 0))


@dataclass(frozen=True)
class Neighbour:
    """One wrong entry: a ``Tweak``."""

    node: Node
    device: str
    address: IPv4Address
    link: str

    def refuse(self, space: Namespaces) -> None:
        """An entry that somebody made by hand is not touched."""
        found = _entry(space, self.device, self.address)
        if found is not None and "PERMANENT" in found[1]:
            raise LabError(
                f"{self.node.name} has a permanent neighbour entry for {self.address} already; "
                "it is not replaced"
            )

    def put(self, space: Namespaces) -> None:
        """What the kernel has learnt by itself is overwritten: it learns it again afterwards."""
        place = (str(self.address), "lladdr", self.link, "dev", self.device, "nud", "permanent")
        what = f"ip did not make the neighbour entry for {self.address} on {self.node.name}"
        tell(space, "ip", "neigh", "replace", *place, what=what)

    def stands(self, space: Namespaces) -> bool:
        """Whether ours is there."""
        found = _entry(space, self.device, self.address)
        return found is not None and found[0] == self.link and "PERMANENT" in found[1]

    def take(self, space: Namespaces) -> None:
        """Take ours out."""
        remove_neighbour(space, self.device, self.address, self.link)

    def undo(self, who: ProcessIdentity) -> Op:
        """For the journal."""
        return RemoveNeighbour(
            *(who.pid, who.starttime, who.boot_id, self.device, str(self.address), self.link)
        )


def device_towards(space: Namespaces, address: IPv4Address) -> str:
    """The device by which a namespace reaches an address of its own link.

    Raises ``LabError`` where it is not on a link of it: a neighbour is what the fault is about.
    """
    done = space.run(["ip", "-j", "route", "get", str(address)])
    try:
        (route,) = json.loads(done.stdout or b"[]")
        device = str(route["dev"])
    except (ValueError, KeyError, TypeError):
        raise LabError(f"there is no way to {address}, so it is nobody's neighbour") from None
    if "gateway" in route or device not in devices_of(space):
        raise LabError(f"{address} is not on a network of the node, so it is no neighbour of it")
    return device


def remove_neighbour(space: Namespaces, device: str, address: IPv4Address, link: str) -> bool:
    """Take our entry out, and see that it is gone. False if it was not there.

    Raises ``LabError`` while it stays.
    """
    found = _entry(space, device, address)
    if found is None or found[0] != link:
        return False
    done = space.run(["ip", "neigh", "del", str(address), "lladdr", link, "dev", device])
    found = _entry(space, device, address)
    if found is not None and found[0] == link:
        said = done.stderr.decode(errors="replace")
        raise LabError(f"ip did not take the entry for {address} out", output=said)
    return True


_LINK = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def _entry(space: Namespaces, device: str, address: IPv4Address) -> tuple[str, str] | None:
    """Link-layer address and state of an entry; None if there is none."""
    done = space.run(["ip", "-j", "neigh", "show", str(address), "dev", device])
    try:
        listed = json.loads(done.stdout or b"[]")
        entry = next((one for one in listed if one.get("dst") == str(address)), None)
    except (ValueError, AttributeError) as error:
        raise LabError(f"ip answers in a form that is not understood: {error}") from None
    link = str(entry.get("lladdr", "")) if entry else ""
    if entry is None or not _LINK.fullmatch(link):
        return None
    return link, " ".join(entry.get("state", []))
