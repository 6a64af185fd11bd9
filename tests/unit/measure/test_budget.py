"""Whether an outage would have paged anybody: the alerts of burn rates, on either side of each."""

from dataclasses import replace

import numpy as np
import pytest

from chaoskit.history.records import Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure.budget import would_page
from chaoskit.measure.view import View

RATE = 10.0


@pytest.fixture(scope="module")
def calm():
    """Ten requests a second for almost three hours, all good."""
    return simulate(Scenario(outage_s=0.0, bites=False, rate=RATE, after_s=10_000.0, poll_s=600.0))[
        0
    ]


def out(history, *stretches):
    """Bad for so many seconds from that second on."""
    requests = history.requests.copy()
    since = (requests["due_ns"] - history.window.baseline_start_ns) / 1e9
    for start, seconds in stretches:
        bad = np.flatnonzero(since >= start)
        order = bad[np.argsort(since[bad])][: round(seconds * RATE)]
        requests["outcome"][order] = Outcome.FAIL_DEFINITE
    return View(replace(history, requests=requests))


@pytest.mark.parametrize(
    ("seconds", "three_nines", "four_nines"),
    [
        (0.0, "no", "no"),
        (5.1, "no", "no"),  # 5.184 s are 14.4 times an hour's share of 99.99 %
        (5.2, "no", "yes: 14.4"),
        (45.0, "no", "yes: 14.4"),
        (51.8, "no", "yes: 14.4"),
        (51.9, "yes: 14.4", "yes: 14.4"),
    ],
)
def test_a_full_outage_pages_from_a_length_on_that_the_objective_gives(
    calm, seconds, three_nines, four_nines
):
    found = would_page(out(calm, (60, seconds)))
    assert found["99.9%"].startswith(three_nines)
    assert found["99.99%"].startswith(four_nines)


def test_what_is_spread_over_hours_is_seen_by_the_longer_window_alone(calm):
    # 5 s each, 80 minutes apart: in no hour 5.184 s. Of six hours' 12.96 s two make 10, three 15.
    assert would_page(out(calm, (60, 5), (4860, 5)))["99.99%"] == "no"
    slow = would_page(out(calm, (60, 5), (4860, 5), (9660, 5)))
    assert slow["99.99%"].startswith("yes: 6 times")
    assert slow["99.9%"] == "no"


def test_both_windows_of_an_alert_end_at_the_same_moment(calm):
    # 50 s at once are no hour's 51.84 s; with 3 s spread over the half hour after it they are, but
    # by then the last five minutes are calm.
    later = [(600 + 60 * n, 0.1) for n in range(30)]
    assert would_page(out(calm, (60, 50), *later))["99.9%"] == "no"
    assert would_page(out(calm, (60, 50), (200, 3)))["99.9%"].startswith("yes: 14.4")
