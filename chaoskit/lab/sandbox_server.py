"""What the lab's init does: obeys the harness, reaps, and ends when the harness is gone.

One request at a time comes in as one packet of JSON, with descriptors attached where it needs
them, and is answered with one packet; ``exit`` events go out whenever a process has ended.
Runs inside the lab: standard library only.
"""

# os.path is quicker to import than pathlib, and knows descriptors.
# ruff: noqa: PTH102, PTH123

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from chaoskit.lab import sandbox_fork as fork
from chaoskit.lab import sandbox_kernel as kernel
from chaoskit.lab.sandbox_kernel import CLONE_NEWNET, setns
from chaoskit.lab.sandbox_root import make_tmpfs
from chaoskit.lab.sandbox_tree import drop_tree, make_tree

__all__ = ["PACKET", "serve"]

PACKET = 1 << 17
"""The largest request, bytes; a socket's buffer takes it whole."""
_IP_TIMEOUT_S = 20

Order = Mapping[str, object]


def serve(proc: int) -> None:
    """Serve the harness at the other end of standard input until it closes. Never returns."""
    control = socket.socket(fileno=os.dup(0))
    quiet = os.open("/dev/null", os.O_RDWR)
    os.dup2(quiet, 0)
    os.set_inheritable(proc, False)
    Server(control, fork.Host(proc)).loop()
    os._exit(0)


