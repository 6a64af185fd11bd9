"""Undoing what faults have made of a node's links and names, by whoever heals.

The process that the journal names proves what the place is: if it is gone, so is its network.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Literal

from chaoskit.errors import LabError
from chaoskit.lab.names import HostsFile
from chaoskit.lab.neighbours import remove_neighbour
from chaoskit.lab.netns import Namespaces
from chaoskit.lab.ops import RemoveNeighbour, RemoveQdisc, RestoreNames
from chaoskit.lab.process import ProcessIdentity, is_alive
from chaoskit.lab.shaping import remove_qdisc

__all__ = ["link_by_hand", "undo_link"]

LinkOp = RemoveQdisc | RemoveNeighbour | RestoreNames


def undo_link(op: LinkOp) -> Literal["undone", "gone"]:
    """Take out ours and only ours, and see that it is gone. Raises ``LabError``."""
    who = ProcessIdentity(op.pid, op.starttime, op.boot_id)
    if not is_alive(who):
        return "gone"
    try:
        done = _undo_in(op, who)
    except LabError:
        if not is_alive(who):  # it ended while we were on the way
            return "gone"
        raise
    return "undone" if done else "gone"


def _undo_in(op: LinkOp, who: ProcessIdentity) -> bool:
    match op:
        case RestoreNames():
            with HostsFile(who) as file:
                return file.restore(op.run_id)
        case RemoveQdisc():
            with Namespaces.of(who.pid, who.starttime) as space:
                return remove_qdisc(space, op.device, op.major)
        case RemoveNeighbour():
            with Namespaces.of(who.pid, who.starttime) as space:
                return remove_neighbour(space, op.device, IPv4Address(op.address), op.link)


def link_by_hand(op: LinkOp) -> str:
    """The command that does it."""
    match op:
        case RemoveQdisc():
            act = f"tc qdisc del dev {op.device} root handle {op.major:x}:"
        case RemoveNeighbour():
            act = f"ip neigh del {op.address} lladdr {op.link} dev {op.device}"
        case RestoreNames():
            return f"$EDITOR /proc/{op.pid}/root/etc/hosts  # lines with chaoskit_{op.run_id}"
    return f"nsenter -t {op.pid} -n {act}"
