"""Where we are root on the engine's host: a container's first process and its namespaces.

Faults then go through the kernel, in microseconds, instead of through the engine. A process is
only touched after it has shown that it belongs to the container: its control group carries the
container's full id and it is the first process of its PID namespace.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from chaoskit.clock import now_ns
from chaoskit.errors import LabError
from chaoskit.lab.netns import Namespaces
from chaoskit.lab.process import ProcessIdentity, identity_of, open_checked

__all__ = ["close_ways_out", "first_process", "hurry", "send_signal", "with_names"]


def first_process(state: Mapping[str, object], container: str) -> ProcessIdentity | None:
    """The first process of a running container as this host sees it.

    ``state`` is the engine's ``State``. None where it does not run, or where this host cannot
    see it as its own (not root, or the engine runs elsewhere, in a machine of its own).
    """
    pid = state.get("Pid")
    if os.geteuid() != 0 or not state.get("Running") or not isinstance(pid, int) or pid <= 1:
        return None
    try:
        who = identity_of(pid)
        groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii", errors="replace")
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
        with open_checked(who):  # what was just read is about this very process
            pass
    except (ProcessLookupError, FileNotFoundError):
        return None
    inner = next((line for line in status.splitlines() if line.startswith("NSpid:")), "")
    if container not in groups or inner.split()[-1:] != ["1"]:
        return None
    return who


def send_signal(who: ProcessIdentity, signum: int, within_s: float) -> int | None:
    """Signal the process through a checked pidfd; after SIGKILL wait until it has ended.

    The first process of a PID namespace takes every other one with it and ends last, so its end
    is the end of the whole node. When it was delivered, ns; None if it was gone already. Raises
    ``LabError`` in time-out.
    """
    try:
        with open_checked(who) as fd:
            signal.pidfd_send_signal(fd, signum)
            delivered_ns = now_ns()
            if signum != signal.SIGKILL:
                return delivered_ns
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            if not poll.poll(within_s * 1000):
                raise LabError(f"process {who.pid} did not end within {within_s:g} s of SIGKILL")
    except ProcessLookupError:
        return None
    return delivered_ns


# A copy of the mount of a node's disk would keep it mounted when the node is gone.
_WITH_NAMES = """
while read -r _ _ _ _ at _; do
    case "$at" in *chaoskit-disk-*) umount -l "$at" || : ;; esac
done </proc/self/mountinfo
[ -z "$1" ] || mount --bind "$1" /etc/resolv.conf
[ -z "$2" ] || mount --bind "$2" /etc/hosts
shift 2
exec "$@"
"""


def with_names(resolv: str, hosts: str, argv: Sequence[str]) -> list[str]:
    """``argv`` in a mount namespace of its own in which names mean what they do in a container.

    ``resolv`` and ``hosts`` are the files that the engine keeps for it; empty: the host's stay.
    """
    private = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", _WITH_NAMES, "sh"]
    return [*private, resolv, hosts, *argv]


def close_ways_out(inside: Namespaces) -> None:
    """Take the default route away, so that whoever tries to leave the lab is told so at once.

    Engines before 27 set one on internal networks too; packets that follow it are dropped.
    """
    inside.run(["ip", "-4", "route", "delete", "default"])  # none there: it says so, and is right


_CPU_GROUP = Path("/sys/fs/cgroup/cpu/cgroup.procs")


def hurry(pid: int, container: str) -> bool:
    """Let a process of ours in our own container use real-time priority; True if it now may.

    On cgroup v1 a container has no real-time budget of its own, so the load, which must go before
    what it measures, would be denied. It is moved to the host's own cpu group, where it ends with
    its container all the same. On cgroup v2 nothing is needed, and nothing is done.
    """
    if os.geteuid() != 0 or pid <= 1 or not _CPU_GROUP.exists():
        return False
    try:
        with open_checked(identity_of(pid)):
            if container not in Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii"):
                return False
            _CPU_GROUP.write_text(str(pid), encoding="ascii")
    except OSError:
        return False
    return True