class Server:
    """The lab as init knows it: nodes, their network namespaces, the PIDs it was asked for."""

    def __init__(self, control: socket.socket, host: fork.Host) -> None:
        self._control, self._host = control, host
        self._base = ""
        self._nets: dict[str, int] = {}
        self._wanted: set[int] = set()
        self._fds: list[int] = []  # came with the request
        self._attached: list[int] = []  # go with the answer
        self._orders: dict[str, Callable[[Order], dict[str, object]]] = {
            "hello": self._hello,
            "begin": self._begin,
            "holders": self._holders,
            "ip": self._ip,
            "disk": self._disk,
            "root": self._root,
            "wipe": self._wipe,
            "service": self._service,
            "inside": self._inside,
            "near": self._near,
        }

    def loop(self) -> None:
        """Until end of input."""
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(woken, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if woken in ready:
                os.read(woken, 4096)
            if self._control.fileno() in ready and not self._serve_one():
                return
            self._reap()

    def _serve_one(self) -> bool:
        try:
            data, self._fds, _, _ = socket.recv_fds(self._control, PACKET, 4)
        except ConnectionError:
            return False
        if not data:
            return False
        for fd in self._fds:
            os.set_inheritable(fd, False)
        order = json.loads(data)
        try:
            answer = self._orders[order["do"]](order)
        except OSError as error:
            answer = {"error": str(error)}
        finally:
            for fd in self._fds:
                os.close(fd)
        try:
            return self._tell({"answer": answer, "n": order["n"]}, self._attached)
        finally:
            while self._attached:
                os.close(self._attached.pop())

    def _tell(self, message: Mapping[str, object], fds: Sequence[int] = ()) -> bool:
        try:
            socket.send_fds(self._control, [json.dumps(message).encode()], list(fds))
        except ConnectionError:
            return False
        return True

    def _reap(self) -> None:
        """Collect whatever has ended; PID 1 inherits every orphan of the lab."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._wanted:
                self._wanted.discard(pid)
                self._tell({"exit": pid, "status": os.waitstatus_to_exitcode(status)})

    def _started(self, started: fork.Started) -> dict[str, object]:
        """The answer about a new process, with a pidfd: no PID can be mistaken for another."""
        self._wanted.add(started.pid)
        self._attached.append(os.pidfd_open(started.pid))
        return {"pid": started.pid, "host_pid": started.host_pid, "starttime": started.starttime}

    # ------------------------------------------------------------ what the harness may ask

    def _hello(self, _: Order) -> dict[str, object]:
        return self._host.me()

    def _begin(self, order: Order) -> dict[str, object]:
        """A tmpfs for everything that the lab writes; in the lab's own mount namespace."""
        kernel.forget_disks()
        make_tmpfs(str(order["base"]))
        self._base = str(order["base"])
        os.mkdir(f"{self._base}/volumes")
        os.mkdir(f"{self._base}/nodes")
        return {}

    def _folder(self, node: object) -> str:
        return f"{self._base}/nodes/{node}"

    def _holders(self, order: Order) -> dict[str, object]:
        found: dict[str, object] = {}
        pids: dict[str, object] = {}
        for name, files in _items(order["nodes"]):
            started = fork.fork_holder(self._host)
            flags = os.O_RDONLY | os.O_CLOEXEC
            self._nets[name] = os.open(f"/proc/{started.pid}/ns/net", flags)
            folder = self._folder(name)
            os.mkdir(folder)
            for file, text in _items(files):
                with open(f"{folder}/{file}", "w", encoding="utf-8") as out:
                    out.write(str(text))
            found[name] = {"host_pid": started.host_pid, "starttime": started.starttime}
            pids[name] = started.pid
        return {"found": found, "pids": pids}

    def _ip(self, order: Order) -> dict[str, object]:
        """Run ``ip -batch`` in the lab's network namespace, then in those of nodes at once."""
        for stage in cast("list[object]", order["stages"]):
            running = [(name, self._ip_batch(name, str(text))) for name, text in _items(stage)]
            for name, process in running:
                _, complaint = process.communicate(timeout=_IP_TIMEOUT_S)
                if process.returncode != 0:
                    raise OSError(f"ip, for {name or 'the bridges'}: {complaint.strip()}")
        return {}

    def _ip_batch(self, node: str, text: str) -> subprocess.Popen[str]:
        fd = self._nets.get(node)
        process = subprocess.Popen(
            ("ip", "-batch", "-"),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # Init has one thread, so what is said against running code after fork does not apply.
            preexec_fn=None if fd is None else lambda: setns(fd, CLONE_NEWNET),  # noqa: PLW1509
            text=True,
        )
        assert process.stdin is not None  # noqa: S101 - asked for two lines above
        process.stdin.write(text)  # far smaller than a pipe's buffer
        process.stdin.flush()
        return process

    def _disk(self, order: Order) -> dict[str, object]:
        """A volume that is a file system of its own, in memory."""
        folder = f"{self._base}/volumes/{order['volume']}"
        os.mkdir(folder)
        make_tmpfs(folder, 0o1777, int(str(order["size"])))
        return {}

    def _root(self, order: Order) -> dict[str, object]:
        targets = cast("list[dict[str, object]]", order["targets"])
        locked = bool(order["locked"])
        make_tree(self._base, self._folder(order["node"]), targets, locked=locked)
        return {}

    def _wipe(self, order: Order) -> dict[str, object]:
        """Forget what the node has written outside of volumes; "root" makes it a new one."""
        drop_tree(self._folder(order["node"]))
        return {}

    def _service(self, order: Order) -> dict[str, object]:
        name = str(order["node"])
        (log,) = self._fds
        folders = self._folder(name), f"{self._base}/volumes"
        net = self._nets[name]
        return self._started(fork.fork_service(self._host, net, folders, order, log))

    def _inside(self, order: Order) -> dict[str, object]:
        (output,) = self._fds
        service = int(str(order["service"]))
        if service not in self._wanted:
            raise OSError("the service is not running")
        return self._started(fork.fork_inside(self._host, service, order, output))

    def _near(self, order: Order) -> dict[str, object]:
        name = str(order["node"])
        hosts = f"{self._folder(name)}/hosts"
        return self._started(fork.fork_near(self._host, self._nets[name], hosts, order, self._fds))


def _items(value: object) -> list[tuple[str, object]]:
    return list(cast("dict[str, object]", value).items())
