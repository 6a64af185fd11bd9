"""The Redis stack on real Redis: it fails over inside its band, and the old primary follows."""

import signal
from pathlib import Path

import pytest

from chaoskit.clock import NS, now_ns
from chaoskit.contracts import CLIENT
from chaoskit.stack.band import expected_band
from chaoskit.stack.compose import load_stack

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

FILE = Path(__file__).resolve().parents[2] / "compose" / "redis-sentinel" / "compose.yaml"

# Says who takes writes whenever that changes, by asking the sentinels as an application would.
WATCH = """
import json, sys, time
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

sentinels = [(address, 26379) for address in sys.argv[1:]]
quick = {"socket_timeout": 0.2, "socket_connect_timeout": 0.2, "retry": Retry(NoBackoff(), 0)}
asker = Sentinel(sentinels, sentinel_kwargs=quick)
before = ""
while True:
    try:
        host, port = asker.discover_master("main")
        with redis.Redis(host, port, **quick) as primary:
            primary.set("key", "value")
        now = host
    except redis.RedisError:
        now = None
    if now != before:
        print(json.dumps({"t_ns": time.monotonic_ns(), "primary": now}), flush=True)
        before = now
    time.sleep(0.02)
"""

ROLES = """
import json, sys
import redis
print(json.dumps({a: redis.Redis(a, 6379, socket_timeout=2).role()[0].decode() for a in sys.argv[1:]}))
"""


def ask(lab, code, addresses):
    child = lab.spawn(lab.node(CLIENT), ["python", "-c", code, *addresses])
    answer = child.receive(20)
    child.close()
    return answer


def test_a_killed_primary_is_replaced_inside_the_band_and_comes_back_as_a_replica(make_lab):
    stack = load_stack(FILE)
    band = expected_band(stack)
    lab = make_lab(stack)
    lab.up()
    data = [node.address for node in lab.nodes() if node.name.startswith("redis")]
    sentinels = [node.address for node in lab.nodes() if node.name.startswith("sentinel")]
    assert sorted(ask(lab, ROLES, data).values()) == ["master", "slave", "slave"]

    watch = lab.spawn(lab.node(CLIENT), ["python", "-c", WATCH, *sentinels])
    old = lab.node("redis-1")
    assert watch.receive(30)["primary"] == old.address
    killed_ns = now_ns()
    lab.kill(old, signal.SIGKILL)
    new = None
    while new is None or new["primary"] in (None, old.address):
        new = watch.receive(60)
        assert new is not None, "nobody took over"
    took_s = (new["t_ns"] - killed_ns) / NS
    # Half a second for the client to find out on a busy machine.
    assert band.low_s <= took_s <= band.high_s + 0.5, band.formula
    watch.close()

    lab.start(old)
    deadline = now_ns() + 60 * NS
    while (roles := ask(lab, ROLES, data))[old.address] != "slave":
        assert now_ns() < deadline, roles
    assert sorted(roles.values()) == ["master", "slave", "slave"]
    assert roles[new["primary"]] == "master"
