"""The connection to the engine breaks at any call: an error in time, nothing doubled, nothing left."""

import signal
import sys
import time
from pathlib import Path

import pytest

from chaoskit.errors import ChaoskitError, LabError
from chaoskit.lab.docker_probe import resolve_endpoint
from chaoskit.lab.docker_sweep import leftovers

sys.path.insert(0, str(Path(__file__).parent))
from cutting_proxy import CuttingProxy
from docker_stacks import sleepers

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

POINTS = 5
PATIENCE_S = 90  # far below the sum of what would be waited for if a call could hang


def life(make_lab, stack, proxy, monkeypatch):
    """A whole lab through the proxy: up, kill, start, down. Returns what it raised."""
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{proxy.path}")
        lab = make_lab(stack)
    began = time.monotonic()
    try:
        lab.up()
        assert len(lab.nodes()) == 1
        lab.kill(lab.node("a"), signal.SIGKILL)
        lab.start(lab.node("a"))
        lab.down()
        raised = None
    except ChaoskitError as error:
        raised = error
    finally:
        lab.down()
    assert time.monotonic() - began < PATIENCE_S
    assert leftovers(lab.run_id) == ()
    lab.journal.close()
    return raised


def test_wherever_the_connection_breaks_the_run_ends_in_time_and_leaves_nothing(
    make_lab, tmp_path, monkeypatch
):
    stack = sleepers(tmp_path)
    real = resolve_endpoint().path
    with CuttingProxy(tmp_path / "count.sock", real) as proxy:
        assert life(make_lab, stack, proxy, monkeypatch) is None
        calls = proxy.count
    assert calls > 20
    broken = []
    for n in range(POINTS):
        at = 1 + n * (calls - 1) // (POINTS - 1)
        for after in (False, True):
            path = tmp_path / f"{at}{after}.sock"
            with CuttingProxy(path, real, at, after=after) as proxy:
                raised = life(make_lab, stack, proxy, monkeypatch)
            broken.append((proxy.was_cut, raised))
            assert raised is None or isinstance(raised, LabError), (proxy.was_cut, raised)
    assert any(raised is not None for _, raised in broken), "some break must be felt"
    assert all(cut for cut, _ in broken[:-4]), "the breaks took place"
