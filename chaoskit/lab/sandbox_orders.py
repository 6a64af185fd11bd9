"""What the sandbox makes of a service's Compose keys: the order that its init carries out."""

from __future__ import annotations

import grp
import os
import pwd
import sys
from pathlib import Path

from chaoskit.errors import Refused
from chaoskit.lab.ops import RUN_MARK
from chaoskit.lab.sandbox_session import system_path
from chaoskit.stack.labels import disk
from chaoskit.stack.model import Mount, Service, Stack

__all__ = ["child_order", "disk_order", "lab_folder", "refusals", "root_order", "service_order"]

# One of these is covered by the lab's tmpfs, in the lab's own view and in no other.
_FOLDERS = ("/run", "/mnt", "/media", "/srv", "/opt", "/home")
_ROOT_USERS = ("root", "0", "root:root", "0:0", "root:0", "0:root")


def refusals(stack: Stack, *, root: bool) -> list[str]:
    """Why the sandbox cannot run this stack as this user; one sentence each."""
    found = list(stack.sandbox_refusals)
    for service in stack.services.values():
        where = f"{stack.file}:{service.line}: service {service.name}"
        if not service.command:
            found.append(f"{where}: command is required in the sandbox lab")
        if service.user is not None and service.user not in _ROOT_USERS:
            if not root:
                found.append(
                    f"{where}: user: {service.user} needs the sandbox lab to be run as root"
                )
            elif _ids(service.user) is None:
                found.append(f"{where}: user: {service.user} does not exist on this machine")
        found += [
            f"{where}: {mount.source} does not exist, so it cannot be mounted on {mount.target}"
            for mount in service.mounts
            if mount.kind == "bind" and not Path(mount.source or "").exists()
        ]
    return found


def lab_folder(stack: Stack, run_dir: Path) -> str:
    """A folder of the host that nothing of this run lies in, for the lab's tmpfs to cover."""
    import chaoskit

    needed = [Path(sys.prefix), Path(sys.base_prefix), run_dir.absolute(), Path.cwd()]
    needed += [Path(chaoskit.__file__), stack.file.absolute(), Path(sys.executable)]
    for service in stack.services.values():
        needed += [Path(m.source) for m in service.mounts if m.kind == "bind" and m.source]
    kept = {path for each in needed for path in (each, each.resolve())}
    for folder in _FOLDERS:
        if Path(folder).is_dir() and not any(k.is_relative_to(folder) for k in kept):
            return folder
    raise Refused(f"the sandbox lab needs one of {', '.join(_FOLDERS)} that holds no file of ours")


def service_order(service: Service, run_id: str, device: str | None) -> dict[str, object]:
    """How the service is started, and commands in it are run; ``device`` is that of its disk."""
    interpreter = str(Path(sys.executable).parent)
    # Where our interpreter was told to look for modules, theirs must look as well.
    modules = {k: v for k, v in os.environ.items() if k == "PYTHONPATH"}
    environment = {
        **modules,
        "PATH": f"{interpreter}:{system_path()}",
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "HOSTNAME": service.hostname or service.name,
        **service.environment,
        RUN_MARK: run_id,
    }
    uid, gid = _ids(service.user) or (0, 0)
    return {
        "node": service.name,
        "hostname": service.hostname or service.name,
        "argv": list(service.command),
        "env": environment,
        "cwd": service.working_dir or "/",
        "user": service.user or "root",
        "init": service.init,
        "mounts": [_mount(service, mount, uid, gid) for mount in _mounts(service, device)],
    }


def root_order(service: Service, *, locked: bool) -> dict[str, object]:
    """What must exist in the service's root before anything is mounted there."""
    targets = [
        {"path": m.target, "kind": "file" if m.source and Path(m.source).is_file() else "folder"}
        for m in _mounts(service)
    ]
    if service.working_dir:
        targets.append({"path": service.working_dir, "kind": "folder"})
    return {"node": service.name, "targets": targets, "locked": locked}


def disk_order(service: Service) -> dict[str, object]:
    """The disk of its own that a service asked for, where it is memory of that size."""
    words = disk(service)
    return {"volume": _disk_volume(service), "size": words.size if words else 0}


def child_order(node: str, argv: list[str], run_id: str) -> dict[str, object]:
    """How a process of ours is started near a node: as we are, ``python`` being our own."""
    if argv and argv[0] == "python":
        argv = [sys.executable, *argv[1:]]
    environment = {**os.environ, RUN_MARK: run_id}
    return {"node": node, "argv": argv, "env": environment, "cwd": str(Path.cwd())}


def _mounts(service: Service, device: str | None = None) -> list[Mount]:
    """What the service asked to be mounted, its own disk in the place of what was there."""
    words = disk(service)
    if words is None:
        return list(service.mounts)
    kept = [mount for mount in service.mounts if mount.target.rstrip("/") != words.path]
    if device is not None:
        return [*kept, Mount(words.path, device, "device")]
    return [*kept, Mount(words.path, _disk_volume(service), "volume")]


def _disk_volume(service: Service) -> str:
    # Nobody else can name it; the dot keeps it apart from the names that people give.
    return f".disk.{service.name}"


def _mount(service: Service, mount: Mount, uid: int, gid: int) -> dict[str, object]:
    source = mount.source
    if mount.kind == "volume" and source is None:
        # Nobody else can name it; the dot keeps it apart from the names that people give.
        source = f".{service.name}{mount.target.replace('/', '.')}"
    return {
        "kind": mount.kind,
        "source": source,
        "target": mount.target,
        "read_only": mount.read_only,
        "size": mount.size,
        "uid": uid,
        "gid": gid,
    }


def _ids(user: str | None) -> tuple[int, int] | None:
    """User and group id as this machine knows them; None if it does not."""
    name, _, group = (user or "root").partition(":")
    try:
        entry = None if name.isdigit() else pwd.getpwnam(name)
        named = None if not group or group.isdigit() else grp.getgrnam(group)
    except KeyError:
        return None
    uid, own_gid = (entry.pw_uid, entry.pw_gid) if entry else (int(name), 0)
    return uid, named.gr_gid if named else int(group or own_gid)
