"""nftables, spoken safely: rules as data, and the process that owns a table.

Everything that comes from outside is typed before it gets here (addresses by ``ipaddress``, names
by pattern) and travels as JSON on standard input, so no value can become syntax. The only text
lines are fixed ones around names of our own making: in JSON, nft 1.0.6 drops a table's owner flag
and refuses a set's dynamic flag. The same version garbles its own JSON when it lists a table that
has an owner, so rules are read back as text.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import subprocess
import time
from collections.abc import Iterable, Sequence

from chaoskit.errors import LabError
from chaoskit.lab.netns import Namespaces
from chaoskit.lab.nft_listing import Answer, Listing, Reader, find_nft
from chaoskit.lab.nft_rules import Rule
from chaoskit.lab.ops import RUN_MARK, check_run_id
from chaoskit.lab.process import ProcessIdentity, identity_of

__all__ = [
    "LEASE_S",
    "Holder",
    "add_chains",
    "add_sets",
    "add_tables",
    "remove_chains",
    "remove_tables",
    "renew_lease",
]

LEASE_S = 3
"""Where tables cannot be owned (before Linux 5.12), rules hold for this long unless renewed."""

_DEVICE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_FENCE = b'{"nftables":[{"list":{"counters":{}}}]}\n'  # answered once all before it was done
_ANSWER = b'{"nftables": [{"metainfo"'
_FLOWS = 1_000_000  # connections opened while a half-open cut holds; the kernel grows to it
_EARLY = -310  # before connection tracking: established connections are cut as well


def add_tables(
    table: str, families: Sequence[str], *, owned: bool
) -> list[str | dict[str, object]]:
    """The lines that make our tables, to be sent before their chains."""
    if owned:
        return [f"add table {family} {table} {{ flags owner; }}" for family in families]
    commands: list[object] = []
    for family in families:
        lease = {"name": "lease", "type": "ether_type", "flags": ["timeout"]}
        commands.append({"add": {"table": {"family": family, "name": table}}})
        commands.append({"add": {"set": {"family": family, "table": table, **lease}}})
        commands.append({"add": {"element": _lease(family, table)}})
    return [{"nftables": commands}] if commands else []


def renew_lease(table: str, families: Iterable[str]) -> dict[str, object]:
    """One transaction that renews the lease; it fails, and changes nothing, if that has ended.

    A timeout cannot be changed in place, so the element is removed and added.
    """
    elements = [_lease(family, table) for family in sorted(families)]
    pairs = [({"delete": {"element": e}}, {"add": {"element": e}}) for e in elements]
    return {"nftables": [command for pair in pairs for command in pair]}


def remove_tables(table: str, families: Iterable[str]) -> dict[str, object]:
    """One transaction that removes our tables with all that is in them."""
    names = [{"family": family, "name": table} for family in sorted(families)]
    return {"nftables": [{"delete": {"table": name}} for name in names]}


def _lease(family: str, table: str) -> dict[str, object]:
    element = {"elem": {"val": "ip", "timeout": LEASE_S}}
    return {"family": family, "table": table, "name": "lease", "elem": [element]}


def add_sets(table: str, rules: Sequence[Rule]) -> list[str]:
    """The lines that make the sets which the rules fill; to be sent before their chains."""
    return [
        f"add set {family} {table} {name} {{ type ipv4_addr . inet_service . ipv4_addr . "
        f"inet_service; flags dynamic; size {_FLOWS}; }}"
        for family, name in _sets(rules)
    ]


def _sets(rules: Sequence[Rule]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((rule.family, rule.fills) for rule in rules if rule.fills))


def add_chains(table: str, rules: Sequence[Rule]) -> dict[str, object]:
    """One transaction that makes the rules' chains and the rules: all of it or nothing."""
    commands: list[object] = []
    seen: set[tuple[str, str]] = set()
    for rule in rules:
        where = {"family": rule.family, "table": table}
        if (rule.family, rule.chain) not in seen:
            seen.add((rule.family, rule.chain))
            hook: dict[str, object] = {"type": "filter", "hook": rule.hook, "prio": _EARLY}
            if rule.device is not None:
                hook |= {"dev": rule.device, "prio": 0}
            chain = {**where, "name": rule.chain, **hook, "policy": "accept"}
            commands.append({"add": {"chain": chain}})
        body = {**where, "chain": rule.chain, "comment": rule.comment, "expr": list(rule.expr)}
        commands.append({"add": {"rule": body}})
    return {"nftables": commands}


