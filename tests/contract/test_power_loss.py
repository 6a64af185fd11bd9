"""A disk without power keeps what was synced, all of it, and nothing else; as seen by its clients."""

import signal
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from chaoskit.clock import wait_until
from chaoskit.contracts import OBSERVER, Targets
from chaoskit.faults.power_loss import PowerLoss
from chaoskit.lab.needs import unmet

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "docker"))
sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox"))
from disk_cases import LABEL
from docker_stacks import docker_lab, python_services
from sandbox_stacks import lab_of, server

# /sync/NAME and /plain/NAME make a file of 40 KiB, /list tells all with their sizes. A child syncs
# all the time, so that somebody hangs on the disk when its power goes.
KEEPER = """
import http.server, os, pathlib, time
DATA = pathlib.Path("/data")
class Keeper(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        what, _, name = self.path[1:].partition("/")
        if name:
            with open(DATA / name, "wb") as file:
                file.write(b"x" * 40960)
                file.flush()
                if what == "sync":
                    os.fsync(file.fileno())
        said = " ".join(f"{p.name}:{p.stat().st_size}" for p in sorted(DATA.glob("[sp]*")))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said.encode())
    def log_message(self, *_):
        pass
if os.path.exists(DATA / "busy") and os.fork() == 0:
    with open(DATA / "busy", "r+b") as file:
        while True:
            file.seek(0)
            file.write(b"x" * 4096)
            file.flush()
            os.fdatasync(file.fileno())
            time.sleep(0.0005)
http.server.ThreadingHTTPServer(("", 8080), Keeper).serve_forever()
"""
ASKER = """
import json, sys, urllib.request
for line in sys.stdin:
    try:
        said = urllib.request.urlopen(json.loads(line)["url"], timeout=2).read().decode()
    except OSError as error:
        said = f"error: {error}"
    print(json.dumps({"said": said}), flush=True)
"""


@contextmanager
def sandbox(folder):
    services = [server(name, KEEPER) for name in "ab"]
    with lab_of(folder, *(replace(s, labels={**s.labels, **LABEL}) for s in services)) as lab:
        lab.up()
        yield lab


@contextmanager
def docker(folder):
    with docker_lab(folder, python_services(folder, "ab", KEEPER, LABEL)) as lab:
        yield lab


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(sandbox, marks=pytest.mark.sandbox, id="sandbox"),
        pytest.param(docker, marks=pytest.mark.docker, id="docker"),
    ],
)
def lab(request, tmp_path_factory):
    with request.param(tmp_path_factory.mktemp("lab")) as lab:
        lacking = unmet(PowerLoss(), lab)
        if lacking is not None:
            pytest.skip(lacking)
        PowerLoss().prepare(lab)
        yield lab


@pytest.fixture
def ask(lab):
    child = lab.spawn(lab.node(OBSERVER), ["python", "-c", ASKER])

    def asked(node, path):
        child.send({"url": f"http://{lab.node(node).address}:8080/{path}"})
        told = child.receive(10.0)
        assert told is not None, "the observer said nothing"
        return told["said"]

    for node in "ab":
        files(asked, node)
    yield asked
    child.close()


def files(ask, node):
    """Name → size, once the node answers."""
    said = wait_until(
        lambda: None if (s := ask(node, "list")).startswith("error") else [s], within_s=30
    )
    assert said, f"{node} does not answer"
    return dict(one.split(":") for one in said[0].split())


def on(lab, *names):
    return Targets(tuple(lab.node(name) for name in names))


def test_what_was_synced_is_kept_and_what_was_not_is_gone_but_not_by_a_kill(lab, ask):
    ask("a", "plain/pk")
    lab.kill(lab.node("a"), signal.SIGKILL)
    lab.start(lab.node("a"))
    assert files(ask, "a")["pk"] == "40960"
    ask("a", "sync/s1")
    ask("a", "plain/p1")
    with PowerLoss().inject(lab, on(lab, "a")) as hold:
        assert hold.verified_ns is not None
        assert lab.identity(lab.node("a")) is None
        assert int(hold.detail.split()[2]) > 0, hold.detail
    kept = files(ask, "a")
    assert kept["s1"] == "40960"
    assert kept.get("p1") != "40960"


def test_whoever_hangs_on_the_disk_ends_and_nothing_that_was_told_as_synced_is_lost(lab, ask):
    ask("a", "sync/busy")  # from the next start on a child syncs all the time
    lab.kill(lab.node("a"), signal.SIGKILL)
    lab.start(lab.node("a"))
    files(ask, "a")
    for turn in range(3):
        told = [f"s{turn}{n}" for n in range(5)]
        for name in told:
            assert not ask("a", f"sync/{name}").startswith("error")
        with PowerLoss().inject(lab, on(lab, "a")) as hold:
            assert hold.verified_ns is not None
        kept = files(ask, "a")
        assert all(kept.get(name) == "40960" for name in told), kept


def test_who_looks_on_from_beside_or_came_later_does_not_keep_the_disk(lab, ask, tmp_path):
    beside = lab.spawn(lab.node("a"), ["python", "-c", ASKER])
    with lab_of(tmp_path, server("c", KEEPER)) as other:
        other.up()
        ask("a", "plain/p8")
        with PowerLoss().inject(lab, on(lab, "a")) as hold:
            assert hold.verified_ns is not None
        assert files(ask, "a").get("p8") != "40960"
        other.down()
    beside.close()


def test_nodes_that_are_struck_together_forget_together(lab, ask):
    for node in "ab":
        ask(node, "sync/s9")
        ask(node, "plain/p9")
    with PowerLoss().inject(lab, on(lab, "a", "b")) as hold:
        assert hold.verified_ns is not None
        assert "a lost" in hold.detail
        assert "b lost" in hold.detail
    for node in "ab":
        kept = files(ask, node)
        assert kept.get("s9") == "40960"
        assert kept.get("p9") != "40960", "its name may be kept by a sync of somebody else"
