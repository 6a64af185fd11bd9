"""One of eight clients is not served, by a real server to the real load: seen for that one alone."""

import numpy as np
import pytest

from chaoskit.clock import NS
from chaoskit.history.records import Op
from chaoskit.measure.metrics import measure_view
from live import rig

pytestmark = pytest.mark.loopback

RATE, CLIENTS = 200, 8


def recorded(tmp_path, style, **more):
    how = {"for_s": 1.2, "rate": RATE, "clients": CLIENTS, **more}
    view, truth = rig.valid(tmp_path, lambda folder: rig.record_outage(folder, style, **how))
    return view, (truth[1] - truth[0]) / NS


@pytest.mark.timeout(150)
@pytest.mark.parametrize("style", ["503", "drop"])
def test_the_client_that_is_out_is_named_and_the_others_are_well(tmp_path, style):
    view, truth = recorded(tmp_path, style, hit="client/6")
    found = measure_view(view).clients
    assert found.clients == CLIENTS
    assert found.worst_client == "client/6"
    assert found.worst.low_s <= truth <= found.worst.high_s
    assert found.worst.value_s > 10 * found.median.value_s
    assert found.intersection.value_s == 0
    assert found.bad["client/6"] > 10
    assert set(view.history.clients[1:]) == {f"client/{n}" for n in range(1, CLIENTS + 1)}
    _took_turns(view.history.requests)


def _took_turns(requests):
    """Every client has its share of each stream, reads every key, appends and puts."""
    for stream in range(4):
        ours = requests[requests["stream"] == stream]
        counts = np.bincount(ours["client"], minlength=CLIENTS + 1)[1:]
        assert counts.max() - counts.min() <= 1
    for client in range(1, CLIENTS + 1):
        mine = requests[(requests["client"] == client) & (requests["stream"] < 2)]
        reads = mine[mine["op"] == Op.GET]
        assert set(reads["key"]) == set(range(1, 9))
        assert {Op.PUT, Op.APPEND} <= set(mine["op"])
    tokens = requests["token"][requests["token"] > 0]
    assert np.unique(tokens).size == tokens.size


@pytest.mark.timeout(150)
def test_all_are_out_together_where_the_server_refuses_everybody(tmp_path):
    view, truth = recorded(tmp_path, "refuse")
    found = measure_view(view).clients
    for one in found.by_client.values():
        assert one.low_s <= truth <= one.high_s
    assert found.intersection.low_s <= truth <= found.union.high_s
    assert found.intersection.value_s > 0.5 * truth
