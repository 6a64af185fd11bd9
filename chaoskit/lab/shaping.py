"""What a node sends is slowed down, by a queueing discipline of ours on its devices.

Our handle is our mark: a discipline is made with ``add``, which replaces nothing, taken out by its
handle, and one of somebody else's is a reason to refuse. Arguments are lists of words made from
numbers; nothing that a person typed is among them.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass

from chaoskit.capabilities import Netem, Rate, Shape
from chaoskit.contracts import Node
from chaoskit.errors import LabError
from chaoskit.lab.netns import Namespaces
from chaoskit.lab.ops import Op, RemoveQdisc, check_run_id
from chaoskit.lab.process import ProcessIdentity
from chaoskit.lab.tweaks import tell

__all__ = ["Qdisc", "devices_of", "handle_of", "netem_words", "qdisc_of", "remove_qdisc", "words"]

_DEVICE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_OF_THE_KERNEL = ("noqueue", "pfifo_fast", "fq_codel", "fq", "mq", "pfifo", "cake")


def handle_of(run_id: str) -> int:
    """The major number of this run's disciplines: between c000 and cfff."""
    return 0xC000 | (zlib.crc32(check_run_id(run_id).encode()) & 0xFFF)


def words(what: Rate | Netem) -> tuple[str, ...]:
    """What follows ``tc qdisc add dev <device> root handle <ours>``."""
    if isinstance(what, Rate):
        return (
            *("tbf", "rate", f"{what.bytes_per_s}bps"),
            *("burst", str(what.burst), "limit", str(what.limit)),
        )
    return ("netem", *netem_words(what))


def netem_words(what: Netem) -> tuple[str, ...]:
    """The arguments of netem, in the order of its own manual."""
    found = ["limit", str(what.limit)]
    if what.delay_us or what.jitter_us:
        found += ["delay", f"{what.delay_us}us"]
        if what.jitter_us:
            found += [f"{what.jitter_us}us", _percent(what.correlation)]
            found += ["distribution", "normal"] if what.normal else []
    for key, share in (
        ("loss", what.loss),
        ("corrupt", what.corrupt),
        ("duplicate", what.duplicate),
        ("reorder", what.reorder),
    ):
        if share:
            found += [key, _percent(share), _percent(what.correlation)]
    return tuple(found)


def _percent(share: float) -> str:
    return f"{share * 100:.4f}%"


@dataclass(frozen=True)
class Qdisc:
    """One shape on one device: a ``Tweak``."""

    node: Node
    device: str
    major: int
    what: Rate | Netem

    def refuse(self, space: Namespaces) -> None:
        """Somebody's own root discipline, ours included, is not replaced."""
        found = qdisc_of(space, self.device)
        if found is None or (found[1] == 0 and found[0] in _OF_THE_KERNEL):
            return
        whose = "an earlier fault of this run" if found[1] == self.major else "somebody else"
        raise LabError(
            f"{self.device} of {self.node.name} has a root queueing discipline "
            f"({found[0]} {found[1]:x}:) of {whose} already; it is not replaced"
        )

    def put(self, space: Namespaces) -> None:
        """Add it."""
        what = f"{self.node.name}: tc did not make {words(self.what)[0]} on {self.device}"
        place = ("dev", self.device, "root", "handle", f"{self.major:x}:")
        tell(space, "tc", "qdisc", "add", *place, *words(self.what), what=what)

    def stands(self, space: Namespaces) -> bool:
        """Whether ours is the root, of the right kind."""
        return qdisc_of(space, self.device) == (words(self.what)[0], self.major)

    def take(self, space: Namespaces) -> None:
        """Take ours out."""
        remove_qdisc(space, self.device, self.major)

    def undo(self, who: ProcessIdentity) -> Op:
        """For the journal."""
        return RemoveQdisc(who.pid, who.starttime, who.boot_id, self.device, self.major)


def qdiscs(shape: Shape, space: Namespaces, major: int) -> list[Qdisc]:
    """One for each device of the node."""
    return [Qdisc(shape.node, device, major, shape.what) for device in devices_of(space)]


def devices_of(space: Namespaces) -> tuple[str, ...]:
    """The network devices of a namespace, without ``lo``. Raises ``LabError`` for a wild name."""
    raw = space.run(["cat", "/proc/net/dev"]).stdout.decode(errors="replace")
    names = [line.partition(":")[0].strip() for line in raw.splitlines()[2:]]
    for name in names:
        if not _DEVICE.fullmatch(name):
            raise LabError(f"a network device of the node has the unusable name {name!r}")
    return tuple(name for name in names if name != "lo")


def qdisc_of(space: Namespaces, device: str) -> tuple[str, int] | None:
    """Kind and major number of a device's root discipline; None if the device is gone."""
    done = space.run(["tc", "-j", "qdisc", "show", "dev", device])
    if done.returncode != 0:
        return None
    try:
        listed = json.loads(done.stdout or b"[]")
        root = next((one for one in listed if one.get("root")), None)
        return (str(root["kind"]), int(root["handle"].rstrip(":"), 16)) if root else ("noqueue", 0)
    except (ValueError, KeyError, AttributeError) as error:
        raise LabError(f"tc answers in a form that is not understood: {error}") from None


def remove_qdisc(space: Namespaces, device: str, major: int) -> bool:
    """Take our root discipline out, and see that it is gone. False if it was not there.

    Raises ``LabError`` while it stays.
    """
    found = qdisc_of(space, device)
    if found is None or found[1] != major:
        return False
    handle = f"{major:x}:"
    done = space.run(["tc", "qdisc", "del", "dev", device, "root", "handle", handle])
    found = qdisc_of(space, device)
    if found is not None and found[1] == major:
        said = done.stderr.decode(errors="replace")
        raise LabError(f"tc did not take {handle} off {device}", output=said)
    return True
