"""The sandbox lab: the stack as processes of this machine, in namespaces of their own.

No daemon, no image, no root. Everything hangs on one init process whose standard input the
harness holds: however the harness ends, the kernel takes the whole lab with it. Each node is a
network namespace on a bridge; a service is PID 1 of a PID namespace, in a private root that shows
the host's files and changes none of them.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal as signals
import sys
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path

from chaoskit.clock import now_ns, wait_until
from chaoskit.contracts import CLIENT, Child, Node
from chaoskit.errors import LabError, Refused
from chaoskit.lab.child import PipeChild
from chaoskit.lab.disks import NodeDisks
from chaoskit.lab.journal import Journal
from chaoskit.lab.linkboard import Linking
from chaoskit.lab.links import Links
from chaoskit.lab.meanwhile import Meanwhile
from chaoskit.lab.netns import Namespaces
from chaoskit.lab.ops import KillProcess
from chaoskit.lab.process import ProcessIdentity
from chaoskit.lab.processes import NodeProcesses
from chaoskit.lab.sandbox_execute import Commands
from chaoskit.lab.sandbox_life import Life
from chaoskit.lab.sandbox_network import NetworkPlan, plan_network
from chaoskit.lab.sandbox_orders import (
    child_order,
    disk_order,
    lab_folder,
    refusals,
    root_order,
    service_order,
)
from chaoskit.lab.sandbox_pause import Freezer
from chaoskit.lab.sandbox_probe import needs_user_namespace, sandbox_available
from chaoskit.lab.sandbox_remove import Removal
from chaoskit.lab.sandbox_session import Inside, InsideChild, Session, identity_from
from chaoskit.lab.sandbox_start import Starter, how_it_ended
from chaoskit.stack.model import Service, Stack

__all__ = ["SandboxLab", "sandbox_available"]

_TAIL_BYTES = 8192
_UP_S = 600.0
_LOGS = "lab-logs"


class SandboxLab(
    Life, Freezer, NodeProcesses, NodeDisks, Commands, Removal, Linking, Links, Meanwhile
):
    """Services as processes on this machine, each in namespaces of its own: no Docker, no root.

    Implements ``Lab`` and every capability, for callers in any thread.

    ``run_dir`` holds the services' logs while the lab is up. Raises ``Refused`` where the stack
    has something that the sandbox cannot honour as this user.
    """

    name = "sandbox"

    def __init__(self, stack: Stack, run_id: str, run_dir: Path, journal: Journal) -> None:
        self._user_namespace = needs_user_namespace()
        problems = refusals(stack, root=not self._user_namespace)
        if problems:
            raise Refused("\n".join(problems))
        self._stack, self._run_id, self._run_dir, self._journal = stack, run_id, run_dir, journal
        self._plan: NetworkPlan = plan_network(stack)
        self._nodes = {name: self._make_node(name) for name in self._plan.nics}
        self._lock = threading.RLock()
        self._session: Session | None = None
        self._entry: int | None = None
        self._holders: dict[str, ProcessIdentity] = {}
        self._services: dict[str, Inside] = {}
        self._frozen: dict[str, list[tuple[int, ProcessIdentity]]] = {}
        self._logs: dict[str, int] = {}
        NodeProcesses.__init__(self)
        NodeDisks.__init__(self)
        self._make_links(run_id, journal, self._namespaces, self._holder, self._first)
        weakref.finalize(self, _close_files, self._logs)

    # ------------------------------------------------------------ Lab

    def up(self) -> None:
        """Start everything; returns when every service runs and is healthy."""
        with self._lock:
            if self._session is not None:
                raise LabError("the lab is up already")
            reason = sandbox_available()
            if reason:
                raise Refused(f"the sandbox lab cannot run here: {reason}")
            try:
                self._begin()
                self._is_reachable()
                self._run_services()
                self._links().prepare()
            except BaseException:
                self.down()
                raise

    def down(self) -> None:
        """End every process of the lab and wait for it. Idempotent. Raises ``HealFailed``."""
        with self._lock:
            session = self._session
            if session is None:
                return
            try:
                self._let_all_go()
                self._netfilter.close()
            finally:
                self._ask_to_stop()
                session.close()
            self._close_links()
            self._close_disks()
            # The kernel has ended whatever was in the lab: nothing is left to undo.
            for process in self._services.values():
                process.release()
            for entry, _ in [one for held in self._frozen.values() for one in held]:
                self._journal.undone(entry)
            self._frozen.clear()
            self._forget_hung()
            self._forget_links()
            self._services.clear()
            self._holders.clear()
            self._session = None
            if self._entry is not None:
                self._journal.undone(self._entry)
                self._entry = None
            shutil.rmtree(self._run_dir / _LOGS, ignore_errors=True)

    def nodes(self) -> tuple[Node, ...]:
        """The services, in the order of the file."""
        return tuple(self._nodes[name] for name in self._stack.services)

    def node(self, name: str) -> Node:
        """A service, the client or the observer. Raises ``LabError`` if there is none so called."""
        if name not in self._nodes:
            raise LabError(f"no node is called {name}: there are {', '.join(self._nodes)}")
        return self._nodes[name]

    def identity(self, node: Node) -> str | None:
        """PID on this machine and start time of the service's first process; None if it ended."""
        process = self._services.get(node.name)
        if process is None or process.poll() is not None:
            return None
        return f"{process.identity.pid}:{process.identity.starttime}"

    def first_pid(self, node: Node) -> int | None:
        """See ``capabilities.Clocked``."""
        process = self._services.get(node.name)
        return None if process is None or process.poll() is not None else process.identity.pid

    def first_process(self, node: Node) -> ProcessIdentity:
        """See ``NodeProcesses``."""
        process = self._services.get(node.name)
        if process is None or process.poll() is not None:
            raise self._gone(node, "there is no process in it")
        return process.identity

    def spawn(self, place: Node, argv: Sequence[str]) -> Child:
        """Run a process of ours on the network of ``place``; it sees the files of this machine."""
        order = child_order(self.node(place.name).name, list(argv), self._run_id)
        process = InsideChild(self._running(), "near", order)
        return PipeChild(process, f"{' '.join(argv[:3])} on {place.name}")

    def inside(self, path: str) -> str:
        """The path itself: a child sees the files of this machine."""
        return path

    def facts(self) -> dict[str, str]:
        """Kernel, interpreter and which rights the lab has."""
        rights = "in a user namespace" if self._user_namespace else "as root"
        return {
            "lab": f"sandbox ({rights})",
            "kernel": platform.release(),
            "machine": platform.machine(),
            "python": f"{sys.implementation.name} {platform.python_version()}",
        }

    def save_logs(self, folder: str) -> None:
        """What every service wrote, also after ``down``. Never raises."""
        with contextlib.suppress(OSError):
            Path(folder).mkdir(parents=True, exist_ok=True)
        for name in self._stack.services:
            with contextlib.suppress(OSError), (Path(folder) / f"{name}.log").open("wb") as out:
                if name in self._logs:
                    _copy(self._logs[name], out.fileno())

    # ------------------------------------------------------------ how it comes up

    def _begin(self) -> None:
        """Init, holders, network and roots; no service yet."""
        session = Session(self._run_id, user_namespace=self._user_namespace)
        self._session = session
        # So far it is one process that ends with us; from here on the journal knows it as well.
        init = session.hello()
        op = KillProcess(init.pid, init.starttime, init.boot_id, "first process of a sandbox lab")
        self._entry = self._journal.intend(op)
        session.request("begin", {"base": lab_folder(self._stack, self._run_dir)})
        files = {n: {"hosts": self._plan.hosts(n), "resolv.conf": ""} for n in self._plan.nics}
        answer = session.request("holders", {"nodes": files})
        found, pids = answer["found"], answer["pids"]
        assert isinstance(found, dict)  # noqa: S101 - our own program at the other end
        assert isinstance(pids, dict)  # noqa: S101 - likewise
        self._holders = {name: identity_from(who) for name, who in found.items()}
        each = {name: self._plan.node_batch(name) for name in self._plan.nics}
        session.request("ip", {"stages": [{"": self._plan.lab_batch(pids)}, each]})
        for name, device in self._make_disks().items():
            if device is None:
                session.request("disk", disk_order(self._stack.services[name]))
        for service in self._stack.services.values():
            session.request("root", root_order(service, locked=self._user_namespace))
        self._journal.done(self._entry)
        self._open_logs()

    def _run_services(self) -> None:
        starter = Starter(self._stack.services, self._start_service, self._run_inside, self._tail)
        unprepared = list(self.nodes())

        def look() -> bool | None:
            up = starter.step()
            if unprepared:  # while services wait for each other there is time for that
                self._netfilter.prepare(unprepared.pop())
            return (up and not unprepared) or None

        try:
            if not wait_until(look, within_s=_UP_S, every_s=0.01):
                raise LabError(f"the lab was not up within {_UP_S:g} s")
        finally:
            starter.close()

    def _start_service(self, service: Service) -> Inside:
        order = self._order(service)
        try:
            process = Inside(self._running(), "service", order, (self._logs[service.name],))
        except LabError as error:
            raise LabError(f"service {service.name} could not be started: {error}") from error
        former = self._services.get(service.name)
        self._services[service.name] = process
        if former is not None:
            former.release()
        return process

    def _order(self, service: Service) -> dict[str, object]:
        device = self._devices.get(service.name)
        return service_order(service, self._run_id, device.path if device else None)

    def _run_inside(self, service: Service, argv: tuple[str, ...], output: int) -> Inside:
        target = {"service": self._services[service.name].pid, "argv": list(argv)}
        order = self._order(service) | target
        return Inside(self._running(), "inside", order, (output,))

    def _open_logs(self) -> None:
        _close_files(self._logs)
        folder = self._run_dir / _LOGS
        folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        for name in self._stack.services:
            # Whoever the service runs as may open its own standard output again.
            self._logs[name] = os.open(folder / f"{name}.log", flags, 0o600)
            os.fchmod(self._logs[name], 0o666)

    def _tail(self, name: str) -> str:
        log = self._logs[name]
        start = max(0, os.fstat(log).st_size - _TAIL_BYTES)
        return os.pread(log, _TAIL_BYTES, start).decode(errors="replace")

    # ------------------------------------------------------------ how it goes down

    def _ask_to_stop(self) -> None:
        """Send ``stop_signal`` to services that handle it, and wait no longer than they ask for.

        The first process of a PID namespace ignores what it does not handle: no use in waiting.
        """
        asked: list[tuple[Inside, int]] = []
        for name, process in self._services.items():
            service = self._stack.services[name]
            number = getattr(signals, service.stop_signal, signals.SIGTERM)
            if process.poll() is None and _handles(process.identity.pid, number):
                process.signal(number)
                asked.append((process, now_ns() + int(service.stop_grace_period_s * 1e9)))
        for process, deadline_ns in asked:
            with contextlib.suppress(TimeoutError):
                process.wait(max(0.0, (deadline_ns - now_ns()) / 1e9))

    # ------------------------------------------------------------ small things

    def _make_node(self, name: str) -> Node:
        addresses = self._plan.addresses(name)
        service = self._stack.services.get(name)
        labels = (
            service.labels if service else {"chaoskit.role": "client"} if name == CLIENT else {}
        )
        aliases = service.aliases_everywhere() if service else ()
        return Node(name, addresses[0], labels, addresses, aliases)

    def _gone(self, node: Node, so: str) -> LabError:
        """For whoever needs a service that does not run: how it ended, and its last words."""
        process = self._services.get(node.name)
        status = None if process is None else process.poll()
        if status is None:
            return LabError(f"{node.name} is not a running service: {so}")
        return LabError(
            f"{node.name} is not a running service (it {how_it_ended(status)}): {so}",
            output=self._tail(node.name),
        )

    def _running(self) -> Session:
        if self._session is None:
            raise LabError("the lab is not up")
        return self._session

    def _holder(self, node: Node) -> ProcessIdentity:
        holder = self._holders.get(node.name)
        if holder is None:
            raise LabError(f"{node.name} has no network: the lab is not up")
        return holder

    def _first(self, node: Node) -> ProcessIdentity:
        if self.first_pid(node) is None:
            raise self._gone(node, "it cannot be reached")
        return self._services[node.name].identity

    def _namespaces(self, node: Node) -> Namespaces:
        holder = self._holder(node)
        return Namespaces.of(holder.pid, holder.starttime)


def _handles(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal, as ``/proc/<pid>/status`` tells."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    caught = next((ln.split()[1] for ln in status.splitlines() if ln.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (number - 1) & 1)


def _copy(source: int, target: int) -> None:
    offset = 0
    while block := os.pread(source, 1 << 20, offset):
        os.write(target, block)
        offset += len(block)


def _close_files(files: dict[str, int]) -> None:
    while files:
        os.close(files.popitem()[1])
