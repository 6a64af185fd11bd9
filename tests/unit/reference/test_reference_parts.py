"""The small parts of the reference system, each by itself."""

import asyncio
import json
import subprocess
import sys

import pytest
from support import ROOT

from chaoskit.reference.active_active import defects as active_active
from chaoskit.reference.cluster import defects as cluster
from chaoskit.reference.defects import DEFECTS, node_type, timing_of
from chaoskit.reference.events import Events
from chaoskit.reference.follower import Detector
from chaoskit.reference.group_defects import FRONTDOOR
from chaoskit.reference.members import Membership
from chaoskit.reference.messages import (
    Append,
    AppendAck,
    Beat,
    BeatAck,
    Call,
    Copy,
    CopyAck,
    View,
    decode,
    encode,
)
from chaoskit.reference.node import Node
from chaoskit.reference.server import Connection, response
from chaoskit.reference.service import NodeService
from chaoskit.reference.settings import (
    BadSettings,
    Endpoint,
    Settings,
    Timing,
    duration_ns,
    next_due,
)
from chaoskit.reference.store import Store
from chaoskit.stack.compose import load_stack

MS = 1_000_000
MESSAGES = [
    Beat(3, "a", "i", 7, True, False, (3, 1), ("a", "b")),
    BeatAck(3, "b", "j", 7, True, "a", (3, 1), True),
    Append(3, "a", (3, 1), ((1, "", 2**64 - 1), (2, "x", 5))),
    AppendAck(3, "b", "j", (3, 1), 2, True, "a"),
    Copy(3, "a", (3, 1), 0, (1, 2, 2), (("x", 5, 1, 2),), True, 4),
    CopyAck(3, "b", "j", (3, 1), 1, True, "a"),
    Call("a", "i", 9, 3, False, True, True, True, "add", "b", "j", "w"),
    View("w", 9, 4, "a", "i", {"a": "i", "b": "j"}, True, 5),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_every_message_survives_the_wire(message):
    back = decode(encode(message))
    assert type(back) is type(message)
    assert encode(back) == encode(message)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"[1]", b'["Beat",1]', b'["Nothing"]', b"null"])
def test_what_is_no_message_is_refused(body):
    with pytest.raises(ValueError, match="not a message"):
        decode(body)


def test_a_lease_ends_before_the_witness_gives_up_and_that_before_the_backup_asks():
    for timing in (Timing(), Timing(10 * MS, 2, 2 * MS), Timing(1000 * MS, 10, 1000 * MS)):
        assert timing.lease_ns < timing.witness_ns < timing.detect_ns
        assert timing.tick_ns < timing.interval_ns


def test_durations_carry_units():
    assert [duration_ns(text) for text in ("100ms", "1.5s", "250us")] == [
        10**8,
        15 * 10**8,
        250_000,
    ]
    for text in ("100", "ms", "1 h", "-1s", ""):
        with pytest.raises(ValueError):
            duration_ns(text)


def test_slots_that_were_slept_through_are_not_caught_up_on():
    assert next_due(100, 10, 105) == 110
    assert next_due(100, 10, 175) == 185


def test_a_beat_is_missed_a_timeout_after_it_was_due_and_death_is_the_last_miss():
    timing = Timing(100 * MS, 3, 50 * MS)
    detector = Detector(timing, 0)
    assert detector.look(149 * MS) == []
    assert detector.look(150 * MS) == [1]
    assert detector.look(349 * MS) == [2]
    assert not detector.dead(349 * MS)
    assert detector.look(350 * MS) == [3]
    assert detector.dead(350 * MS)
    detector.beat(360 * MS)
    assert not detector.dead(360 * MS)
    assert detector.look(510 * MS) == [1]


def test_a_detector_that_stood_still_waits_one_interval_more():
    timing = Timing(100 * MS, 3, 50 * MS)
    detector = Detector(timing, 0)
    detector.stalled(5_000 * MS)
    assert not detector.dead(5_099 * MS)
    assert detector.dead(5_100 * MS)


