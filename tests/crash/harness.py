"""A small harness to be killed: journal, guardian, two namespaces, a folder, a partition.

``python harness.py STATE RUN LEASE [POINT SIGNAL]``. It passes numbered points, before and after
every intent, act, done and undo; at point number POINT it sends itself SIGNAL. Without one it
runs to its end and prints how many points there are. ``partition`` is printed while one is on.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

from chaoskit.capabilities import Cut
from chaoskit.contracts import Node
from chaoskit.lab import netfilter, nft
from chaoskit.lab.guardian import Guardian
from chaoskit.lab.journal import Journal
from chaoskit.lab.netfilter import Netfilter
from chaoskit.lab.netns import Namespaces
from chaoskit.lab.ops import KillProcess, RemoveTree
from chaoskit.lab.process import identity_of, kill_and_wait

STATE, RUN, LEASE = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
POINT, SIGNAL = (int(sys.argv[4]), int(sys.argv[5])) if len(sys.argv) > 4 else (0, 0)
passed = 0


def point() -> None:
    global passed  # noqa: PLW0603 - one counter for the whole process
    passed += 1
    if passed == POINT:
        os.kill(os.getpid(), SIGNAL)


def around(owner: object, name: str) -> None:
    act = getattr(owner, name)

    @functools.wraps(act)
    def wrapped(*args, **kwargs):
        point()
        try:
            return act(*args, **kwargs)
        finally:
            point()

    setattr(owner, name, wrapped)


for owner, names in (
    (Journal, ("intend", "done", "undone", "archive")),
    (nft.Holder, ("send", "wait", "end")),
    (netfilter, ("_take_out",)),
    (Guardian, ("goodbye",)),
):
    for name in names:
        around(owner, name)


def start_space(journal: Journal, name: str) -> tuple[subprocess.Popen, int]:
    """A namespace that lives on without us. It waits for a word before it becomes that."""
    process = subprocess.Popen(
        ["unshare", "-n", "sh", "-c", "echo up; read go && exec sleep 1000"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    process.stdout.read(3)
    who = identity_of(process.pid)
    entry = journal.intend(KillProcess(who.pid, who.starttime, who.boot_id, name))
    point()
    process.stdin.write(b"go\n")
    process.stdin.flush()
    point()
    journal.done(entry)
    return process, entry


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    journal = Journal.create(RUN, STATE)
    guardian = Guardian.start(journal, LEASE)
    tree = journal.intend(RemoveTree("lab"))
    (journal.directory / "lab" / "deep").mkdir(parents=True)
    (journal.directory / "lab" / "deep" / "file").write_text("x")
    journal.done(tree)
    spaces = {name: start_space(journal, name) for name in ("a", "b")}
    filters = Netfilter(RUN, journal, lambda node: Namespaces.of(spaces[node.name][0].pid))
    nodes = {name: Node(name, f"198.18.241.{i}") for i, name in enumerate(spaces, 2)}
    handle = filters.cut([Cut(nodes["a"], (nodes["b"],)), Cut(nodes["b"], (nodes["a"],))])
    assert filters.in_force(handle)
    print(
        "partition",
        guardian.pid,
        *(e.op.pid for e in journal.open_entries() if e.scope == "fault"),
        flush=True,
    )
    if SIGNAL == 0 and POINT < 0:
        sys.stdin.read()  # the test decides when
    filters.join(handle)
    filters.close()
    for process, entry in reversed(spaces.values()):
        kill_and_wait(identity_of(process.pid))
        process.wait()
        point()
        journal.undone(entry)
    subprocess.run(["rm", "-r", str(journal.directory / "lab")], check=True)
    journal.undone(tree)
    journal.archive(STATE)  # while the guardian still watches: no moment is nobody's
    guardian.goodbye()
    print("points", passed, flush=True)


if __name__ == "__main__":
    main()
