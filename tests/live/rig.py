"""The real load child against a stub server on loopback, read back as a history."""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from chaoskit.clock import NS, now_ns
from chaoskit.history.history import FaultRecord, Stream, Window
from chaoskit.history.reader import read_trial
from chaoskit.history.writer import Marks, close_requests
from chaoskit.judge.validity import Gates, reasons
from chaoskit.lab.child import PipeChild
from chaoskit.measure.view import View

STUB = Path(__file__).resolve().parent.parent / "stubs" / "outage_server.py"
TRIES = 4
GATES = Gates(baseline_s=1.0, baseline_requests=100, stable_s=0.0)


def valid(folder, record, gates=GATES):
    """The first trial that the product itself would call valid: a view of it, and its truth.

    ``record`` makes a (history, truth) in a folder. A stalled harness is repeated, as there.
    """
    seen = []
    for n in range(TRIES):
        history, truth = record(folder / str(n))
        view = View(history)
        seen = reasons(view, gates)
        if not seen:
            return view, truth
    raise AssertionError(f"no valid trial in {TRIES}: {seen}")


def spawn(argv):
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    return PipeChild(process, argv[-1])


def streams(rate, deadline_s=0.1, timeout_s=0.2):
    deadline, timeout = int(deadline_s * NS), int(timeout_s * NS)
    return [
        Stream("write", "write", rate, "kept", deadline, timeout),
        Stream("read", "read", rate, "kept", deadline, timeout),
        Stream("write/new", "write", rate / 10, "new", deadline, timeout),
        Stream("read/new", "read", rate / 10, "new", deadline, timeout),
    ]


def answer(child, event, within_s=30):
    deadline = now_ns() + within_s * NS
    while now_ns() < deadline:
        message = child.receive(0.2)
        if message is not None and message.get("event") == event:
            return message
    raise AssertionError(f"no {event} within {within_s} s")


def record_outage(
    folder,
    style,
    *,
    for_s,
    rate,
    after_s=2.0,
    then_s=1.5,
    only=None,
    facts=None,
    clients=1,
    hit=None,
    flap=None,
):
    """Run the load through one scripted outage; returns the history and the true (began, ended).

    ``only``: the HTTP methods that it hits; ``hit``: the one of several clients that it hits.
    ``facts`` is filled with what the stub says. ``flap``: how often it happens, and the seconds
    between; (began, ended) is then the last, and the fault goes from the beginning of the first.
    """
    stub = spawn([sys.executable, str(STUB)])
    load = spawn([sys.executable, "-m", "chaoskit.load.child"])
    try:
        port = stub.receive(10)["port"]
        place = {"node": "stub", "url": f"http://127.0.0.1:{port}"}
        (folder / "final").mkdir(parents=True)
        load.send(
            {
                "user": "http-kv",
                "options": {"headers": {"X-Client": "{client}"}} if hit else {},
                "clients": clients,
                "endpoints": [place],
                "nodes": [place],
                "streams": [asdict(stream) for stream in streams(rate)],
                "requests": str(folder / "requests.raw"),
                "strings": str(folder / "strings.json"),
                "final": str(folder / "final"),
                "trial": 1,
                "seed": 1,
                "client": "client",
            }
        )
        answer(load, "ready")
        start = now_ns() + NS // 5
        load.send({"do": "start", "at_ns": start})
        at = start + int(after_s * NS)
        for_ns = int(for_s * NS)
        times, pause_s = flap or (1, 0.0)
        more = {"client": hit, "times": times, "pause_ns": int(pause_s * NS)}
        stub.send({"at_ns": at, "for_ns": for_ns, "style": style, "only": only, **more})
        truth = stub.receive(after_s + times * (for_s + pause_s) + 20)
        if facts is not None:
            facts.update(truth)
        wait_ns = truth["ended_ns"] + int(then_s * NS) - now_ns()
        _rest(load, wait_ns)
        end = now_ns()
        load.send({"do": "stop"})
        answer(load, "stopped")
        load.send({"do": "final", "timeout_s": 10})
        answer(load, "final")
    finally:
        load.close()
        stub.close()
    began, ended = truth["began_ns"], truth["ended_ns"]
    first = truth["spans"][0][0]
    close_requests(folder / "requests.raw", folder / "requests.npy")
    (folder / "observations.jsonl").touch()
    with Marks(folder / "marks.jsonl") as marks:
        marks.nodes(["stub"])
        marks.window(Window(start, start, end, end))
        marks.load(True)
        marks.fault(
            FaultRecord(
                0, "scripted", "stub", ("stub",), first, first, first, first, ended, ended, ended
            )
        )
    return read_trial(folder), (began, ended)


def _rest(load, wait_ns):
    deadline = now_ns() + wait_ns
    while (left := deadline - now_ns()) > 0:
        load.receive(min(0.1, left / NS))
