"""While faults come and go, whoever they do not mean loses nothing: shapes, neighbours, names, links.

(Partitions: ``test_netfilter.py``.) A stream of requests runs from inside the lab all the while; that
it would notice is shown by a fault that does mean it.
"""

import contextlib
import json
import sys
import time
from pathlib import Path

import pytest

from chaoskit.capabilities import Misdirection, Misname, Rate, Shape
from chaoskit.stack.model import Mount, Service
from chaoskit.toxics import Toxic

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox"))
from sandbox_stacks import PORT, lab_of, server
from toxic_cases import WEB

pytestmark = [pytest.mark.sandbox, pytest.mark.toxiproxy]
TIMES = 15
FOR_S = 2.0  # at least; some faults come and go faster than a busy machine asks once
ASKED = 5
# One request after another, each waiting long enough for a lost packet to be sent again twice: what is
# counted as lost is what a patient client would have lost.
STREAM = """
import json, select, socket, sys, time
how, host, port = sys.argv[1:]
def ask():
    if how == "name":
        assert socket.gethostbyname(host) == port
        return
    with socket.create_connection((host, int(port)), 3) as s:
        s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        assert s.recv(100)
sent, lost = 0, []
while True:
    try: ask()
    except (OSError, AssertionError) as error: lost.append(repr(error))
    sent += 1
    if sent == 1: print(json.dumps({"up": not lost}), flush=True)
    if select.select([sys.stdin], [], [], 0.002)[0]: break
print(json.dumps({"sent": sent, "lost": lost}), flush=True)
sys.stdin.read()
"""


def links(folder: Path) -> Service:
    file = folder / "proxies.json"
    some = [(f"l{n}", 9000 + n) for n in (1, 2)]
    proxies = [
        {"name": name, "listen": f"0.0.0.0:{port}", "upstream": f"b:{PORT}", "enabled": True}
        for name, port in some
    ]
    file.write_text(json.dumps(proxies), encoding="utf-8")
    return Service(
        "links",
        labels={"chaoskit.toxiproxy": "http://:8474"}
        | {f"chaoskit.link.{name}": f"to: b:{PORT}" for name, _ in some},
        command=("toxiproxy-server", "-config", "/etc/proxies.json"),
        mounts=(Mount("/etc/proxies.json", str(file), "bind", read_only=True),),
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    with lab_of(folder, server("a", WEB), server("b", WEB), links(folder)) as lab:
        lab.up()
        yield lab


@contextlib.contextmanager
def stream(lab, place, how, host, port):
    """Requests until this ends; what became of them is in the dictionary then."""
    child = lab.spawn(lab.node(place), ["python", "-c", STREAM, how, host, str(port)])
    counted = {}
    try:
        assert child.receive(20) == {"up": True}
        yield counted
        child.send({})
        counted.update(child.receive(30) or {})
    finally:
        child.close()


def to(lab, name):
    return lab.node(name).address, PORT


def shape(lab):
    return lab.unshape, lab.shape([Shape(lab.node("a"), Rate(20_000, 4096, 16_384))])


def misdirect(lab):
    return lab.redirect, lab.misdirect([Misdirection(lab.node("client"), lab.node("a").address)])


def misname(lab):
    return lab.rename, lab.misname([Misname(lab.node("a"), ("b",), "198.19.255.254")])


def slow_link(lab):
    return lab.detoxify, lab.toxify("l1", Toxic("latency", attributes={"latency": 500}))


def dead_link(lab):
    return lab.detoxify, lab.toxify("l1", Toxic("down"))


def come_and_go(lab, fault):
    began, times = time.monotonic(), 0
    while times < TIMES or time.monotonic() - began < FOR_S:
        undo, handle = fault(lab)
        undo(handle)
        times += 1


@pytest.mark.parametrize(
    ("fault", "place", "whom"),
    [
        (shape, "client", lambda lab: ("tcp", *to(lab, "b"))),
        (shape, "b", lambda lab: ("tcp", lab.node("links").address, 9001)),
        (misdirect, "client", lambda lab: ("tcp", *to(lab, "b"))),
        (misdirect, "b", lambda lab: ("tcp", *to(lab, "a"))),
        (misname, "a", lambda lab: ("name", "links", lab.node("links").address)),
        (misname, "b", lambda lab: ("name", "a", lab.node("a").address)),
        (slow_link, "client", lambda lab: ("tcp", lab.node("links").address, 9002)),
        (dead_link, "client", lambda lab: ("tcp", lab.node("links").address, 9002)),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_others_lose_nothing_while_it_comes_and_goes(lab, fault, place, whom):
    with stream(lab, place, *whom(lab)) as counted:
        come_and_go(lab, fault)
    assert counted["sent"] > ASKED
    assert counted["lost"] == []


@pytest.mark.parametrize(
    ("fault", "place", "whom"),
    [
        (misname, "a", lambda lab: ("name", "b", lab.node("b").address)),
        (dead_link, "client", lambda lab: ("tcp", lab.node("links").address, 9001)),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_the_stream_notices_what_is_meant_for_it(lab, fault, place, whom):
    with stream(lab, place, *whom(lab)) as counted:
        come_and_go(lab, fault)
    assert 0 < len(counted["lost"]) <= counted["sent"]
