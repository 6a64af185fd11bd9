"""The Docker lab keeps the promises that every lab makes."""

import os
import sys
from pathlib import Path

import pytest

from chaoskit.lab.docker import DockerLab
from chaoskit.lab.docker_sweep import leftovers
from chaoskit.lab.journal import Journal
from chaoskit.testing import check_lab

sys.path.insert(0, str(Path(__file__).parents[1] / "docker"))
from docker_stacks import web_pair

pytestmark = pytest.mark.docker


def test_the_docker_lab_keeps_every_promise_and_leaves_nothing(tmp_path):
    run_id = f"contract{os.getpid()}"  # others may test on this machine at the same time
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    with Journal.create(run_id, tmp_path / "state") as journal:
        lab = DockerLab(web_pair(tmp_path), run_id, run_dir, journal)
        try:
            check_lab(lab, run_dir)
        finally:
            lab.down()
        assert leftovers(run_id) == ()
        journal.close()  # raises if any undo were still open