def test_a_store_counts_versions_and_keeps_the_order_of_last_writes():
    store = Store()
    versions = [store.apply((i, key, i * 10)) for i, key in enumerate(["x", "y", "x", "", ""], 1)]
    assert versions == [1, 1, 2, 1, 2]
    assert store.read("x") == (30, 2)
    assert store.read("nothing") == (None, 0)
    assert store.entries_after(0) == [("y", 20, 1, 2), ("x", 30, 2, 3)]
    assert store.entries_after(2) == [("x", 30, 2, 3)]
    assert list(store.tokens) == [40, 50]


def test_heartbeats_cannot_push_out_what_matters():
    events = Events("n")
    events.add(1, "promoted", "epoch 2", 2)
    for i in range(3000):
        events.add(2 + i, "heartbeat-seen", str(i), 2)
    rows = json.loads(events.as_json())["events"]
    assert rows[0] == {"n": 1, "t_ns": 1, "event": "promoted", "detail": "epoch 2", "epoch": 2}
    assert len(rows) < 2000


KINDS = {
    "active-passive": (node_type, Node),
    "active-passive-approval": (node_type, Node),
    "active-active": (active_active.node_type, active_active.Node),
    "cluster": (cluster.node_type, cluster.Node),
}
CONFIGS = "".join(p.read_text() for p in (ROOT / "compose").glob("*/haproxy.cfg"))


def test_the_table_of_defects_is_whole_and_each_overrides_something():
    assert {"never-promotes", "promotes-late", "no-fencing"} < set(DEFECTS)
    for name, defect in DEFECTS.items():
        assert defect.name == name
        assert defect.does
        assert defect.metrics
        kind, sound = KINDS[defect.shape]
        if name.startswith(FRONTDOOR):
            assert kind(name) is sound, "the nodes behind a bad front door are sound"
            assert f'$CHAOSKIT_DEFECT",{name})' in CONFIGS
        else:
            assert issubclass(kind(name), sound)
            assert (kind(name) is sound) == (defect.timing is not None), "one flaw, not two or none"
    assert node_type(None) is Node


@pytest.mark.parametrize("kind", {kind for kind, _ in KINDS.values()})
@pytest.mark.parametrize("name", ["nothing", "frontdoor-anything", "frontdoor-"])
def test_a_defect_that_nobody_planted_is_refused_in_every_shape(kind, name):
    with pytest.raises(BadSettings, match=f"'{name}' is not a planted defect .*there are: "):
        kind(name)


def test_a_front_door_of_another_shape_is_refused():
    for name in filter(lambda n: n.startswith(FRONTDOOR), DEFECTS):
        others = {kind for kind, _ in KINDS.values()} - {KINDS[DEFECTS[name].shape][0]}
        assert len(others) == 2
        for kind in others:
            with pytest.raises(BadSettings, match="is not a planted defect"):
                kind(name)


NODE = {
    "CHAOSKIT_NODE": "a",
    "CHAOSKIT_PEER": "http://b:8080",
    "CHAOSKIT_WITNESS": "http://w:8080",
    "CHAOSKIT_MEMBERS": "a=http://a:8080 b=http://b:8080",
}


@pytest.mark.parametrize("read", [Settings.of_node, Membership.of])
def test_a_flaw_of_a_front_door_is_refused_where_there_is_none(read):
    flawed = NODE | {"CHAOSKIT_DEFECT": "frontdoor-sticky"}
    with pytest.raises(BadSettings, match="a flaw of a front door, and this stack has none"):
        read(flawed)
    read(flawed | {"CHAOSKIT_FRONTDOOR": "haproxy"})
    read(NODE | {"CHAOSKIT_DEFECT": "no-fencing"})


def test_stacks_with_a_flawed_front_door_say_that_they_have_one():
    for config in (ROOT / "compose").rglob("haproxy.cfg"):
        if f'"$CHAOSKIT_DEFECT",{FRONTDOOR}' in config.read_text():
            stack = load_stack(config.with_name("haproxy.yaml"))
            nodes = [s for s in stack.services.values() if "CHAOSKIT_DEFECT" in s.environment]
            inside = [s for s in nodes if "CHAOSKIT_NODE" in s.environment]
            assert len(inside) >= 2
            assert all(s.environment.get("CHAOSKIT_FRONTDOOR") for s in inside)


