"""The Docker lab keeps the promises that every lab makes."""

import importlib.util
from pathlib import Path

import pytest

from chaoskit.lab.docker import DockerLab
from chaoskit.lab.docker_sweep import leftovers
from chaoskit.lab.journal import Journal
from chaoskit.testing import check_lab

pytestmark = pytest.mark.docker

_FILE = Path(__file__).resolve().parents[1] / "docker" / "stacks.py"


def _stacks():
    spec = importlib.util.spec_from_file_location("chaoskit_docker_stacks", _FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_docker_lab_keeps_every_promise_and_leaves_nothing(tmp_path):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    with Journal.create("contract", tmp_path / "state") as journal:
        lab = DockerLab(_stacks().web_pair(tmp_path), "contract", run_dir, journal)
        try:
            check_lab(lab, run_dir)
        finally:
            lab.down()
        assert leftovers("contract") == ()
        journal.close()  # raises if any undo were still open
