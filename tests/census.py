"""Counts what a run of chaoskit may leave on a machine. Does not import chaoskit.

As a script: ``python tests/census.py [--json] [--run ID]``. As functions: ``take()`` before and
after, ``diff(before, after)`` for what is new, ``left(before, within_s)`` to give slow things time.

An item that can be attributed to a run says which; ``run=`` keeps those of one run and so works
next to other runs on the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

MARK = b"CHAOSKIT_RUN="
OTHERS = ""
"""The run of what certainly belongs to no run; None where nobody can tell."""
PLAIN_QDISCS = {"noqueue", "mq", "pfifo_fast", "fq_codel", "fq", "pfifo"}
VIRTUAL_LINKS = {"veth", "bridge", "ifb", "dummy", "tun", "macvlan", "ipvlan", "vlan"}


@dataclass(frozen=True, order=True)
class Item:
    """One thing found. Two counts found the same thing if kind and name are equal."""

    kind: str
    name: str
    run: str | None = field(default=None, compare=False)
    detail: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {self.detail}".strip()


def take(run: str | None = None) -> frozenset[Item]:
    """Everything that is there now; with ``run``, what certainly belongs to that run."""
    items = {item for count in COUNTS for item in count()}
    return frozenset(item for item in items if run is None or item.run == run)


def diff(before: frozenset[Item], after: frozenset[Item]) -> list[Item]:
    """What is there after and was not before."""
    return sorted(after - before)


def left(before: frozenset[Item], within_s: float = 10.0, run: str | None = None) -> list[Item]:
    """``diff`` with the present, repeated until it is empty or the time is up.

    What comes and goes beside us is no leak: only what two counts at the end agree on.
    """
    deadline = time.monotonic() + within_s
    while True:
        found = diff(before, take(run))
        if not found:
            return found
        if time.monotonic() > deadline:
            time.sleep(min(0.5, within_s))
            return sorted(set(found) & take(run))
        time.sleep(0.1)


# ------------------------------------------------------------------ processes


def processes() -> Iterator[Item]:
    """Processes that carry the mark, and ended ones that such a process has not waited for."""
    marked: dict[int, str] = {}
    ended: list[tuple[int, int, str]] = []
    skip = {os.getpid()}
    for pid in _pids():
        facts = _stat(pid)
        if facts is None or pid in skip:
            continue
        name, state, parent, start = facts
        if state in "ZX":
            ended.append((pid, parent, f"{pid}@{start} {name}"))
            continue
        run = _marked(pid)
        if run is not None:
            marked[pid] = run
            detail = {"T": "stopped", "t": "traced"}.get(state, "")
            yield Item("process", f"{pid}@{start}", run, f"{name} {detail}".strip())
    for _, parent, text in ended:
        if parent in marked:
            yield Item("zombie", text, marked[parent])


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _stat(pid: int) -> tuple[str, str, int, int] | None:
    try:
        raw = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    head, _, tail = raw.rpartition(b") ")
    fields = tail.split()
    name = head.partition(b"(")[2].decode(errors="replace")
    return name, fields[0].decode(), int(fields[1]), int(fields[19])


def _marked(pid: int) -> str | None:
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    found = [
        text[len(MARK) :].decode(errors="replace") for text in environ if text.startswith(MARK)
    ]
    return found[0] if found else None


# ------------------------------------------------------------------ networks


def _namespaces() -> dict[int, list[str]]:
    """Every distinct network namespace by inode, with the command prefix that enters it."""
    host = Path("/proc/self/ns/net").stat().st_ino
    found: dict[int, list[str]] = {host: []}
    names = [f"/proc/{pid}/ns/net" for pid in _pids()]
    names += [str(path) for path in _listdir("/run/netns")]
    for name in names:
        try:
            inode = Path(name).stat().st_ino
        except OSError:
            continue
        if inode not in found:
            pid = name.split("/")[2]
            user = [f"--user=/proc/{pid}/ns/user", "--preserve-credentials"]
            foreign = pid.isdigit() and _differs(pid)
            found[inode] = ["nsenter", *(user if foreign else []), f"--net={name}", "--"]
    return found


def _differs(pid: str) -> bool:
    try:
        return (
            Path(f"/proc/{pid}/ns/user").stat().st_ino != Path("/proc/self/ns/user").stat().st_ino
        )
    except OSError:
        return False


def rules() -> Iterator[Item]:
    """Tables of ours and queueing disciplines that somebody set, in every namespace.

    nft is asked for text: version 1.0.6 writes broken JSON for a table that has an owner.
    """
    for inode, enter in _namespaces().items():
        where = "host" if not enter else f"netns {inode}"
        for line in _lines(*enter, "nft", "list", "tables"):
            words = line.split()
            if words[:1] == ["table"] and words[2].startswith("chaoskit"):
                run = words[2].removeprefix("chaoskit_")
                yield Item("nft table", f"{where} {words[1]} {words[2]}", run)
        for line in _lines(*enter, "tc", "qdisc", "show"):
            words = line.split()
            if len(words) > 4 and words[1] not in PLAIN_QDISCS:
                yield Item("qdisc", f"{where} {words[1]} {words[4]}")


def links() -> Iterator[Item]:
    """Virtual devices in the host's namespace; those of Docker's networks say whose they are."""
    shown = '{{.ID}}|{{.Label "chaoskit.run"}}'
    owners = {"docker0": OTHERS}
    for line in _lines("docker", "network", "ls", "--no-trunc", "--format", shown):
        identity, _, run = line.partition("|")
        owners[f"br-{identity[:12]}"] = run or OTHERS
    for link in _json("ip", "-j", "-d", "link", "show"):
        kind, name = link.get("linkinfo", {}).get("info_kind"), link["ifname"]
        if kind in VIRTUAL_LINKS:
            yield Item("link", name, owners.get(link.get("master", name)), kind)


def named_namespaces() -> Iterator[Item]:
    for path in _listdir("/run/netns"):
        yield Item("named netns", path.name)


def listeners() -> Iterator[Item]:
    """Sockets on this host that listen to more than loopback."""
    found: dict[str, str] = {}
    for name, loopback in (("tcp", r".{6}7F:"), ("tcp6", r"0{24}01000000:|.{16}FFFF0000.{6}7F:")):
        try:
            rows = Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        except OSError:
            continue
        for words in map(str.split, rows):
            if words[3] == "0A" and not re.match(loopback, words[1]):
                found[f"socket:[{words[9]}]"] = f"{name} {words[1]}"
    owners = _owners(set(found)) if found else {}
    for inode, name in found.items():
        yield Item("listener", name, owners.get(inode))


def _owners(inodes: set[str]) -> dict[str, str]:
    """Which run, if any, the process belongs to that holds a socket."""
    owners: dict[str, str] = {}
    for pid in _pids():
        for path in _listdir(f"/proc/{pid}/fd"):
            try:
                inode = str(path.readlink())
            except OSError:
                continue
            if inode in inodes:
                owners[inode] = _marked(pid) or owners.get(inode, OTHERS)
    return owners


# ------------------------------------------------------------------ files and mounts


def mounts() -> Iterator[Item]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        words = line.split()
        if "chaoskit" in f"{words[3]} {words[4]} {words[words.index('-') + 2]}":
            yield Item("mount", words[4])


def disks() -> Iterator[Item]:
    """Loop devices whose backing file is a disk of ours; its name says of which run."""
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            words = Path(path.read_text().strip()).name.split(".")
        except OSError:
            continue
        if words[0] == "chaoskit" and len(words) > 1:
            yield Item("loop device", path.parts[3], words[1])


def folders() -> Iterator[Item]:
    """Temporary folders of ours, and journals that are not closed."""
    uid = os.geteuid()
    temporary = {Path(tempfile.gettempdir()), Path("/tmp"), Path("/dev/shm")}
    roots = {Path(f"/tmp/chaoskit-{uid}"), Path("~/.local/state/chaoskit").expanduser()}
    if os.environ.get("XDG_STATE_HOME"):
        roots.add(Path(os.environ["XDG_STATE_HOME"]) / "chaoskit")
    for base in sorted(temporary):
        for path in _listdir(str(base)):
            if path.name.startswith("chaoskit") and path not in roots:
                yield Item("temporary", str(path))
    for root in sorted(roots):
        for path in _listdir(str(root)):
            yield Item("journal", str(path), path.name)


def _listdir(path: str) -> list[Path]:
    try:
        return sorted(Path(path).iterdir())
    except OSError:
        return []


# ------------------------------------------------------------------ Docker


def docker() -> Iterator[Item]:
    """Objects that carry our label, whatever state they are in. Nothing where no engine answers."""
    if shutil.which("docker") is None:
        return
    label = ["--filter", "label=chaoskit.run", "--format"]
    shown = '{{.ID}}|{{.Label "chaoskit.run"}}|{{.%s}}'
    asked = {
        "container": ["ps", "--all", "--no-trunc", *label, shown % "State"],
        "network": ["network", "ls", "--no-trunc", *label, shown % "Name"],
        "volume": ["volume", "ls", *label, (shown % "Driver").replace(".ID", ".Name")],
    }
    for kind, argv in asked.items():
        for line in _lines("docker", *argv):
            name, run, detail = line.split("|", 2)
            yield Item(f"docker {kind}", name, run, detail)


# ------------------------------------------------------------------ helpers


def _lines(*argv: str) -> list[str]:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    except FileNotFoundError:
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


def _json(*argv: str) -> list[dict]:
    text = "\n".join(_lines(*argv))
    return json.loads(text) if text else []


COUNTS: tuple[Callable[[], Iterator[Item]], ...] = (
    processes,
    rules,
    links,
    named_namespaces,
    listeners,
    mounts,
    disks,
    folders,
    docker,
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--run", help="only what certainly belongs to this run")
    given = parser.parse_args()
    items = sorted(take(given.run))
    if given.json:
        print(json.dumps([asdict(item) for item in items], indent=1))
    else:
        print("\n".join(map(str, items)) or "nothing")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
