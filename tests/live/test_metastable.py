"""A server that stays down under load though its trigger is gone, and its twin that does not."""

import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from chaoskit.clock import NS, now_ns
from chaoskit.experiment.grammar import parse_threshold
from chaoskit.history.history import FaultRecord, Stream, Window
from chaoskit.history.reader import read_trial
from chaoskit.history.writer import Marks, close_requests
from chaoskit.judge.result import Verdict
from chaoskit.judge.thresholds import expectation, measure
from chaoskit.judge.validity import Gates
from chaoskit.measure.metrics import measure_view
from chaoskit.measure.view import View
from live import rig

pytestmark = pytest.mark.loopback

STUB = Path(__file__).resolve().parents[1] / "stubs" / "metastable_server.py"
STREAM = Stream("write", "write", 100.0, "kept", 100_000_000, 200_000_000)
THRESHOLD = parse_threshold("metastable == 0")
GATES = Gates(baseline_s=2.0, baseline_requests=150, stable_s=0.0)
TERMS = {"grace_s": 0.5, "below": 0.1, "after_s": 2.0}
BASELINE_S, PAUSE_S, SHED_S, AFTER_S, SHARE = 2.5, 1.0, 3.0, 4.0, 0.4


def record(folder, factor):
    """Baseline, a pause, two seconds of looking on, the load shed and restored."""
    stub = rig.spawn([sys.executable, str(STUB), str(factor)])
    load = rig.spawn([sys.executable, "-m", "chaoskit.load.child"])
    try:
        place = {"node": "stub", "url": f"http://127.0.0.1:{stub.receive(10)['port']}"}
        (folder / "final").mkdir(parents=True)
        load.send(
            {
                "user": "http-kv", "options": {"put_share": 0}, "endpoints": [place],
                "nodes": [place], "streams": [asdict(STREAM)],
                "requests": str(folder / "requests.raw"), "strings": str(folder / "strings.json"),
                "final": str(folder / "final"), "trial": 1, "seed": 1, "client": "client",
            }
        )  # fmt: skip
        rig.answer(load, "ready")
        start = now_ns() + NS // 5
        load.send({"do": "start", "at_ns": start})
        order = {"at_ns": start + int(BASELINE_S * NS), "for_ns": int(PAUSE_S * NS), "style": ""}
        stub.send(order)
        truth = stub.receive(20)
        from_ns = truth["ended_ns"] + int((TERMS["grace_s"] + TERMS["after_s"]) * NS)
        shed = {"from_ns": from_ns, "until_ns": from_ns + int(SHED_S * NS), "share": SHARE}
        load.send({"do": "shed", **shed})
        end = shed["until_ns"] + int(AFTER_S * NS)
        rig._rest(load, end - now_ns())
        load.send({"do": "stop"})
        rig.answer(load, "stopped")
        load.send({"do": "final", "timeout_s": 10})
        rig.answer(load, "final")
    finally:
        load.close()
        stub.close()
    close_requests(folder / "requests.raw", folder / "requests.npy")
    (folder / "observations.jsonl").touch()
    began, ended = truth["began_ns"], truth["ended_ns"]
    with Marks(folder / "marks.jsonl") as marks:
        marks.nodes(["stub"])
        marks.window(Window(start, start, end, end))
        marks.load(True)
        marks.note("metastability", TERMS)
        marks.note("shed", shed)
        moments = (began, began, began, began, ended, ended, ended)
        marks.fault(FaultRecord(0, "pause", "stub", ("stub",), *moments))
    return read_trial(folder), (began, ended)


def valid(folder, factor):
    return rig.valid(folder, lambda inner: record(inner, factor), GATES)[0].history


def judged(history):
    view = View(history)
    metrics = measure_view(view)
    return metrics.metastable, expectation(THRESHOLD, measure(THRESHOLD, 1, view, metrics)).verdict


@pytest.mark.timeout(120)
def test_a_server_that_gets_up_only_when_the_load_is_shed_is_confirmed(tmp_path):
    history = valid(tmp_path, 2.5)
    found, verdict = judged(history)
    assert (found.verdict, verdict) == ("confirmed", Verdict.FAIL), found
    assert found.degraded_s >= TERMS["after_s"]
    shed = history.notes["shed"]
    unshed = replace(
        history,
        notes={"metastability": TERMS},
        window=replace(history.window, observe_end_ns=shed["from_ns"]),
    )
    found, verdict = judged(unshed)
    assert (found.verdict, verdict) == ("suspected", Verdict.INCONCLUSIVE), found


@pytest.mark.timeout(120)
def test_its_twin_that_gets_up_by_itself_is_not_accused(tmp_path):
    history = valid(tmp_path, 1.0)
    found, verdict = judged(history)
    assert (found.verdict, verdict) == ("none", Verdict.PASS), found
    shed = history.notes["shed"]
    due = history.requests["due_ns"]
    inside = int(((due >= shed["from_ns"]) & (due < shed["until_ns"])).sum())
    assert abs(inside - SHARE * SHED_S * STREAM.rate) <= 1
