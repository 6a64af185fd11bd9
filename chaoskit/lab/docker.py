"""The Docker lab: the stack as containers, on an engine behind a local socket.

The stack is brought up with Compose, everything else goes through the engine's API. Where we are
root on the engine's host, faults go through the kernel. Whatever is created carries the labels
``chaoskit.run=<id>`` and ``chaoskit.owner=<pid>@<boot id>``, and is removed by them.

A killed node comes back with a new network namespace. Cuts that are meant to be in force are put
back by ``start`` as soon as the engine says that the node runs; its first process may have run
for some milliseconds by then, and ``in_force`` is what tells whether they are there.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaoskit.contracts import CLIENT, OBSERVER, Child, Node
from chaoskit.errors import LabError, Refused
from chaoskit.lab.child import PipeChild
from chaoskit.lab.disks import NodeDisks
from chaoskit.lab.docker_compose import Compose, Tree, find_compose, load_raw, rendered
from chaoskit.lab.docker_engine import AWAY_HINT, Engine, translating
from chaoskit.lab.docker_execute import Commands
from chaoskit.lab.docker_helper import HelperNamespaces
from chaoskit.lab.docker_host import close_ways_out, first_process, with_names
from chaoskit.lab.docker_image import client_image, stack_images
from chaoskit.lab.docker_life import Life
from chaoskit.lab.docker_links import DockerLinks
from chaoskit.lab.docker_net import RunNetwork, create_networks
from chaoskit.lab.docker_own import OwnContainers
from chaoskit.lab.docker_pause import Freezer
from chaoskit.lab.docker_probe import docker_available
from chaoskit.lab.docker_ready import bring_up, inspect, log_tail
from chaoskit.lab.docker_remove import Removal
from chaoskit.lab.docker_sweep import LABEL_OWNER, LABEL_RUN, remove_run
from chaoskit.lab.journal import Journal
from chaoskit.lab.linkboard import Linking
from chaoskit.lab.meanwhile import Meanwhile
from chaoskit.lab.netns import Namespaces
from chaoskit.lab.ops import RUN_MARK, RemoveDockerRun, check_run_id
from chaoskit.lab.process import ProcessIdentity, boot_id, is_alive
from chaoskit.lab.processes import NodeProcesses
from chaoskit.stack.model import Stack

__all__ = ["DockerLab"]

_LOG_LINES = 20_000


@dataclass(frozen=True)
class _Prepared:
    compose: Compose
    raw: Tree
    images: Mapping[str, str]
    client: str


_prepared: dict[tuple[str, Path], _Prepared] = {}
"""By run and stack: the trials of a run use the same images, even if somebody builds meanwhile."""


class DockerLab(
    DockerLinks, Life, Freezer, NodeProcesses, NodeDisks, Commands, Removal, Linking, Meanwhile
):
    """Services as containers of a Docker engine on this machine.

    Implements ``Lab`` and every capability. One object may go up and down repeatedly.

    Raises ``Refused`` at once where the engine is not on a local socket.
    """

    name = "docker"

    def __init__(self, stack: Stack, run_id: str, run_dir: Path, journal: Journal) -> None:
        taken = {CLIENT, OBSERVER} & stack.services.keys()
        if taken:
            raise Refused(f"{stack.file}: a service may not be called {taken.pop()}: the lab's is")
        self._stack = stack
        self._run_id = check_run_id(run_id)
        self._run_dir = Path(run_dir).resolve()
        self._journal = journal
        self._engine = Engine()
        self._labels = {LABEL_RUN: run_id, LABEL_OWNER: f"{os.getpid()}@{boot_id()}"}
        self._networks: dict[str, RunNetwork] = {}
        self._ids: dict[str, str] = {}
        self._nodes: dict[str, Node] = {}
        self._own: OwnContainers | None = None
        self._children: list[PipeChild] = []
        self._entry: int | None = None
        self._stopped: dict[str, list[int]] = {}
        self._frozen: dict[str, list[int]] = {}
        self._dead: set[str] = set()  # incarnations whose end the kernel has shown us
        self._ending: dict[str, ProcessIdentity] = {}  # incarnations that were asked to end
        self._standby: dict[str, str] = {}  # containers that will take the place of others
        self._last_words: dict[str, str] = {}  # logs of containers that were removed
        NodeProcesses.__init__(self)
        NodeDisks.__init__(self)
        self._make_links(run_id, journal, self._namespaces, self._first, self._first)

    # ------------------------------------------------------------ up and down

    def prepare(self) -> None:
        """Build or pull every image that is needed: what may take minutes and is not timed.

        Raises ``LabError`` naming what cannot be had, ``Refused`` where Compose is missing.
        """
        key = (self._run_id, self._stack.file)
        if key in _prepared:
            return
        away = docker_available()
        if away:
            raise LabError(f"the docker lab cannot run: {away}", hint=AWAY_HINT)
        compose = find_compose()
        if compose is None:
            raise Refused(
                "the docker lab needs docker compose (the plugin) or docker-compose;"
                " on Debian and Ubuntu: apt-get install docker-compose"
            )
        raw = load_raw(self._stack)
        # A build leaves nothing with our label, but the undo also ends Compose while it builds.
        entry = self._journal.intend(RemoveDockerRun(self._run_id))
        try:
            images = stack_images(self._engine, compose, self._stack, raw, self._run_id)
            _prepared[key] = _Prepared(compose, raw, images, client_image(self._engine))
        finally:
            self._journal.undone(entry)  # compose has ended here, one way or the other

    def up(self) -> None:
        """See ``Lab``. Whatever was created before a failure is removed again."""
        if self._entry is not None:
            raise LabError("this lab is up already")
        self.prepare()
        ready = _prepared[self._run_id, self._stack.file]
        self._entry = self._journal.intend(RemoveDockerRun(self._run_id))
        try:
            self._networks = create_networks(self._engine, self._stack, self._run_id, self._labels)
            networks = list(self._networks.values())
            self._own = OwnContainers(
                self._engine, ready.client, self._run_id, self._run_dir, self._labels
            )
            for name in (CLIENT, OBSERVER):
                self._ids[name] = self._own.join_networks(name, networks)
                self._nodes[name] = self._describe(name)
            self._is_reachable()
            file = rendered(
                ready.raw,
                self._stack,
                run_id=self._run_id,
                labels=self._labels,
                images=ready.images,
                networks=self._networks,
                disks=self._make_disks(),
            )
            self._ids |= bring_up(self._engine, ready.compose, self._stack, self._run_id, file)
            self._nodes = {name: self._describe(name) for name in self._ids}
            for node in self._nodes.values():
                self._close_ways_out(node)
            self._links().prepare()
            self._journal.done(self._entry)
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """See ``Lab``. Everything with the run's label goes, whatever state it is in."""
        self._let_all_go()  # a container that hangs on its disk could not be removed
        while self._children:
            self._children.pop().close(grace_s=0.2)
        if self._own is not None:
            self._own.close()
        self._netfilter.close()
        if self._entry is not None:
            remove_run(self._run_id, engine=self._engine)
            self._journal.undone(self._entry)
        self._close_links()
        self._close_disks()
        for held in (self._stopped, self._frozen):
            for entry in [n for entries in held.values() for n in entries]:
                self._journal.undone(entry)  # what it was about is gone: nothing is left to undo
            held.clear()
        self._forget_hung()
        self._forget_links()
        self._dead.clear()
        self._ending.clear()
        self._standby.clear()
        self._last_words.clear()
        self._ids.clear()
        self._nodes.clear()
        self._networks.clear()
        self._own = self._entry = None
        self._engine.close()

    def _describe(self, name: str) -> Node:
        addresses = tuple(
            network.addresses[name]
            for network in self._networks.values()
            if name in network.addresses
        )
        service = self._stack.services.get(name)
        labels = dict(service.labels) if service else {}
        aliases = service.aliases_everywhere() if service else ()
        return Node(name, addresses[0] if addresses else "", labels, addresses, aliases)

    # ------------------------------------------------------------ nodes

    def nodes(self) -> tuple[Node, ...]:
        """See ``Lab``."""
        return tuple(self._nodes[name] for name in self._stack.services if name in self._nodes)

    def node(self, name: str) -> Node:
        """See ``Lab``."""
        found = self._nodes.get(name)
        if found is None:
            known = ", ".join(self._nodes) or "nothing: the lab is not up"
            raise LabError(f"there is no node {name} in this lab; there is {known}")
        return found

    def identity(self, node: Node) -> str | None:
        """Full container id and the moment it was started, while it runs."""
        state = self._state(node)
        found = f"{self._id(node)}@{state.get('StartedAt')}"
        if found in self._ending and not is_alive(self._ending[found]):
            self._dead.add(found)  # the engine takes a tenth of a second to notice
        return found if state.get("Running") and found not in self._dead else None

    def _notice_end(self, node: Node) -> None:
        state = self._state(node)
        who = first_process(state, self._id(node))
        if who is not None:
            self._ending[f"{self._id(node)}@{state.get('StartedAt')}"] = who

    def first_pid(self, node: Node) -> int | None:
        """See ``capabilities.Clocked``; None also where the engine's processes are not ours."""
        who = first_process(self._state(node), self._id(node))
        return None if who is None else who.pid

    def first_process(self, node: Node) -> ProcessIdentity:
        """See ``NodeProcesses``."""
        who = first_process(self._state(node), self._id(node))
        if who is None:
            raise LabError(
                f"the processes of {node.name} cannot be seen: it does not run, or this is not "
                "root on the engine's own host"
            )
        return who

    def spawn(self, place: Node, argv: Sequence[str]) -> Child:
        """See ``Lab``. In a service's network where we are root; else in a helper beside it."""
        name = f"{argv[2] if argv[1:2] == ['-m'] else argv[0]} ({place.name})"
        identity = self._id(place)
        assert self._own is not None  # noqa: S101 - _id has seen to it
        if place.name in (CLIENT, OBSERVER):
            child = self._own.spawn(identity, name, argv)
        elif first_process(self._state(place), identity) is None:
            since = str(self._state(place).get("StartedAt"))
            child = self._own.spawn(self._own.share_network(identity, since), name, argv)
        else:
            child = PipeChild(self._beside(place, argv), name)
        self._children = [one for one in self._children if one.alive()]
        self._children.append(child)
        return child

    def _beside(self, place: Node, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """A process of this host in the node's network, with the node's idea of names."""
        program = [sys.executable if argv[0] == "python" else argv[0], *argv[1:]]
        found = inspect(self._engine, self._id(place)) or {}
        resolv, hosts = (str(found.get(key) or "") for key in ("ResolvConfPath", "HostsPath"))
        with self._namespaces(place) as inside:
            return inside.popen(
                with_names(resolv, hosts, program),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, RUN_MARK: self._run_id},
            )

    def inside(self, path: str) -> str:
        """The same path: the run's directory is mounted where it is outside."""
        full = Path(path).absolute()
        if not full.resolve().is_relative_to(self._run_dir):
            raise LabError(f"{path} is not in the run's directory {self._run_dir}")
        return str(full.resolve())

    def facts(self) -> dict[str, str]:
        """Engine, API, socket, Compose, kernel and image ids. Raises ``LabError``."""
        with translating("asking for its version"):
            version = self._engine.client().version()
        socket = f"{self._engine.endpoint.url} ({self._engine.endpoint.why})"
        facts = {
            "engine": f"Docker {version['Version']}, API {version['ApiVersion']}",
            "socket": socket,
            "kernel": str(version.get("KernelVersion", "")),
        }
        ready = _prepared.get((self._run_id, self._stack.file))
        if ready is not None:
            facts["compose"] = f"{' '.join(ready.compose.argv)} {ready.compose.version}"
            facts |= {f"image {name}": image for name, image in ready.images.items()}
            facts["image client"] = ready.client
        return facts

    def save_logs(self, folder: str) -> None:
        """See ``Lab``."""
        with contextlib.suppress(OSError):
            Path(folder).mkdir(parents=True, exist_ok=True)
            for name in self._stack.services:
                if name in self._ids:
                    text = self._last_words.get(name, "")
                    text += log_tail(self._engine, self._ids[name], _LOG_LINES)
                    (Path(folder) / f"{name}.log").write_text(text, encoding="utf-8")

    def _id(self, node: Node) -> str:
        found = self._ids.get(node.name)
        if found is None or self._own is None:
            raise LabError(f"there is no node {node.name} in this lab now")
        return found

    def _state(self, node: Node) -> Tree:
        found = inspect(self._engine, self._id(node))
        return found["State"] if found else {"Running": False}

    def _namespaces(self, node: Node) -> Namespaces:
        """The node's network, entered directly where we may, else through a helper beside it."""
        identity, state = self._id(node), self._state(node)
        if self.identity(node) is None:
            raise LabError(f"{node.name} does not run, so it has no network")
        who = first_process(state, identity)
        if who is not None:
            return Namespaces.of(who.pid, who.starttime)
        assert self._own is not None  # noqa: S101 - _id has seen to it
        helper = self._own.share_network(identity, str(state.get("StartedAt")))
        return HelperNamespaces(self._engine.endpoint, helper)

    def _close_ways_out(self, node: Node) -> None:
        # Where we are not root, who tries to leave meets silence: the network is internal.
        with contextlib.suppress(LabError, OSError):
            if first_process(self._state(node), self._id(node)) is not None:
                with self._namespaces(node) as inside:
                    close_ways_out(inside)

    def _first(self, node: Node) -> ProcessIdentity | None:
        if self.identity(node) is None:
            raise LabError(f"{node.name} does not run")
        return first_process(self._state(node), self._id(node))
