"""What faults of the kernel's network emulator (sch_netem) have in common.

They strike all that the target sends, on every device of it. Where the kernel has no emulator they
are refused before anything starts; Toxiproxy's toxics do much of the same to single links.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from chaoskit.capabilities import Netem
from chaoskit.contracts import Claim, Dial, FaultModel, Hold, Lab, Node, Targets
from chaoskit.faults.dials import datagrams
from chaoskit.faults.shapes import observer_of, shaped

__all__ = ["LONGEST_S", "NetemFault"]

LONGEST_S = 60.0
"""A packet that is held for longer is lost."""
_BURST = 20


class NetemFault(FaultModel):
    """Says what the emulator is to do, in words too, and what shows it."""

    needs: ClassVar[frozenset[str]] = frozenset({"shape"})

    def netem(self) -> Netem:
        """What the emulator is to do."""
        raise NotImplementedError

    def said(self) -> str:
        """The same, for a report."""
        raise NotImplementedError

    def shows(self, node: Node, peer: Node) -> tuple[Dial, ...]:
        """Dials that fail while it is on: as a rule, of twenty datagrams one is not as sent."""
        return datagrams(node, peer, _BURST)

    def features(self) -> frozenset[str]:
        """The emulator."""
        return frozenset({"netem"})

    def claims(self) -> frozenset[Claim]:
        """The devices' queue."""
        return frozenset({Claim("egress")})

    def rehearse(self, lab: Lab, targets: Targets) -> tuple[Dial, ...]:
        """Without the fault all is well."""
        found = (self.shows(node, observer_of(lab, node)) for node in targets.nodes)
        return tuple(dial for dials in found for dial in dials)

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Shape what every target sends; verified by reading the discipline back."""
        names = ", ".join(node.name for node in targets.nodes)
        proof = (self.rehearse(lab, targets), ())
        with shaped(lab, targets, self.netem(), proof, f"{names}: {self.said()}") as hold:
            yield hold
