"""Whether a lab, and the machine it runs on, can do what a fault needs; asked beforehand.

A need is the name of a capability (``chaoskit.capabilities``), which a lab has by having its
methods, or of a feature of the kernel, which is found out by trying it where it harms nobody.
"""

from __future__ import annotations

import functools
import glob
import os
import subprocess

from chaoskit.capabilities import CAPABILITIES
from chaoskit.contracts import FaultModel, Lab
from chaoskit.lab.cgroups import unusable
from chaoskit.lab.disk import no_devices
from chaoskit.lab.sandbox_session import program, system_path

__all__ = ["FEATURES", "feature", "missing", "unmet"]

_TRY_S = 10.0
_LIBFAKETIME = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib*/faketime/libfaketime.so.1")
# The queueing disciplines are tried on a device of an otherwise empty network namespace.
_TRIES = {
    "netem": "netem delay 1ms",
    "tbf": "tbf rate 1mbit burst 4096 limit 65536",
}
FEATURES = {
    "netem": "delay, reordering and corruption of packets (sch_netem)",
    "tbf": "a limit on bandwidth (sch_tbf)",
    "cgroup-cpu": "a limit on processor time (control groups)",
    "cgroup-memory": "a limit on memory (control groups)",
    "libfaketime": "a clock of a node's own, in the sandbox lab (libfaketime)",
    "disk-device": "a disk that can be held up (FUSE, a loop device, mkfs.ext4, root)",
}
"""Feature → what it is for."""


def unmet(fault: FaultModel, lab: Lab | type) -> str | None:
    """One sentence that says what the fault needs and this lab lacks; None if it has it all."""
    for need in (*sorted(fault.needs), *sorted(fault.features())):
        reason = missing(need, lab)
        if reason is not None:
            return f"{fault.kind}: {reason}"
    return None


def missing(need: str, lab: Lab | type) -> str | None:
    """One sentence why the lab cannot do it; None if it can. It need not be up, or even made."""
    if need in CAPABILITIES:
        kind = lab if isinstance(lab, type) else type(lab)
        known = issubclass(kind, CAPABILITIES[need]) or isinstance(lab, CAPABILITIES[need])
        return None if known else f"the {getattr(lab, 'name', kind.__name__)} lab cannot '{need}'"
    if need == "libfaketime" and getattr(lab, "name", "") == "docker":
        return None  # it has to be in the service's image, which only the running service shows
    if need in FEATURES:
        return feature(need)
    return f"nothing is known that is called '{need}'"


@functools.cache
def feature(name: str) -> str | None:
    """One sentence why this machine's kernel lacks the feature, and what to do; None if it has it.

    Tried once per process, in a network namespace of its own; takes some hundredths of a second.
    """
    if name.startswith("cgroup-"):
        return unusable(name.removeprefix("cgroup-"))
    if name == "libfaketime":
        return _no_libfaketime()
    return no_devices() if name == "disk-device" else _no_qdisc(name)


def _no_qdisc(name: str) -> str | None:
    for tool, package in (("tc", "iproute2"), ("ip", "iproute2"), ("unshare", "util-linux")):
        if program(tool) is None:
            return f"the program {tool} is not installed: apt-get install {package}"
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    script = f"ip link add ck0 type veth peer name ck1 && tc qdisc add dev ck0 root {_TRIES[name]}"
    try:
        tried = subprocess.run(
            ["unshare", *user, "--net", "sh", "-c", script],
            check=False,
            capture_output=True,
            text=True,
            timeout=_TRY_S,
            env={**os.environ, "PATH": system_path()},
        )
    except subprocess.TimeoutExpired:
        return f"it could not be found out within {_TRY_S:g} s whether this kernel has {name}"
    if tried.returncode == 0:
        return None
    said = " ".join(tried.stderr.split()).rstrip(".") or f"status {tried.returncode}"
    return (
        f"this kernel cannot do {FEATURES[name]}: {said}; load it with 'modprobe sch_{name}', or "
        "use a kernel that has it (Debian and Ubuntu: linux-modules-extra)"
    )


def _no_libfaketime() -> str | None:
    if any(glob.glob(pattern) for pattern in _LIBFAKETIME):  # noqa: PTH207 - absolute patterns
        return None
    return "libfaketime is not installed on this machine: apt-get install libfaketime"
