"""What ``compare`` makes of stored trials: the load's slots, and values that are only bounds."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from chaoskit.comparing import _observed, compare_dirs, margins_of
from chaoskit.history.simulated import Scenario, simulate, store
from chaoskit.judge.result import Verdict
from chaoskit.measure.reading import Reading
from chaoskit.measure.shift import Observed

EXAMPLE = Path(__file__).resolve().parents[2] / "reports" / "example"
COMBS = (("read", "read", "kept"), ("write", "write", "kept"))
READS, WRITES = 500.0, 50.0


def trial(outage, seed):
    """A simulated trial of which one write in ten was asked, and every read."""
    history, _ = simulate(
        Scenario(outage_s=outage, after_s=2.5, rate=READS, streams=COMBS, seed=seed)
    )
    records, (reads, writes) = history.requests, history.streams
    rows = np.flatnonzero(records["stream"] == 1)
    rows = rows[np.argsort(records["due_ns"][rows])]
    gone = np.delete(rows, np.arange(0, rows.size, int(READS / WRITES)))
    finals = {}
    for place, final in history.finals.items():
        left = ~np.isin(final.tokens, records["token"][gone])
        finals[place] = replace(final, tokens=final.tokens[left], counts=final.counts[left])
    return replace(
        history,
        requests=np.delete(records, gone),
        finals=finals,
        streams=(reads, replace(writes, rate=WRITES)),
    )


def stored(folder, outages):
    """A run of 50 writes a second and ten times as many reads."""
    facts = json.loads((EXAMPLE / "run.json").read_text("utf-8"))
    for n, outage in enumerate(outages, start=1):
        history = trial(outage, n)
        store(folder / "trials" / f"{n:02d}", history)
    facts |= {"trials": len(outages), "streams": [asdict(s) for s in history.streams]}
    facts |= {"baseline_requests": 100}
    (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return stored(root / "base", [0.100] * 8), stored(root / "new", [0.112] * 8)


def test_the_margin_is_of_the_comb_that_the_metric_is_taken_from(runs):
    """The fastest comb's slots would be a tenth of what writes can show, and a FAIL by chance."""
    found = compare_dirs(*runs)
    outage = found.metrics[0]
    assert (outage.metric, outage.base.n, outage.new.n) == ("client_outage", 8, 8), found.notes
    assert (outage.allowed, outage.allowed_why) == (0.04, "two slots of the load")
    assert outage.verdict is Verdict.PASS


def test_a_metric_of_reads_has_the_slots_of_reads(runs):
    found = compare_dirs(*runs, margins_of(["client_outage_read"], []))
    assert found.metrics[0].allowed == pytest.approx(max(2 / READS, 0.1 * 0.1), rel=0.2)
    small = compare_dirs(*runs, margins_of([], ["client_outage_read +5ms", "client_outage +5ms"]))
    assert [n for n in small.notes if "slot" in n] == [
        "client_outage: the margin is less than one slot of the load"
    ]


@pytest.mark.parametrize(
    ("reading", "seen"),
    [
        (Reading(0.0, 0.0, 1.0, "count"), Observed(0.0, ended=False)),  # metastable is suspected
        (Reading(1.0, 1.0, 1.0, "count"), Observed(1.0)),
        (Reading(8.0, 9.0, 9.0, "count"), Observed(9.0)),  # dropped, of which one was never asked
        (Reading(0.4, 0.5, 0.6, "s"), Observed(0.5)),
        (Reading(3.0, 3.0, float("inf"), "s", censored=True), Observed(3.0, ended=False)),
    ],
)
def test_a_value_of_which_more_may_be_true_is_a_lower_bound(reading, seen):
    assert _observed(reading) == seen