def test_times_of_an_unknown_defect_are_refused_as_well():
    with pytest.raises(BadSettings, match="not a planted defect"):
        timing_of("frontdoor-anything", Timing())


def test_the_package_needs_nothing_but_the_standard_library_and_itself(tmp_path):
    """Copied alone, as the image does it, and run by an interpreter without site-packages."""
    from pathlib import Path
    from shutil import copytree

    import chaoskit.reference

    source = Path(chaoskit.reference.__file__).parent
    (tmp_path / "chaoskit").mkdir()
    (tmp_path / "chaoskit/__init__.py").write_text("")
    copytree(source, tmp_path / "chaoskit/reference")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import chaoskit.reference.service, chaoskit.reference.defects\n"
        "alien = {m.split('.')[0] for m in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(alien - {'chaoskit', '__main__'}))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------- the HTTP server


class Wire:
    """Stands for a transport."""

    def __init__(self):
        self.sent, self.closed = b"", False

    def write(self, data):
        self.sent += data

    def close(self):
        self.closed = True

    def get_extra_info(self, _):
        return None


class Echo:
    """Answers at once, or later for paths that say so."""

    def __init__(self):
        self.later = []

    def handle(self, conn, method, path, body):
        if path == b"/later":
            self.later.append(conn)
            return None
        return response(200, method + b" " + path + b" " + body, "text/plain")


def talk(*pieces):
    handler, wire = Echo(), Wire()
    conn = Connection(handler)
    conn.connection_made(wire)
    for piece in pieces:
        conn.data_received(piece)
    return handler, conn, wire


def test_a_request_in_any_pieces_is_one_request():
    whole = b"POST /x HTTP/1.1\r\nHost: h\r\ncontent-LENGTH: 3\r\n\r\nabc"
    expected = talk(whole)[2].sent
    assert expected.endswith(b"POST /x abc")
    for at in range(1, len(whole)):
        assert talk(whole[:at], whole[at:])[2].sent == expected


def test_requests_sent_ahead_are_answered_in_order():
    _, conn, wire = talk(b"GET /later HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
    assert wire.sent == b""
    conn.respond(response(200, b"first"))
    assert wire.sent.index(b"first") < wire.sent.index(b"GET /b")


def test_a_thousand_requests_at_once_do_not_nest():
    _, _, wire = talk(b"GET /a HTTP/1.1\r\n\r\n" * 5_000)
    assert wire.sent.count(b"200 OK") == 5_000


@pytest.mark.parametrize(
    "head",
    [b"NONSENSE\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"a" * 20_000,
     b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
     b"GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"],
)  # fmt: skip
def test_what_is_not_understood_is_refused_and_the_connection_ends(head):
    _, _, wire = talk(head)
    assert wire.sent.startswith(b"HTTP/1.1 4")
    assert wire.closed


def test_an_answer_to_a_client_that_has_gone_goes_nowhere():
    handler, conn, wire = talk(b"GET /later HTTP/1.1\r\n\r\n")
    conn.connection_lost(None)
    handler.later[0].respond(response(200, b"too late"))
    assert wire.sent == b""


def test_a_log_of_hundreds_of_thousands_leaves_room_for_heartbeats():
    async def scan():
        nowhere = Endpoint("127.0.0.1", 9)
        service = NodeService(
            Settings("n", bind="127.0.0.1", port=0, peer=nowhere, witness=nowhere)
        )
        service.node.store.tokens.extend([*range(200_000), *range(10)])
        wire = Wire()
        conn = Connection(service)
        conn.connection_made(wire)
        conn.data_received(b"GET /log HTTP/1.1\r\n\r\n")
        turns = 0
        while not wire.sent:
            await asyncio.sleep(0)  # where a heartbeat would get its turn
            turns += 1
        return wire.sent.partition(b"\r\n\r\n")[2].decode().splitlines(), turns

    rows, turns = asyncio.run(scan())
    assert len(rows) == 200_000
    assert rows[0] == "0 2"
    assert rows[-1] == "199999 1"
    assert turns > 5, "it is put together in slices"
