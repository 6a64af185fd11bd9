"""``python3 -m chaoskit.reference node | witness | active-active | cluster | relay | check``.

Configured by environment. ``relay`` is a worker between the clients and a node (``relay.py``).

``check`` is for health checks: exit 0 if the process of this very environment says it is healthy.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaoskit.reference.shell import Shell

__all__ = ["main"]

USAGE = (
    "usage: python3 -m chaoskit.reference node | witness | active-active | cluster | relay | check"
)
GROUPS = ("active-active", "cluster")


def main(arguments: list[str]) -> int:
    """Run; the exit status. 2: one sentence on stderr says what is wrong."""
    if arguments == ["check"]:
        return _check()
    if arguments not in (["node"], ["witness"], ["relay"], *([group] for group in GROUPS)):
        print(USAGE, file=sys.stderr)  # noqa: T201 - a program talking to its user
        return 2
    # As PID 1 there is no default action for a signal: say what it is, before anything else.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    return _serve(arguments[0])


def _serve(kind: str) -> int:
    import asyncio

    from chaoskit.reference.defects import node_of, timing_of
    from chaoskit.reference.relay import serve as relay
    from chaoskit.reference.service import NodeService, WitnessService
    from chaoskit.reference.settings import BadSettings, Settings

    async def run() -> None:
        if kind == "relay":
            await relay()
        service: Shell
        if kind == "witness":
            settings = Settings.of_witness(os.environ)
            settings = replace(settings, timing=timing_of(settings.defect, settings.timing))
            service = WitnessService(settings)
        elif kind in GROUPS:
            service = _member(kind)
        else:
            settings = Settings.of_node(os.environ)
            settings = replace(settings, timing=timing_of(settings.defect, settings.timing))
            service = NodeService(settings, node_of(settings))
        await service.start()
        where = f"{service.settings.bind}:{service.port}"
        print(f"{service.settings.node}: {kind} on {where}", flush=True)  # noqa: T201 - its log
        await service.run()

    try:
        asyncio.run(run())
    except BadSettings as problem:
        print(problem, file=sys.stderr)  # noqa: T201 - a program talking to its user
        return 2
    except OSError as problem:
        print(f"cannot listen: {problem.strerror or problem}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


def _member(kind: str) -> Shell:
    from chaoskit.reference.members import Membership

    membership = Membership.of(os.environ)
    if kind == "cluster":
        from chaoskit.reference.cluster.defects import node_of
        from chaoskit.reference.cluster.service import ClusterService

        return ClusterService(membership, node_of(membership))
    from chaoskit.reference.active_active.defects import node_type
    from chaoskit.reference.active_active.service import ActiveActiveService

    return ActiveActiveService(membership, node_type(membership.settings.defect))


def _check() -> int:
    import socket

    port = os.environ.get("CHAOSKIT_PORT", "8080")
    try:
        with socket.create_connection(("127.0.0.1", int(port)), timeout=1.0) as sock:
            sock.sendall(b"GET /health HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            return 0 if sock.recv(64).startswith(b"HTTP/1.1 200") else 1
    except (OSError, ValueError):
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
