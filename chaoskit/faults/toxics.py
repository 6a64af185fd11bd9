"""What all faults on links have in common: one toxic on each named link, read back, removed.

A link is a connection of the stack that leads through a Toxiproxy (``docs/stacks.md``). The proxy
accepts every connection itself, so what a link does to a *handshake* cannot be had here; cut the
network for that (``partition``).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import ClassVar, Literal, cast

from pydantic import Field

from chaoskit.clock import now_ns
from chaoskit.contracts import OBSERVER, Claim, Dial, FaultModel, Hold, Lab, Targets
from chaoskit.errors import ChaoskitError, HealFailed
from chaoskit.toxics import LinkPlace, Stream, Toxic, Toxifies
from chaoskit.units import Ratio

__all__ = ["POKE", "LinkFault", "ToxicFault"]

POKE = "HEAD / HTTP/1.0\r\n\r\n"
"""Any text protocol answers it, be it with a complaint; an HTTP server also hangs up then."""


class LinkFault(FaultModel):
    """Base of what strikes links. A subclass says which toxic it is and how that is seen."""

    needs: ClassVar[frozenset[str]] = frozenset({"toxify"})
    strikes: ClassVar[Literal["node", "link"]] = "link"

    @abstractmethod
    def toxic(self) -> Toxic:
        """What is put on each link."""

    @abstractmethod
    def proof(self, through: Dial) -> Dial:
        """The dial through the link's proxy that works without the toxic and not with it."""

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Put the toxic on every link; verified by asking the server for it."""
        toxifies, toxic = cast("Toxifies", lab), self.toxic()
        places = [toxifies.link(name) for name in targets.links]
        dials = tuple(self.proof(_through(lab, place)) for place in places)
        hold = Hold(now_ns(), 0, None, dials, detail=self._say(targets.links, toxic))
        handles: list[str] = []
        try:
            handles.extend(toxifies.toxify(name, toxic) for name in targets.links)
            hold.acknowledged_ns = now_ns()
            hold.verified_ns = now_ns() if all(map(toxifies.toxic_in_force, handles)) else None
            yield hold
            if not all(map(toxifies.toxic_in_force, handles)):
                hold.verified_ns = None  # removed by somebody else, or the server was restarted
                hold.detail += "; it was gone before the heal"
        finally:
            hold.heal_commanded_ns = now_ns()
            _remove_all(toxifies, handles)
            hold.healed_ns = now_ns()

    def _say(self, links: tuple[str, ...], toxic: Toxic) -> str:
        values = " ".join(f"{name}={value}" for name, value in toxic.attributes.items())
        share = f" on {toxic.toxicity:.0%} of connections" if toxic.toxicity < 1 else ""
        return f"{toxic.type} {toxic.stream} on {', '.join(links)} {values}{share}".rstrip()


class ToxicFault(LinkFault):
    """Base of the toxics proper: which way, and on which share of connections."""

    stream: Stream = Field(
        "downstream",
        description="'upstream' (what the link's clients send) or 'downstream' (what they hear).",
        examples=["upstream"],
    )
    toxicity: Ratio = Field(
        1.0,
        description="Share of connections that it is put on, drawn as each is opened.",
        examples=["50%"],
    )

    def claims(self) -> frozenset[Claim]:
        """Toxics add up, on a link that is switched on."""
        return frozenset({Claim("link", share=True)})

    def make(self, kind: str, **attributes: float) -> Toxic:
        """The toxic of this way and share, its attributes rounded to the server's whole units."""
        whole = {name: round(value) for name, value in attributes.items()}
        return Toxic(kind, self.stream, self.toxicity, whole)


def _through(lab: Lab, place: LinkPlace) -> Dial:
    observer = lab.node(OBSERVER)
    dial = Dial(observer.name, f"link {place.name}", place.node.address, place.port)
    return replace(dial, poke=POKE, read="answer", patience_s=2.0)


def _remove_all(toxifies: Toxifies, handles: list[str]) -> None:
    """Remove every toxic, going on past one that fails."""
    problems = []
    for handle in handles:
        try:
            toxifies.detoxify(handle)
        except ChaoskitError as error:
            problems.append(str(error))
    if problems:
        raise HealFailed("; ".join(problems))
