"""A Docker lab for a test, taken down afterwards whatever happens, and asked whether it is gone."""

import secrets
from contextlib import ExitStack

import pytest

from chaoskit.lab.docker import DockerLab
from chaoskit.lab.docker_sweep import leftovers, remove_run
from chaoskit.lab.journal import Journal


@pytest.fixture
def make_lab(tmp_path):
    """Build labs that are not up: ``make_lab(stack)``."""
    with ExitStack() as after:

        def make(stack, run_id=None):
            run_id = run_id or "t" + secrets.token_hex(4)
            run_dir = tmp_path / run_id
            run_dir.mkdir()
            journal = after.enter_context(Journal.create(run_id, tmp_path / "state"))
            lab = DockerLab(stack, run_id, run_dir, journal)
            lab.run_id, lab.run_dir, lab.journal = run_id, run_dir, journal
            after.callback(_gone, run_id)
            after.callback(lab.down)
            return lab

        yield make


def _gone(run_id):
    left = leftovers(run_id)
    if left:
        remove_run(run_id)
    assert not left
