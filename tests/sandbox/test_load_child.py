"""The load as a process: commands and events, how it ends, what survives it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "unit" / "load"))

from load_rig import MS, Load, Stub, blocking, by_outcome, read, stream

from chaoskit.history.records import Outcome

pytestmark = pytest.mark.loopback


def test_records_survive_a_killed_load_up_to_the_last_flush(tmp_path):
    with Stub() as stub, Load(tmp_path, [stub], [stream("write", 200)]) as load:
        load.start()
        load.sleep_until(1.5)
        killed_ns = time.monotonic_ns()
        load.process.send_signal(signal.SIGKILL)
        load.process.wait(5)
    records = read(tmp_path / "requests.raw")
    assert (tmp_path / "requests.raw").stat().st_size % 64 == 0
    assert len(records) >= 200
    assert killed_ns - records["done_ns"].max() <= 400 * MS  # 100 ms, and a busy machine
    texts = load.texts()
    assert records["server"].max() < len(texts["servers"])
    assert texts["streams"][0]["name"] == "write"


@pytest.mark.parametrize("blocked", [False, True])
def test_the_load_dies_at_once_when_its_standard_input_closes(tmp_path, blocked):
    options = blocking(tmp_path, slot=50, seconds=20) if blocked else None
    user = "Sleepy" if blocked else "http-kv"
    with (
        Stub() as stub,
        Load(tmp_path, [stub], [stream("write", 100)], options=options, user=user) as load,
    ):
        load.start()
        load.sleep_until(1.0)
        begin = time.monotonic()
        load.process.stdin.close()
        load.process.wait(10)
        assert time.monotonic() - begin < 0.5 * 3  # half a second, thrice on a busy machine
        arrived = len(stub.seen)
        time.sleep(0.3)
        assert len(stub.seen) == arrived


def test_the_load_dies_when_its_parent_dies_even_if_its_input_stays_open(tmp_path):
    middle = (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-m', 'chaoskit.load.child'])\n"
        "print(p.pid, file=sys.stderr, flush=True)\n"
        "p.wait()\n"
    )
    with Stub() as stub:
        config = {
            "user": "http-kv",
            "endpoints": [stub.place],
            "streams": [stream()],
            "requests": str(tmp_path / "r"),
            "strings": str(tmp_path / "s"),
            "final": str(tmp_path / "f"),
        }
        with subprocess.Popen(
            [sys.executable, "-c", middle],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        ) as process:
            pid = int(process.stderr.readline())
            process.stdin.write(json.dumps(config).encode() + b"\n")
            assert json.loads(process.stdout.readline())["event"] == "ready"
            process.kill()
            until = time.monotonic() + 0.5 * 4
            while running(pid) and time.monotonic() < until:
                time.sleep(0.02)
            assert not running(pid)
            assert not process.stdin.closed


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"user": "no-such"}, "no load is called 'no-such'"),
        ({"options": {"regsters": 3}}, "regsters is not known"),
        ({"options": {"registers": -1}}, "registers is -1"),
        ({"options": {"write": {"path": "log"}}}, "cannot ask for POST 'log'"),
        ({"endpoints": []}, "no endpoints"),
        ({"endpoints": [{"node": "a", "url": "redis://127.0.0.1"}]}, "not http://"),
        ({"streams": []}, "no streams"),
        ({"streams": [stream(op="scan")]}, "op is 'scan'"),
        ({"options": {"locustfile": "/nowhere.py"}}, "locustfile /nowhere.py"),
    ],
)
def test_a_bad_configuration_is_one_sentence_and_exit_status_3(tmp_path, change, words):
    config = {
        "user": "http-kv",
        "endpoints": [{"node": "a", "url": "http://127.0.0.1:1"}],
        "streams": [stream()],
        "requests": str(tmp_path / "r"),
        "strings": str(tmp_path / "s"),
        "final": str(tmp_path / "f"),
    } | change
    done = subprocess.run(
        [sys.executable, "-m", "chaoskit.load.child"],
        input=json.dumps(config).encode() + b"\n",
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode in (0, 3)  # 0: its input was closed before it came to the mistake
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode == 3:
        assert [line["event"] for line in lines] == ["error"]
        assert words in lines[0]["message"]
        assert "\n" not in lines[0]["message"]
    assert b"Traceback" not in done.stderr


def test_a_parent_that_does_not_read_cannot_stop_the_load(tmp_path):
    with Stub() as stub, Load(tmp_path, [stub], [stream("write", 50)]) as load:
        load.small_pipe()
        load.start()
        load.sleep_until(6.0)
        records = read(tmp_path / "requests.raw")
        assert records["due_ns"].max() > load.at_ns + 5000 * MS
        assert (records["outcome"] == Outcome.NOT_SENT).sum() < 5
        load.stop()


def test_ticks_count_up_and_agree_with_the_records(tmp_path):
    with (
        Stub(lambda n, *_: (503, {}) if n % 5 == 4 else "ok") as stub,
        Load(tmp_path, [stub], [stream("write", 100)]) as load,
    ):
        load.start()
        first = load.event("tick")
        second = load.event("tick")
        load.sleep_until(1.0)
        load.send({"do": "stop"})
        ticks = []
        while True:
            try:
                ticks.append(load.event("tick", within_s=1.0))
            except AssertionError:
                break
        last = ticks[-1]
        records = load.records()
    assert first["due"] < second["due"] <= last["due"] == len(records)
    ok, late, definite, ambiguous, not_sent = by_outcome(records)
    assert last["ok"] == ok
    assert last["bad"] == late + definite + ambiguous
    assert last["not_sent"] == not_sent
    assert last["streams"]["write"]["due"] == len(records)
    good = np.isin(records["outcome"], (Outcome.OK, Outcome.OK_LATE))
    assert last["last_write_ok_ns"] == records["done_ns"][good].max()
    assert first["lag_max_ms"] >= first["lag_p99_ms"] >= 0


def test_final_reads_are_bounded_and_what_cannot_be_read_is_a_sentence(tmp_path):
    with Stub() as gone:
        place = gone.place | {"node": "dead"}
    with (
        Stub() as stub,
        Stub(lambda _n, method, _p: "drop" if method == "GET" else "ok", name="mute") as mute,
        Load(tmp_path, [stub], [stream("write", 50)], nodes=[stub, place, mute]) as load,
    ):
        load.run(0.5)
        begin = time.monotonic()
        load.send({"do": "final", "timeout_s": 2})
        places = load.event("final")["places"]
        took = time.monotonic() - begin
    assert took < 2 + 3
    assert places["a"]["tokens"] == places["frontdoor"]["tokens"] == len(stub.tokens) > 0
    assert "could not be read back" in places["dead"]["error"]
    assert "connection refused" in places["dead"]["error"]
    assert "could not be read back within" in places["mute"]["error"]
    assert {p.name for p in (tmp_path / "final").iterdir()} == {"frontdoor.npy", "a.npy"}


def test_locust_really_carries_the_load_and_its_listeners_hear_every_request(tmp_path):
    heard = tmp_path / "heard"
    path = tmp_path / "plugged.py"
    path.write_text(
        "import locust\n"
        "from chaoskit.load.users.http_kv import HttpKv\n"
        f"file = open({str(heard)!r}, 'a', buffering=1)\n"
        "@locust.events.request.add_listener\n"
        "def on_request(request_type, name, response_time, exception, **rest):\n"
        "    print(request_type, name, exception or '-', file=file)\n"
        "@locust.events.test_start.add_listener\n"
        "def on_test_start(environment, **rest):\n"
        "    print('start', type(environment.runner).__name__, file=file)\n"
        "class Mine(HttpKv):\n"
        "    pass\n"
    )
    options = {"locustfile": str(path)}
    with (
        Stub() as stub,
        Load(tmp_path, [stub], [stream("read", 50)], options=options, user="Mine") as load,
    ):
        records = load.run(0.6)
    lines = heard.read_text().splitlines()
    assert lines[0] == "start LocalRunner"
    assert lines.count("GET read -") == (records["sent_ns"] > 0).sum()


@pytest.mark.parametrize(
    ("defect", "said"),
    [
        ("raise KeyError('planted')", r"the load broke: KeyError: 'planted' in broken\.py:5"),
        ("return True", "perform returned True, and must return a Verdict"),
    ],
)
def test_a_defect_in_a_client_ends_the_load_with_a_sentence_instead_of_a_wrong_record(
    tmp_path, defect, said
):
    path = tmp_path / "broken.py"
    path.write_text(
        "from chaoskit.load.users.http_kv import HttpKv\n"
        "class Broken(HttpKv):\n"
        "    def perform(self, operation):\n"
        "        if operation.slot == 20:\n"
        f"            {defect}\n"
        "        return super().perform(operation)\n"
    )
    options = {"locustfile": str(path)}
    with (
        Stub() as stub,
        Load(tmp_path, [stub], [stream()], options=options, user="Broken") as load,
    ):
        load.start()
        with pytest.raises(AssertionError, match=said):
            load.event("stopped")
        assert load.process.wait(5) == 4


def test_the_load_ignores_an_interrupt_because_the_harness_decides_what_it_means(tmp_path):
    with Stub() as stub, Load(tmp_path, [stub], [stream()]) as load:
        load.start()
        load.sleep_until(0.3)
        os.kill(load.process.pid, signal.SIGINT)
        load.sleep_until(0.8)
        records = load.stop()
    assert records["due_ns"].max() > load.at_ns + 700 * MS
