"""How the lab's init starts processes: nodes' holders, services, commands in them, our children.

Every function forks and returns once the new process has reached its program, with its PID as
init knows it and as the host knows it. Runs inside the lab: standard library only.
"""

# os.path is quicker to import than pathlib, and knows descriptors.
# ruff: noqa: PTH123

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, cast

from chaoskit.lab import sandbox_kernel as kernel
from chaoskit.lab.sandbox_root import Mounts, enter_root

__all__ = ["Host", "Started", "fork_holder", "fork_inside", "fork_near", "fork_service"]

Body = Callable[[int], None]
_SPACES = ("net", "uts", "ipc", "pid", "mnt")  # mnt last: it takes our view of /proc away
_NO_IPV6 = "/proc/sys/net/ipv6/conf/default/disable_ipv6"
_MANY = 4096  # above any descriptor that the lab's init has open
_FORWARDED = ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2")


class Started:
    """A process of the lab: its PID in the lab's namespace, and who it is on the host."""

    def __init__(self, pid: int, host_pid: int, starttime: int) -> None:
        self.pid, self.host_pid, self.starttime = pid, host_pid, starttime


class Host:
    """What the processes of the lab still need of the host: its ``/proc``, to know themselves."""

    def __init__(self, proc: int) -> None:
        self._proc = proc

    def me(self) -> dict[str, object]:
        """The PID by which the host knows this process, and its start time in clock ticks."""
        fd = os.open("self/stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        with open(fd, "rb") as file:
            stat = file.read()
        after_name = stat[stat.rindex(b")") + 2 :].split()
        return {"host_pid": int(stat.split()[0]), "starttime": int(after_name[19])}


def fork_holder(host: Host) -> Started:
    """A process that does nothing but keep a network namespace of its own alive."""

    def body(pipe: int) -> None:
        kernel.unshare(kernel.CLONE_NEWNET)
        # Link-local addresses of their own would be a way around a partition.
        with contextlib.suppress(FileNotFoundError), open(_NO_IPV6, "w", encoding="ascii") as file:
            file.write("1")
        _say(pipe, **host.me())
        os.closerange(3, _MANY)
        while True:
            signal.pause()

    return _start(body)


def fork_service(
    host: Host, net: int, folders: tuple[str, str], order: Mapping[str, object], log: int
) -> Started:
    """Start a service as PID 1 of its own PID namespace.

    ``folders``: the node's own, which holds its root, and the one of the run's volumes.
    """
    node, volumes = folders
    argv, env = _words(order["argv"]), _environment(order["env"])
    mounts = cast("Mounts", order["mounts"])

    def pid_one(pipe: int) -> None:
        _say(pipe, **host.me())
        os.setsid()
        socket.sethostname(str(order["hostname"]))
        _stdio(os.open("/dev/null", os.O_RDWR), log, log)
        enter_root(node, mounts, volumes)
        _become(str(order["user"]), env)
        os.chdir(str(order["cwd"]))
        if order["init"]:
            _reap_for(pipe, argv, env)
        else:
            _execute(argv, env)

    def body(pipe: int) -> None:
        kernel.setns(net, kernel.CLONE_NEWNET)
        own = kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC
        kernel.unshare(own)
        _fork_on(pipe, pid_one)

    return _start(body)


def fork_inside(host: Host, service: int, order: Mapping[str, object], output: int) -> Started:
    """Run a command in every namespace of ``service`` (a PID of the lab), as its user."""
    argv, env = _words(order["argv"]), _environment(order["env"])

    def inner(pipe: int) -> None:
        _say(pipe, **host.me())
        os.setsid()
        _stdio(os.open("/dev/null", os.O_RDWR), output, output)
        _become(str(order["user"]), env)
        os.chdir(str(order["cwd"]))
        _execute(argv, env)

    def body(pipe: int) -> None:
        files = [os.open(f"/proc/{service}/ns/{kind}", os.O_RDONLY) for kind in _SPACES]
        for file in files:
            kernel.setns(file)
            os.close(file)
        _fork_on(pipe, inner)

    return _start(body)


def fork_near(
    host: Host, net: int, hosts: str, order: Mapping[str, object], pipes: Sequence[int]
) -> Started:
    """A child of ours: the network and the names of a node, the files of the host."""
    argv, env = _words(order["argv"]), _environment(order["env"])

    def body(pipe: int) -> None:
        _say(pipe, **host.me())
        os.setsid()
        kernel.setns(net, kernel.CLONE_NEWNET)
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.bind(hosts, "/etc/hosts")
        _stdio(*pipes)
        os.chdir(str(order["cwd"]))
        _execute(argv, env)

    return _start(body)


# ---------------------------------------------------------------- forking


def _start(body: Body) -> Started:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _guarded(body, writer)
    os.close(writer)
    told: dict[str, int | str] = {"pid": pid}
    with open(reader, "rb") as lines:  # ends when the program is executed or the process ended
        for line in lines:
            told.update(json.loads(line))
    if "error" in told or "host_pid" not in told:
        raise OSError(str(told.get("error", "it ended before it began")))
    return Started(int(told["pid"]), int(told["host_pid"]), int(told["starttime"]))


def _fork_on(pipe: int, body: Body) -> None:
    """Hand over to a child of this process; init inherits it, because this process ends."""
    pid = os.fork()
    if pid == 0:
        _guarded(body, pipe)
    _say(pipe, pid=pid)


def _guarded(body: Body, pipe: int) -> NoReturn:
    """Run ``body`` and end, without ever coming back into the code that forked."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status = 127
    try:
        body(pipe)
        status = 0
    except (OSError, ValueError, KeyError) as error:
        _say(pipe, error=str(error))
    finally:
        os._exit(status)


def _say(pipe: int, **told: object) -> None:
    os.write(pipe, json.dumps(told).encode() + b"\n")


# ---------------------------------------------------------------- becoming the program


def _stdio(stdin: int, stdout: int, stderr: int) -> None:
    # Moved out of the way first: a descriptor below 3 could be overwritten before it is used.
    for target, fd in enumerate([os.dup(stdin), os.dup(stdout), os.dup(stderr)]):
        os.dup2(fd, target)
        os.close(fd)


def _execute(argv: Sequence[str], env: Mapping[str, str]) -> None:
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores them, and that would be inherited
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    os.umask(0o022)
    try:
        os.execvpe(argv[0], list(argv), dict(env))  # noqa: S606 - a list, and the user's own words
    except OSError as error:
        raise OSError(f"cannot execute {argv[0]}: {error.strerror}") from error


def _become(user: str, env: dict[str, str]) -> None:
    """Switch to ``user`` (``name``, ``uid``, with ``:group``) as the service's root knows it."""
    name, _, group = user.partition(":")
    entry = _passwd(name)
    uid = entry.pw_uid if entry else int(name)
    gid = entry.pw_gid if entry else 0
    if group:
        gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    home = entry.pw_dir if entry else "/"
    kernel.drop_capabilities()
    groups = os.getgrouplist(entry.pw_name, gid) if entry and not group else [gid]
    if uid or gid:
        os.setgroups(groups)
        os.setgid(gid)
        os.setuid(uid)
    else:
        with contextlib.suppress(PermissionError):  # nobody's user namespace has one group only
            os.setgroups(groups)
    env.setdefault("HOME", home if os.access(home, os.X_OK) else "/tmp")  # noqa: S108 - private


def _passwd(name: str) -> pwd.struct_passwd | None:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    if name.isdigit():
        return None
    raise OSError(f"no user {name} on this machine")


def _reap_for(pipe: int, argv: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """``init: true``: stay PID 1, pass signals on, collect orphans, end with the program."""
    main = os.fork()
    if main == 0:
        _guarded(lambda _: _execute(argv, env), pipe)
    os.closerange(3, _MANY)
    for name in _FORWARDED:
        signal.signal(getattr(signal, "SIG" + name), lambda number, _: os.kill(main, number))
    while True:
        pid, status = os.wait()
        if pid == main:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _words(value: object) -> list[str]:
    return [str(word) for word in cast("list[object]", value)]


def _environment(value: object) -> dict[str, str]:
    return {str(k): str(v) for k, v in cast("dict[object, object]", value).items()}
