"""What the kernel shows of our tables: asked of nft, as text, by a process that owns none of them.

nft 1.0.6 garbles its own JSON when it lists a table that has an owner, so text it is.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterable
from typing import Protocol

from chaoskit.errors import LabError, Refused
from chaoskit.lab.netns import Namespaces
from chaoskit.lab.ops import RUN_MARK
from chaoskit.lab.process import ProcessIdentity, identity_of

__all__ = ["Answer", "Listing", "Reader", "find_nft"]

_FAMILIES = ("inet", "netdev")
_QUESTION = b"list ruleset\ndescribe ip version\n"
_END = b"payload expression"  # what the second half of the question is answered with
_PATIENCE_S = 2.0


def find_nft() -> str:
    """The path of nft; ordinary users' PATH often lacks sbin. Raises ``Refused`` without it."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    found = shutil.which("nft", path=path)
    if found is None:
        raise Refused("nft is not installed; on Debian and Ubuntu: apt-get install nftables")
    return found


class Answer(Protocol):
    """A question that is on its way."""

    def text(self) -> str:
        """Our tables as text, empty if there is none. Raises ``LabError`` if nft cannot say."""


class Listing:
    """A question to the kernel that is already on its way when this is made."""

    def __init__(self, namespaces: Namespaces, table: str) -> None:
        self._table = table
        self._process = namespaces.popen(
            [find_nft(), "-n", "list ruleset"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def text(self) -> str:
        """Our tables as text, empty if there is none. Raises ``LabError`` if nft cannot say."""
        with self._process as process:
            try:
                out, err = process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                raise LabError("nft did not list its rules within 10 s") from None
        if process.returncode != 0:
            raise LabError("nft cannot list its rules", output=err.decode(errors="replace"))
        return _ours(out, self._table)


class Reader:
    """An nft process that waits inside one namespace to be asked, again and again.

    A new process takes ten times as long to answer. This one asks the kernel for the generation of
    its rules and lists them anew only if that has changed. Every command that changes something
    makes a new generation; the end of a table's owner and the end of a lease do not. So it may be
    asked after a change of ours, and about a table whose owner is alive; else a ``Listing`` is the
    one to ask. It ends with its standard input.
    """

    def __init__(self, namespaces: Namespaces, table: str, run_id: str) -> None:
        self._table, self._namespaces = table, namespaces
        self._process = namespaces.popen(
            [find_nft(), "-n", "-i"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, RUN_MARK: run_id},
        )
        self.identity: ProcessIdentity = identity_of(self._process.pid)

    def ask(self) -> bool:
        """Send the question; False if there is nobody to ask any more."""
        stdin = self._process.stdin
        if stdin is None or stdin.closed or self._process.poll() is not None:
            return False
        try:
            stdin.write(_QUESTION)
            stdin.flush()
        except OSError:
            return False
        return True

    def text(self) -> str:
        """The answer to ``ask``, as of ``Listing``; one is asked if this process cannot say."""
        said = self._read()
        if said is None:
            self.end()  # half an answer may still come, and would be taken for the next one
            return Listing(self._namespaces, self._table).text()
        return _ours(said, self._table)

    def _read(self) -> bytes | None:
        stdout = self._process.stdout
        if stdout is None:
            return None
        said = b""
        deadline = time.monotonic() + _PATIENCE_S
        poll = select.poll()
        poll.register(stdout, select.POLLIN)
        while True:
            body, end, rest = said.rpartition(_END)
            if end and rest.endswith(b"\n") and (not body or body.endswith(b"\n")):
                return None if b"Error" in body else body
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return None
            data = os.read(stdout.fileno(), 1 << 16)
            if not data:
                return None
            said += data

    def end(self) -> None:
        """End the process. Idempotent."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _ours(ruleset: bytes, table: str) -> str:
    return "\n".join(_tables(ruleset.decode(errors="replace"), table))


def _tables(ruleset: str, table: str) -> Iterable[str]:
    """The blocks of our tables: this very name in the families that we use."""
    ours = False
    for line in ruleset.splitlines():
        if line.startswith("table "):
            _, family, name = line.split()[:3]
            ours = name == table and family in _FAMILIES
        if ours:
            yield line
