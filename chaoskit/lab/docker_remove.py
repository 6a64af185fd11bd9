"""A container is removed for good, and another one takes its place when it is healed.

Its successor is made beforehand, from what the engine knows of it: same labels, volumes, networks
and addresses, another writable layer. It is not started, so it holds no address. The journal's
undo is to start it.
"""

from __future__ import annotations

import signal
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from chaoskit.clock import now_ns
from chaoskit.contracts import Node
from chaoskit.errors import HealFailed, LabError
from chaoskit.lab.docker_compose import Tree
from chaoskit.lab.docker_engine import Engine, translating
from chaoskit.lab.docker_ready import inspect, log_tail
from chaoskit.lab.journal import Journal
from chaoskit.lab.ops import DockerStart

__all__ = ["Removal", "successor"]

_LOG_LINES = 5_000


class Removal:
    """``Removes`` of the Docker lab."""

    _engine: Engine
    _journal: Journal
    _ids: dict[str, str]
    _stopped: dict[str, list[int]]
    _standby: dict[str, str]
    _last_words: dict[str, str]

    @abstractmethod
    def _id(self, node: Node) -> str: ...

    @abstractmethod
    def identity(self, node: Node) -> str | None:
        """See ``Lab``."""

    @abstractmethod
    def kill(self, node: Node, signal: int) -> int:
        """See ``Kills``."""

    @abstractmethod
    def start(self, node: Node) -> None:
        """See ``Kills``."""

    def prepare_removal(self, node: Node) -> None:
        """See ``Removes``: create the container that will take its place."""
        if node.name in self._standby:
            return
        found = inspect(self._engine, self._id(node))
        if found is None:
            raise LabError(f"{node.name} is not there: it cannot be removed")
        config, more = successor(found)
        name = str(found["Name"]).lstrip("/")
        with translating(f"creating a successor of {node.name}"):
            api = self._engine.client().api
            make: Any = api.create_container_from_config
            created = make(config, f"{name}-successor")
            for network, place in more.items():
                api.connect_container_to_network(created["Id"], network, **place)
        self._standby[node.name] = str(created["Id"])

    def remove(self, node: Node) -> int:
        """See ``Removes``."""
        former = self._id(node)
        self.prepare_removal(node)
        standby = self._standby[node.name]
        entry = self._journal.intend(DockerStart(standby), scope="fault")
        told_ns = 0
        if self.identity(node) is not None:
            told_ns = self.kill(node, signal.SIGKILL)
        self._stopped.setdefault(node.name, []).append(entry)
        self._last_words[node.name] = log_tail(self._engine, former, _LOG_LINES)
        with translating(f"removing {node.name}"):
            api = self._engine.client().api
            name = str(api.inspect_container(former)["Name"]).lstrip("/")
            api.remove_container(former, force=True, v=False)
            del self._standby[node.name]
            self._ids[node.name] = standby
            api.rename(standby, name)
        self._journal.done(entry)
        return told_ns or now_ns()

    def restore(self, node: Node) -> None:
        """See ``Removes``."""
        try:
            if self.identity(node) is None:
                self.start(node)
        except LabError as error:
            raise HealFailed(f"{node.name} was removed and has no successor: {error}") from error


def successor(found: Mapping[str, object]) -> tuple[Tree, dict[str, dict[str, Any]]]:
    """What the engine must be asked for to have such a container once more.

    ``found`` is what it says of the first. Also returned: the networks, but the first, that it
    is to be connected to afterwards, since older engines take one network at creation.
    """
    identity, config = str(found["Id"]), _tree(found["Config"])
    host = _tree(found["HostConfig"])
    if config.get("Hostname") == identity[:12]:
        del config["Hostname"]  # the engine's own choice, and it will make another
    binds = list(_list(host.get("Binds")))
    taken = {str(bind).split(":")[1] for bind in binds}
    taken |= {str(mount["Target"]) for mount in _list(host.get("Mounts"))}
    binds += [  # volumes without a name in the Compose file: their data belong to the service
        f"{mount['Name']}:{mount['Destination']}"
        for mount in _list(found.get("Mounts"))
        if mount["Type"] == "volume" and mount["Destination"] not in taken
    ]
    host["Binds"] = binds
    places: dict[str, dict[str, Any]] = {}
    for network, place in _tree(_tree(found["NetworkSettings"])["Networks"]).items():
        seen = _tree(place)
        aliases = [alias for alias in _list(seen.get("Aliases")) if alias != identity[:12]]
        address = _tree(seen.get("IPAMConfig")).get("IPv4Address")
        places[network] = {"ipv4_address": address, "aliases": aliases}
    first = str(host.get("NetworkMode") or next(iter(places), "none"))
    if first in places:
        place = places.pop(first)
        config["NetworkingConfig"] = {
            "EndpointsConfig": {
                first: {
                    "IPAMConfig": {"IPv4Address": place["ipv4_address"]},
                    "Aliases": place["aliases"],
                }
            }
        }
    return {**config, "HostConfig": host}, places


def _tree(value: object) -> Tree:
    return dict(value) if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list) else []
