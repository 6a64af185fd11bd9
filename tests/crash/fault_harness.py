"""A harness to be killed or frozen while a fault is on: ``fault_harness.py LAB RUN FOLDER FAULT``.

FAULT is JSON: the fault's name and its keys. Prints ``on``, with the pids that the fault has
stopped, and holds it until somebody ends this. Not a test module.
"""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "docker"))
sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox"))

from docker_stacks import web_pair
from sandbox_stacks import server, stack

from chaoskit.contracts import Targets
from chaoskit.experiment.steps import fault_class
from chaoskit.lab.docker import DockerLab
from chaoskit.lab.guardian import Guardian
from chaoskit.lab.journal import Journal
from chaoskit.lab.sandbox import SandboxLab

LEASE_S = 4.0  # longer than a busy machine keeps a process waiting: the test looks before it ends


def main(kind, run_id, folder, said):
    folder = Path(folder)
    (folder / "run").mkdir()
    keys = json.loads(said)
    fault = fault_class(keys.pop("fault")).model_validate(keys)
    disk = "disk" in fault.needs
    journal = Journal.create(run_id, folder / "state")
    guardian = Guardian.start(journal, LEASE_S)
    if kind == "docker":
        labels = 'chaoskit.endpoint: "http://:8080", chaoskit.disk: "/data 16m"'
        pair = web_pair(folder, labels) if disk else web_pair(folder)
        lab = DockerLab(pair, run_id, folder / "run", journal)
    else:
        first = server("a")
        if disk:
            first = replace(first, labels={**first.labels, "chaoskit.disk": "/data 16m"})
        both = stack(folder, first, server("b"))
        lab = SandboxLab(both, run_id, folder / "run", journal)
    lab.up()
    node = lab.node("a")
    fault.prepare(lab)
    pids = [p.pid for p in lab.processes(node)]
    with fault.inject(lab, Targets((node,))) as hold:
        assert hold.verified_ns is not None, hold.detail
        print("on", guardian.pid, *pids, flush=True)
        time.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])
