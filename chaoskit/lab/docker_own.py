"""The lab's own containers: client, observer, and helpers that share a node's network.

They are idle, but for the observer, which answers for names that nobody has; what runs in them is
executed there later. Their first process ends when its standard input does, and that input is a
socket that we hold: it goes when the harness goes.
"""

from __future__ import annotations

import importlib.metadata
import os
import socket
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaoskit.contracts import OBSERVER
from chaoskit.errors import LabError
from chaoskit.lab.child import PipeChild
from chaoskit.lab.docker_child import ExecProcess, hold_open
from chaoskit.lab.docker_engine import Engine, translating
from chaoskit.lab.docker_host import hurry
from chaoskit.lab.docker_net import RunNetwork
from chaoskit.lab.ops import RUN_MARK

__all__ = ["OwnContainers"]

_HERE = "/opt/chaoskit/here"
"""Where the harness's own copy of chaoskit is seen: first on the image's PYTHONPATH."""
_NEEDED = ["DAC_OVERRIDE", "SYS_NICE", "NET_BIND_SERVICE"]
"""To read and write the harness's files, whoever owns them; to go before what is measured; to be
asked for names."""
_ANSWERS = ["python3", "-m", "chaoskit.lab.unknown_names"]


@dataclass
class OwnContainers:
    """Creates, holds and remembers them. ``labels`` mark all of them as the run's."""

    engine: Engine
    image: str
    run_id: str
    run_dir: Path
    labels: Mapping[str, str]
    ids: dict[str, str] = field(default_factory=dict)
    _held: list[socket.socket] = field(default_factory=list)

    def join_networks(self, name: str, networks: Sequence[RunNetwork]) -> str:
        """A container on all of these networks, at the address each has for ``name``."""
        from docker.types import NetworkingConfig

        first, *rest = networks
        with translating(f"creating the lab's {name}"):
            api = self.engine.client().api
            endpoint = api.create_endpoint_config(
                ipv4_address=first.addresses[name], aliases=[name]
            )
            joined = NetworkingConfig({first.name: endpoint})  # type: ignore[arg-type]
            resolver = [first.addresses[OBSERVER]]
            identity = self._create(name, first.name, joined, dns=resolver)
            for network in rest:
                api.connect_container_to_network(
                    identity, network.id, ipv4_address=network.addresses[name], aliases=[name]
                )
        self._begin(name, identity)
        return identity

    def share_network(self, of: str, since: str) -> str:
        """A helper in the network of container ``of`` as it was started at ``since``.

        One per incarnation: a container that is started again has a new network namespace.
        """
        name = f"beside-{of[:12]}-{zlib.crc32(since.encode()):08x}"
        if name not in self.ids:
            with translating("creating a helper"):
                identity = self._create(name, f"container:{of}", None, ["NET_ADMIN"])
            self._begin(name, identity)
        return self.ids[name]

    def spawn(self, container: str, name: str, argv: Sequence[str]) -> PipeChild:
        """Run ``argv`` in one of them; ``python`` is the image's, and can import chaoskit."""
        program = ["python3" if argv[0] == "python" else argv[0], *argv[1:]]
        environment = {RUN_MARK: self.run_id}
        process = ExecProcess(
            self.engine, container, program, environment=environment, user=self._user()
        )
        hurry(process.host_pid(), container)
        return PipeChild(process, name)

    def close(self) -> None:
        """Let go of them: they end by themselves. They are removed with the run."""
        while self._held:
            self._held.pop().close()
        self.ids.clear()

    def _create(
        self,
        name: str,
        network: str,
        networking: object,
        rights: Sequence[str] = (),
        dns: list[str] | None = None,
    ) -> str:
        api = self.engine.client().api
        binds = [f"{self.run_dir}:{self.run_dir}:rw"]
        binds += [f"{path}:{_HERE}/{path.name}:ro" for path in _own_code()]
        host = api.create_host_config(
            binds=binds,
            network_mode=network,
            cap_drop=["ALL"],
            cap_add=[*_NEEDED, *rights],
            security_opt=["no-new-privileges"],
            restart_policy={"Name": "no"},
            dns=dns,
        )
        created = api.create_container(
            self.image,
            name=f"chaoskit-{self.run_id}-{name}",
            entrypoint=_ANSWERS if name == OBSERVER else None,  # else the image's own: idle
            stdin_open=True,
            labels=dict(self.labels),
            environment={RUN_MARK: self.run_id},
            user=self._user(),
            working_dir="/tmp",  # noqa: S108 - in the container; our code is found by PYTHONPATH
            host_config=host,
            networking_config=networking,
        )
        return str(created["Id"])

    def _begin(self, name: str, identity: str) -> None:
        # Attached before the start: with "stdin once" the engine closes the input for good when
        # the first who attached leaves, and that is us.
        self._held.append(hold_open(self.engine, identity))
        with translating(f"starting the lab's {name}"):
            self.engine.client().api.start(identity)
        self.ids[name] = identity

    def _user(self) -> str:
        """Files that a child writes belong to whoever runs the harness."""
        return "" if os.geteuid() == 0 else f"{os.geteuid()}:{os.getegid()}"


def _own_code() -> list[Path]:
    """The package as it is imported here, and its metadata, in which plug-ins are found."""
    import chaoskit

    package = Path(chaoskit.__file__).resolve().parent
    try:
        distribution = importlib.metadata.distribution("chaoskit")
    except importlib.metadata.PackageNotFoundError:
        raise LabError("chaoskit is not installed, so its plug-ins cannot be found") from None
    site = Path(str(distribution.locate_file("")))
    metadata = sorted(site.glob(f"chaoskit-{distribution.version}.dist-info"))
    return [package, *metadata[:1]]