def remove_chains(table: str, rules: Sequence[Rule]) -> dict[str, object]:
    """One transaction that removes the rules' chains and sets, whatever is in them."""
    chains = dict.fromkeys((rule.family, rule.chain) for rule in rules)
    commands: list[object] = []
    for family, name in chains:
        chain = {"family": family, "table": table, "name": name}
        commands += [{"flush": {"chain": chain}}, {"delete": {"chain": chain}}]
    for family, name in _sets(rules):
        commands.append({"delete": {"set": {"family": family, "table": table, "name": name}}})
    return {"nftables": commands}


class Holder:
    """An nft process inside one namespace that owns our table there.

    The kernel removes the table when this process ends, and it ends when its standard input
    closes: a harness that dies, however it dies, takes its partitions with it.
    """

    def __init__(self, run_id: str, namespaces: Namespaces) -> None:
        self.table = f"chaoskit_{check_run_id(run_id)}"
        self.namespaces = namespaces
        self._process = namespaces.popen(
            [find_nft(), "-j", "-i"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, RUN_MARK: run_id},
        )
        self.identity: ProcessIdentity = identity_of(self._process.pid)
        self.reader = Reader(namespaces, self.table, run_id)

    def alive(self) -> bool:
        """Whether it still runs, and with it whatever it holds in force."""
        return self._process.poll() is None

    def send(self, *lines: str | dict[str, object]) -> None:
        """Hand over commands without waiting for them. Raises ``LabError`` if it has died."""
        texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
        data = b"".join(text.encode("ascii") + b"\n" for text in texts) + _FENCE
        stdin = self._process.stdin
        try:
            if stdin is None:
                raise BrokenPipeError
            stdin.write(data)
            stdin.flush()
        except (OSError, ValueError):
            raise LabError("the nft process that holds the partition has died") from None

    def wait(self, timeout_s: float = 5.0) -> None:
        """Until all that was sent is done. Raises ``LabError`` with nft's words if it refused."""
        said = b""
        deadline = time.monotonic() + timeout_s
        stdout = self._process.stdout
        poll = select.poll()
        if stdout is not None:
            poll.register(stdout, select.POLLIN)
        while not (_ANSWER in said and said.endswith(b"\n")):
            if stdout is None or not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise LabError(f"nft did not answer within {timeout_s:g} s")
            data = os.read(stdout.fileno(), 1 << 16)
            if not data:
                raise LabError("nft ended unexpectedly", output=said.decode(errors="replace"))
            said += data
        refused = said.partition(_ANSWER)[0].strip()
        if refused:
            raise LabError("nft refused a rule", output=refused.decode(errors="replace"))

    def listing(self, *, quick: bool = False) -> Answer:
        """Ask the kernel, through another process, what our tables hold now.

        ``quick`` asks one that is there already; ``Reader`` says when that may be done.
        """
        if quick and self.reader.ask():
            return self.reader
        return Listing(self.namespaces, self.table)

    def devices(self) -> tuple[str, ...]:
        """The network devices of the namespace, without ``lo``."""
        raw = self.namespaces.run(["cat", "/proc/net/dev"]).stdout.decode(errors="replace")
        names = [line.partition(":")[0].strip() for line in raw.splitlines()[2:]]
        for name in names:
            if not _DEVICE.fullmatch(name):
                raise LabError(f"a network device of the node has the unusable name {name!r}")
        return tuple(name for name in names if name != "lo")

    def remove_unowned(self, families: Iterable[str]) -> None:
        """Remove our tables through another process, where ending the holder does not."""
        lines = "".join(f"delete table {family} {self.table}\n" for family in sorted(families))
        self.namespaces.run([find_nft(), "-f", "-"], input=lines.encode("ascii"))

    def end(self, grace_s: float = 1.0) -> None:
        """End the process and wait until it is gone, and what it held with it. Idempotent."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def close(self) -> None:
        """End it and let go of the namespace. Idempotent."""
        self.reader.end()
        self.end()
        self.namespaces.close()
