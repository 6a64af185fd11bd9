"""A harness to be killed or frozen while faults are on: ``fault_harness.py LAB RUN FOLDER FAULTS``.

FAULTS is JSON, a list: of each the name and its keys. All strike node a. Prints ``on``, a process
of node b, and the pids of node a, and holds them until somebody ends this. Not a test module.
"""

import contextlib
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))
sys.path.insert(0, str(Path(__file__).parents[1] / "docker"))
sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox"))

from docker_stacks import web_pair
from resource_cases import CLOCK_ENVIRONMENT
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
    faults = [fault_class(keys.pop("fault")).model_validate(keys) for keys in json.loads(said)]
    disk = any("disk" in fault.needs for fault in faults)
    journal = Journal.create(run_id, folder / "state")
    guardian = Guardian.start(journal, LEASE_S)
    if kind == "docker":
        labels = 'chaoskit.endpoint: "http://:8080", chaoskit.disk: "/data 16m"'
        pair = web_pair(folder, labels) if disk else web_pair(folder)
        lab = DockerLab(pair, run_id, folder / "run", journal)
    else:
        clock = CLOCK_ENVIRONMENT if any(fault.kind == "clock" for fault in faults) else {}
        first = server("a", environment=clock)
        if disk:
            first = replace(first, labels={**first.labels, "chaoskit.disk": "/data 16m"})
        both = stack(folder, first, server("b"))
        lab = SandboxLab(both, run_id, folder / "run", journal)
    lab.up()
    node = lab.node("a")
    pids = [p.pid for p in lab.processes(node)]
    other = lab.processes(lab.node("b"))[0].pid
    with contextlib.ExitStack() as stack_:
        for fault in faults:
            fault.prepare(lab)
            others = {k: tuple(map(lab.node, words)) for k, words in fault.selectors().items()}
            hold = stack_.enter_context(fault.inject(lab, Targets((node,), others)))
            assert hold.verified_ns is not None, hold.detail
        print("on", guardian.pid, other, *pids, flush=True)
        time.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])
