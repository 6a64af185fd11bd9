"""Everything that can be done to links and names, for labs whose nodes are network namespaces.

A lab mixes this in and sets the four tools when it is made; every method is one call to one of
them. See the protocols in ``capabilities``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import AddressValueError, IPv4Address

from chaoskit.capabilities import Cut, Misdirection, Misname, Shape
from chaoskit.contracts import Node
from chaoskit.errors import LabError
from chaoskit.lab.journal import Journal
from chaoskit.lab.names import HostsFile, Names
from chaoskit.lab.neighbours import Neighbour, device_towards, link_address
from chaoskit.lab.netfilter import Netfilter
from chaoskit.lab.netns import Namespaces
from chaoskit.lab.process import ProcessIdentity
from chaoskit.lab.resources import Resources
from chaoskit.lab.shaping import handle_of, qdiscs
from chaoskit.lab.tweaks import Tweaks

__all__ = ["Links"]

_Resident = Callable[[Node], ProcessIdentity | None]


class Links(Resources):
    """What can be done to the links and names of nodes, and to what they may use."""

    _netfilter: Netfilter
    _run: str
    _tweaks: Tweaks[Namespaces]
    _names: Tweaks[HostsFile]

    def _make_links(
        self,
        run_id: str,
        journal: Journal,
        namespaces: Callable[[Node], Namespaces],
        network: _Resident,
        files: _Resident,
    ) -> None:
        """To be called by the lab's constructor.

        ``network`` and ``files`` name a process that lives in the node's network, and one that
        sees its files.
        """
        self._run = run_id
        self._netfilter = Netfilter(run_id, journal, namespaces)
        self._tweaks = Tweaks(journal, network, lambda who: Namespaces.of(who.pid, who.starttime))
        self._names = Tweaks(journal, files, HostsFile)
        self._make_resources(run_id, journal, files)

    def _renew_links(self, node: Node) -> None:
        """Put in force again what is meant to be, on a node that was started again."""
        for tool in (self._netfilter, self._tweaks, self._names, self._limits, self._clocks):
            tool.renew(node)

    def _forget_links(self) -> None:
        """The lab is down: nothing of it is left to undo."""
        self._tweaks.close()
        self._names.close()
        self._forget_resources()

    # ------------------------------------------------------------ Cuts

    def cut(self, cuts: Sequence[Cut]) -> str:
        """See ``Cuts``."""
        return self._netfilter.cut(cuts)

    def in_force(self, handle: str) -> bool:
        """See ``Cuts``."""
        return self._netfilter.in_force(handle)

    def join(self, handle: str) -> None:
        """See ``Cuts``."""
        self._netfilter.join(handle)

    # ------------------------------------------------------------ Shapes

    def shape(self, shapes: Sequence[Shape]) -> str:
        """See ``Shapes``: on every device of the node."""
        found = []
        for shape in shapes:
            with self._tweaks.enter(shape.node) as space:
                found += qdiscs(shape, space, handle_of(self._run))
        return self._tweaks.put(found)

    def shaped(self, handle: str) -> bool:
        """See ``Shapes``."""
        return self._tweaks.stand(handle)

    def unshape(self, handle: str) -> None:
        """See ``Shapes``."""
        self._tweaks.take(handle)

    # ------------------------------------------------------------ Misdirects

    def misdirect(self, wrong: Sequence[Misdirection]) -> str:
        """See ``Misdirects``."""
        found = []
        for one in wrong:
            try:
                address = IPv4Address(one.address)
            except AddressValueError:
                raise LabError(f"{one.address!r} is no IPv4 address; nothing was done") from None
            with self._tweaks.enter(one.node) as space:
                device = device_towards(space, address)
            found.append(Neighbour(one.node, device, address, link_address(self._run)))
        return self._tweaks.put(found)

    def misdirected(self, handle: str) -> bool:
        """See ``Misdirects``."""
        return self._tweaks.stand(handle)

    def redirect(self, handle: str) -> None:
        """See ``Misdirects``."""
        self._tweaks.take(handle)

    # ------------------------------------------------------------ Misnames

    def misname(self, wrong: Sequence[Misname]) -> str:
        """See ``Misnames``: in the file in which the node looks names up."""
        return self._names.put([Names(o.node, self._run, o.names, o.address) for o in wrong])

    def misnamed(self, handle: str) -> bool:
        """See ``Misnames``."""
        return self._names.stand(handle)

    def rename(self, handle: str) -> None:
        """See ``Misnames``."""
        self._names.take(handle)
