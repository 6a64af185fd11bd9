"""A harness to be killed: brings a Docker lab up, starts a busy child, then waits for its end.

``python harness.py RUN_ID FOLDER COMPOSE_FILE`` with a journal under FOLDER/state and a guardian.
Prints ``prepared`` and ``up``. Not a test module.
"""

import sys
import time
from pathlib import Path

from chaoskit.capabilities import Cut
from chaoskit.contracts import CLIENT
from chaoskit.lab.docker import DockerLab
from chaoskit.lab.guardian import Guardian
from chaoskit.lab.journal import Journal
from chaoskit.stack.compose import load_stack

# Writes the time again and again, as a load would send; ends when its input does.
BEAT = """
import os, sys, threading, time
def watch():
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=watch, daemon=True).start()
with open(sys.argv[1], "w") as file:
    print("{}", flush=True)
    while True:
        file.seek(0)
        file.write(f"{time.monotonic_ns():020d}")
        file.flush()
        time.sleep(0.002)
"""


def main(run_id, folder, compose_file):
    run_dir = Path(folder) / "run"
    run_dir.mkdir()
    journal = Journal.create(run_id, Path(folder) / "state")
    guardian = Guardian.start(journal)
    print("guardian", guardian.pid, flush=True)
    lab = DockerLab(load_stack(Path(compose_file)), run_id, run_dir, journal)
    lab.prepare()
    print("prepared", flush=True)
    lab.up()
    beat = lab.inside(str(run_dir / "beat"))
    child = lab.spawn(lab.node(CLIENT), ["python", "-c", BEAT, beat])
    child.receive(30)
    a, b = lab.node("a"), lab.node("b")
    lab.cut([Cut(a, (b,))])
    beside = lab.spawn(a, ["python", "-c", BEAT, str(run_dir / "beat-beside")])
    beside.receive(30)
    print("up", flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])
