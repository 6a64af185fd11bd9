"""Toxics on the links of a stack, for any lab: a child beside each Toxiproxy does the talking.

The server's API listens on loopback of its own node, so nothing but that node can reach it; the
child enters the node's network namespace before anything is timed. Every toxic is in the journal
before it is set, so that the guardian can remove it without the harness.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from chaoskit.clock import NS, now_ns
from chaoskit.contracts import Child, Node
from chaoskit.errors import ChaoskitError, HealFailed, LabError
from chaoskit.lab.journal import Journal
from chaoskit.lab.ops import RemoveToxic
from chaoskit.lab.process import boot_id, identity_of
from chaoskit.links.wire import toxic_data
from chaoskit.stack.labels import Link, links, toxiproxy
from chaoskit.stack.model import Service, Stack
from chaoskit.toxics import DOWN, LinkPlace, Toxic
from chaoskit.wording import listed

__all__ = ["LinkBoard", "Linking"]

_ANSWER_S = 12.0  # the adapter gives up after 3 s for each of the few calls that an order takes


class _Lab(Protocol):
    def node(self, name: str) -> Node: ...
    def identity(self, node: Node) -> str | None: ...
    def first_pid(self, node: Node) -> int | None: ...
    def spawn(self, place: Node, argv: list[str]) -> Child: ...


@dataclass
class _Server:
    """A Toxiproxy service and the child beside its present incarnation."""

    service: Service
    api_port: int
    declared: Mapping[str, Link]
    child: Child | None = None
    beside: str | None = None
    listens: dict[str, int] = field(default_factory=dict)
    count: int = 0


@dataclass(frozen=True)
class _Held:
    server: _Server
    link: str
    name: str
    toxic: Toxic
    entry: int
    on: str | None  # the incarnation of the server that has it


class LinkBoard:
    """Implements ``toxics.Toxifies`` for a lab that can spawn children and name first processes."""

    def __init__(self, lab: _Lab, stack: Stack, run_id: str, journal: Journal) -> None:
        self._lab, self._run_id, self._journal = lab, run_id, journal
        self._servers = [
            _Server(service, url.port, links(service))
            for service in stack.services.values()
            if (url := toxiproxy(service)) is not None
        ]
        self._held: dict[str, _Held] = {}
        self._count = 0

    def prepare(self) -> None:
        """Start the children and see that every declared link is there. Raises ``LabError``.

        A link that says where to listen and has no proxy yet gets one.
        """
        for server in self._servers:
            self._beside(server)

    def link(self, name: str) -> LinkPlace:
        """See ``Toxifies``."""
        server = self._of(name)
        self._beside(server)
        return LinkPlace(name, self._lab.node(server.service.name), server.listens[name])

    def toxify(self, link: str, toxic: Toxic) -> str:
        """See ``Toxifies``."""
        server = self._of(link)
        node = self._lab.node(server.service.name)
        self._beside(server)
        if not self._ask(server, do="enabled", proxy=link):
            raise LabError(f"the link {link} is switched off already, and not by this fault")
        pid = self._lab.first_pid(node)
        if pid is None:
            raise LabError(
                f"toxics on {link} could not be undone by the guardian: the processes of "
                f"{node.name} cannot be seen from here; run as root on the engine's host"
            )
        self._count += 1
        name = DOWN if toxic.type == DOWN else f"chaoskit_{self._run_id}_{self._count}"
        op = RemoveToxic(pid, identity_of(pid).starttime, boot_id(), server.api_port, link, name)
        entry = self._journal.intend(op, scope="fault")
        held = _Held(server, link, name, toxic, entry, self._lab.identity(node))
        handle = f"t{self._count}"
        try:
            if name == DOWN:
                self._ask(server, do="switch", proxy=link, on=False)
            else:
                self._ask(server, do="add", proxy=link, name=name, toxic=toxic_data(toxic))
        except BaseException:
            self._remove(held)
            raise
        self._held[handle] = held
        self._journal.done(held.entry)
        return handle

    def toxic_in_force(self, handle: str) -> bool:
        """See ``Toxifies``. False, too, where the server was restarted and cannot be asked."""
        held = self._held.get(handle)
        if held is None:
            return False
        try:
            if held.name == DOWN:
                return self._ask(held.server, do="enabled", proxy=held.link) is False
            toxic = toxic_data(held.toxic)
            return bool(
                self._ask(held.server, do="has", proxy=held.link, name=held.name, toxic=toxic)
            )
        except LabError:
            return False

    def detoxify(self, handle: str) -> None:
        """See ``Toxifies``."""
        held = self._held.get(handle)
        if held is None:
            return
        try:
            self._remove(held)
        except LabError as error:
            raise HealFailed(f"the toxic on {held.link} may still be there: {error}") from error
        del self._held[handle]

    def close(self) -> None:
        """End the children, once the lab is down or about to be: its toxics end with it."""
        for server in self._servers:
            if server.child is not None:
                server.child.close()
                server.child = server.beside = None
        for held in self._held.values():
            self._journal.undone(held.entry)
        self._held.clear()

    # ------------------------------------------------------------ inside

    def _of(self, name: str) -> _Server:
        for server in self._servers:
            if name in server.declared:
                return server
        known = listed([n for server in self._servers for n in server.declared], "and")
        raise LabError(f"the stack declares no link {name}; it has {known or 'none'}")

    def _remove(self, held: _Held) -> None:
        node = self._lab.node(held.server.service.name)
        if self._lab.identity(node) == held.on:  # else it is gone, and all its toxics with it
            if held.name == DOWN:
                self._ask(held.server, do="switch", proxy=held.link, on=True)
            else:
                self._ask(held.server, do="remove", proxy=held.link, name=held.name)
        self._journal.undone(held.entry)

    def _beside(self, server: _Server) -> Child:
        """The child beside the server that runs now, started if need be, its links looked at."""
        node = self._lab.node(server.service.name)
        now = self._lab.identity(node)
        if now is None:
            raise LabError(f"{node.name} does not run, so its links cannot be reached")
        if server.child is not None and server.beside == now and server.child.alive():
            return server.child
        if server.child is not None:
            server.child.close()
        argv = ["python", "-m", "chaoskit.links.child", str(server.api_port)]
        server.child, server.beside = self._lab.spawn(node, argv), now
        ready = server.child.receive(30.0)
        if ready is None or ready.get("event") != "ready":
            raise LabError(f"the child beside {node.name} did not get ready: {ready}")
        self._look_at_links(server)
        return server.child

    def _look_at_links(self, server: _Server) -> None:
        there: Any = self._ask(server, do="links")
        for name, link in server.declared.items():
            upstream = f"{link.service}:{link.port}"
            found = there.get(name)
            if found is None and link.listen is not None:
                listen = f"0.0.0.0:{link.listen}"
                self._ask(server, do="create", proxy=name, listen=listen, upstream=upstream)
                found = {"listen": listen, "upstream": upstream}
            if found is None:
                known = listed(sorted(there), "and") or "none"
                raise LabError(
                    f"toxiproxy on {server.service.name} has no proxy {name} (it has {known}); "
                    f"put it into its configuration, or add 'listen: PORT' to chaoskit.link.{name}"
                )
            if found["upstream"] != upstream:
                raise LabError(
                    f"the proxy {name} leads to {found['upstream']}, but chaoskit.link.{name} "
                    f"says to: {upstream}"
                )
            server.listens[name] = int(found["listen"].rpartition(":")[2])

    def _ask(self, server: _Server, **order: object) -> object:
        """One order and its answer. Raises ``LabError`` with what the server said."""
        child = server.child
        if child is None:
            raise LabError(f"nobody is beside {server.service.name} to ask it")
        server.count += 1
        child.send({"id": server.count, **order})
        deadline = now_ns() + int(_ANSWER_S * NS)
        while (left := deadline - now_ns()) > 0:
            found = child.receive(left / NS)
            if found is not None and found.get("id") == server.count:
                if "error" in found:
                    raise LabError(str(found["error"]))
                return found["ok"]
        raise LabError(f"toxiproxy on {server.service.name} did not answer in {_ANSWER_S:g} s")


class Linking:
    """What a lab inherits to have ``toxics.Toxifies``."""

    _stack: Stack
    _run_id: str
    _journal: Journal
    _link_board: LinkBoard | None = None

    def _links(self) -> LinkBoard:
        if self._link_board is None:
            self._link_board = LinkBoard(self, self._stack, self._run_id, self._journal)  # type: ignore[arg-type]  # a lab
        return self._link_board

    def link(self, name: str) -> LinkPlace:
        """See ``Toxifies``."""
        return self._links().link(name)

    def toxify(self, link: str, toxic: Toxic) -> str:
        """See ``Toxifies``."""
        return self._links().toxify(link, toxic)

    def toxic_in_force(self, handle: str) -> bool:
        """See ``Toxifies``."""
        return self._links().toxic_in_force(handle)

    def detoxify(self, handle: str) -> None:
        """See ``Toxifies``."""
        self._links().detoxify(handle)

    def _close_links(self) -> None:
        if self._link_board is not None:
            self._link_board.close()


def undo_toxic(op: RemoveToxic) -> bool:
    """Remove a toxic without the harness; False if the server itself is gone. Raises on failure."""
    import json
    import sys

    from chaoskit.lab.netns import Namespaces

    if op.boot_id != boot_id():
        return False
    try:
        inside = Namespaces.of(op.pid, op.starttime)
    except LabError:
        return False  # asked by its very identity: that process is gone, and its toxics with it
    argv = [sys.executable, "-P", "-m", "chaoskit.links.child", str(op.port), "undo"]
    with inside:
        done = inside.run([*argv, op.proxy, op.name], timeout=20.0)
    try:
        said = json.loads(done.stdout)
    except ValueError:
        raise ChaoskitError(done.stderr.decode(errors="replace").strip()[-300:]) from None
    if "error" in said:
        raise ChaoskitError(str(said["error"]))
    return bool(said["ok"])
