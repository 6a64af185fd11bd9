"""Entering the namespaces of a node, and only those.

The process is opened as a pidfd and its identity compared before and after its namespace files
are opened: what is held then is the namespace itself, whatever becomes of the process. Programs
enter through ``nsenter`` on the held files, never through a stored PID.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from chaoskit.errors import LabError, Refused
from chaoskit.lab.process import ProcessIdentity, boot_id, identity_of, open_checked

__all__ = ["Namespaces", "is_own"]

_FLAGS = {
    "user": "--user",
    "net": "--net",
    "mnt": "--mount",
    "pid": "--pid",
    "uts": "--uts",
    "ipc": "--ipc",
}


class Namespaces:
    """Open namespace files of one process. Close them, or use this as a context manager."""

    def __init__(self, files: Mapping[str, int]) -> None:
        self._files = dict(files)

    @classmethod
    def of(
        cls, pid: int, starttime: int | None = None, kinds: Sequence[str] = ("net",)
    ) -> Namespaces:
        """The namespaces of process ``pid``; with ``starttime`` (ticks) of exactly that one.

        A user namespace other than ours is entered with them, whether named or not. Raises
        ``Refused`` for PID <= 1 and for the network namespace that we ourselves are in (rules
        never go there), and ``LabError`` if the process is gone.
        """
        files: dict[str, int] = {}
        try:
            who = identity_of(pid)
            if starttime is not None:
                who = ProcessIdentity(pid, starttime, boot_id())
            with open_checked(who):
                for kind in ("user", *(k for k in _FLAGS if k in kinds and k != "user")):
                    files[kind] = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
            with open_checked(who):  # still the same process: the files are its own
                pass
            if is_own("user", files["user"]):
                os.close(files.pop("user"))
            _refuse_own_network(pid, files.get("net"))
        except (ProcessLookupError, FileNotFoundError):
            _close_all(files)
            raise LabError(f"process {pid} is gone, and its namespaces with it") from None
        except BaseException:
            _close_all(files)
            raise
        return cls(files)

    def inode(self, kind: str = "net") -> int:
        """The namespace's number: equal for equal namespaces for as long as both are held."""
        return os.fstat(self._files[kind]).st_ino

    def command(self, argv: Sequence[str]) -> list[str]:
        """The argument list that runs ``argv`` inside; needs the descriptors of ``fds()``."""
        if not self._files:
            raise LabError("these namespaces are closed")
        enter = [f"{_FLAGS[kind]}=/proc/self/fd/{fd}" for kind, fd in self._files.items()]
        # An unprivileged harness keeps its own user id; root inside is that same user anyway.
        keep = ["--preserve-credentials"] if "user" in self._files else []
        return ["nsenter", *keep, *enter, "--", *argv]

    def fds(self) -> tuple[int, ...]:
        """What a process that runs ``command()`` must be given (``pass_fds``)."""
        return tuple(self._files.values())

    def popen(
        self,
        argv: Sequence[str],
        *,
        stdin: int | IO[bytes] | None = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program inside, in a session of its own so that Ctrl-C passes it by."""
        return subprocess.Popen(
            self.command(argv),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=env,
            cwd=cwd,
            pass_fds=self.fds(),
            start_new_session=True,
        )

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes = b"",  # noqa: A002 - as subprocess.run names it
        timeout: float = 10.0,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program inside to its end; output and exit status come back, no exception.

        Raises ``LabError`` if it does not end within ``timeout`` seconds; it is killed then.
        """
        process = self.popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        with process:
            try:
                out, err = process.communicate(input, timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise LabError(f"{argv[0]} did not end within {timeout:g} s") from None
        return subprocess.CompletedProcess(list(argv), process.returncode, out, err)

    def close(self) -> None:
        """Let go of the namespaces. Idempotent."""
        _close_all(self._files)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def is_own(kind: str, fd: int) -> bool:
    """Whether this namespace is the one we ourselves are in."""
    own, other = Path(f"/proc/self/ns/{kind}").stat(), os.fstat(fd)
    return (own.st_dev, own.st_ino) == (other.st_dev, other.st_ino)


def _refuse_own_network(pid: int, fd: int | None) -> None:
    if fd is not None and is_own("net", fd):
        raise Refused(f"process {pid} shares the network of this host; it is not touched")


def _close_all(files: dict[str, int]) -> None:
    while files:
        os.close(files.popitem()[1])
