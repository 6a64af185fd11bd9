"""The reference system as real processes on loopback: what clients see."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from random import Random

import pytest
from reference_processes import HOST, A, B, Pair, W, Writers

from chaoskit.reference.defects import node_of
from chaoskit.reference.settings import BadSettings, Settings

INTERVAL_S, MISSES, TIMEOUT_S = 0.1, 3, 0.05


@pytest.fixture
def pair(tmp_path):
    with Pair(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One pair for all tests that break nothing."""
    with Pair(tmp_path_factory.mktemp("shared")) as made:
        yield made


def run(arguments, **environment):
    env = {k: v for k, v in os.environ.items() if not k.startswith("CHAOSKIT_")}
    return subprocess.run(
        [sys.executable, "-m", "chaoskit.reference", *arguments],
        env=env | environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def settle_and_compare(pair, writers):
    """Everything healed: nothing acknowledged is missing, nothing is there twice."""
    pair.wait(pair.settled)
    logs = {name: pair.log(name) for name in (A, B)}
    assert logs[A] == logs[B]
    assert [token for *_, token in writers.acked if token not in logs[A]] == []
    assert [token for token in writers.refused if token in logs[A]] == []
    assert set(logs[A].values()) <= {1}
    assert writers.overlap() == []


def test_registers_and_log_answer_with_version_epoch_and_node(shared):
    status, body, headers = shared.ask(A, "PUT", "/kv/colour", "18446744073709551615")
    assert (status, headers["X-Chaoskit-Node"]) == (200, A)
    epoch = int(headers["X-Chaoskit-Epoch"])
    expected = f'{{"value":18446744073709551615,"version":1,"epoch":{epoch},"node":"node-a"}}'
    assert body == expected
    assert shared.ask(A, "GET", "/kv/colour")[1] == expected
    assert '"value":null,"version":0' in shared.ask(A, "GET", "/kv/nothing")[1]
    assert shared.ask(A, "POST", "/log", "777")[0] == 200
    assert shared.ask(A, "POST", "/log", "777")[0] == 200
    assert shared.log(A)[777] == shared.log(B)[777] == 2


def test_work_is_waited_for_by_clients_and_by_nobody_else(tmp_path):
    with Pair(tmp_path, CHAOSKIT_WORK="200ms") as pair:
        took = {}
        for method, path, body in (("PUT", "/kv/x", "7"), ("GET", "/kv/x", None)):
            begun = time.monotonic()
            status, answer, _ = pair.ask(A, method, path, body)
            took[method] = time.monotonic() - begun
            assert status == 200
            assert '"value":7' in answer
        assert min(took.values()) >= 0.2
        asked = []
        for _ in range(5):
            begun = time.monotonic()
            assert pair.role(A) == "primary"  # and so it stayed: heartbeats do not wait either
            asked.append(time.monotonic() - begun)
        assert min(asked) < 0.2


def test_a_backup_refuses_and_says_who_is_primary(shared):
    for method, path, body in (
        ("PUT", "/kv/x", "1"),
        ("GET", "/kv/x", None),
        ("POST", "/log", "123"),
    ):
        status, _, headers = shared.ask(B, method, path, body)
        assert (status, headers["X-Chaoskit-Primary"]) == (421, A)
    assert 123 not in shared.log(A)


@pytest.mark.parametrize("body", ["", "-1", "1.5", "18446744073709551616", "ten"])
def test_a_token_that_is_none_is_refused(shared, body):
    assert shared.ask(A, "POST", "/log", body)[0] == 400
    assert shared.ask(A, "PUT", "/kv/x", body)[0] == 400


def test_paths_and_methods_that_are_none_are_refused(shared):
    assert shared.ask(A, "GET", "/nothing")[0] == 404
    assert shared.ask(A, "DELETE", "/kv/x")[0] == 405
    assert shared.ask(A, "PUT", "/kv/", "1")[0] == 400
    assert shared.ask(A, "POST", "/peer", "{}")[0] == 400


def test_health_follows_the_role_and_check_follows_health(pair):
    assert [pair.ask(name, "GET", "/health")[0] for name in (A, B, W)] == [200, 200, 200]
    assert run(["check"], CHAOSKIT_PORT=str(pair.port[B])).returncode == 0
    pair.kill(A)
    pair.pause(W)  # nobody grants anything: the backup stays one, and knows
    pair.wait(lambda: pair.ask(B, "GET", "/health")[0] == 503)
    assert run(["check"], CHAOSKIT_PORT=str(pair.port[B])).returncode == 1
    assert run(["check"], CHAOSKIT_PORT=str(pair.port[A])).returncode == 1


def test_a_connection_serves_many_requests_and_closes_when_asked(shared):
    connection = http.client.HTTPConnection(HOST, shared.port[A], timeout=5)
    for token in range(1, 50):
        connection.request("PUT", "/kv/many", str(token))
        answer = connection.getresponse()
        assert answer.status == 200
        assert f'"version":{token},' in answer.read().decode()
    connection.request("GET", "/role", headers={"Connection": "close"})
    connection.getresponse().read()
    assert connection.sock is None or connection.sock.recv(1) == b""
    connection.close()


def test_a_killed_primary_is_replaced_by_its_backup_and_comes_back_as_one(pair):
    with Writers(pair) as writers:
        time.sleep(0.3)
        pair.kill(A)
        took = pair.wait(lambda: pair.role(B) == "primary")
        assert took > (MISSES - 1) * INTERVAL_S * 0.9
        assert took < 5 * (MISSES * INTERVAL_S + TIMEOUT_S)
        pair.start(A)
        pair.wait(lambda: pair.role(A) == "backup")
        time.sleep(0.2)
    settle_and_compare(pair, writers)
    seen = [event["event"] for event in pair.events(B)]
    order = ["heartbeat-missed", "declared-dead", "asked", "promoted", "copy-started", "in-sync"]
    at = [seen.index(event) for event in order]
    assert at == sorted(at)


@pytest.mark.parametrize("seed", range(2))
def test_kills_at_random_moments_lose_nothing(tmp_path, seed):
    random = Random(seed)
    with Pair(tmp_path) as pair, Writers(pair) as writers:
        for _ in range(3):
            time.sleep(random.uniform(0.02, 0.4))
            victim = random.choice((A, B))
            pair.kill(victim)
            time.sleep(random.uniform(0, 0.8))
            pair.start(victim)
            pair.wait(pair.settled)
        assert len(writers.acked) > 50
        writers.__exit__()
        settle_and_compare(pair, writers)


def test_a_primary_that_was_stopped_refuses_what_waited_for_it(pair):
    assert pair.ask(A, "PUT", "/kv/x", "1")[0] == 200
    with Writers(pair) as writers:
        pair.pause(A)
        held = http.client.HTTPConnection(HOST, pair.port[A], timeout=10)
        held.request("GET", "/kv/x")
        pair.wait(lambda: pair.ask(B, "PUT", "/kv/x", "2")[0] == 200)
        time.sleep(0.3)
        pair.resume(A)
        assert held.getresponse().status in {421, 503}
        held.close()
        pair.wait(pair.settled)
    settle_and_compare(pair, writers)
    assert pair.role(B) == "primary"


def test_a_primary_cut_off_from_both_fences_itself_and_discards_nothing_acknowledged(pair):
    with Writers(pair) as writers:
        time.sleep(0.2)
        pair.cut(A, B)
        pair.cut(A, W)
        pair.wait(lambda: pair.role(A) == "fenced")
        pair.wait(lambda: pair.role(B) == "primary")
        assert pair.ask(A, "GET", "/kv/x")[0] == 503
        time.sleep(0.3)
        pair.join()
        pair.wait(pair.settled)
        time.sleep(0.2)
    settle_and_compare(pair, writers)
    assert {node for _, _, node, _, _ in writers.acked} == {A, B}


def test_a_cut_between_the_nodes_alone_leaves_the_incumbent(pair):
    with Writers(pair) as writers:
        pair.cut(A, B)
        pair.wait(lambda: pair.role(B) == "joining")
        assert pair.role(A) == "primary"
        pair.wait(lambda: pair.ask(A, "POST", "/log", "5")[0] == 200)
        pair.join()
        pair.wait(pair.settled)
    settle_and_compare(pair, writers)
    assert pair.role(A) == "primary"


def test_a_primary_that_hears_nobody_but_is_heard_is_replaced(pair):
    with Writers(pair) as writers:
        pair.cut(B, A, both=False)
        pair.cut(W, A, both=False)
        pair.wait(lambda: pair.role(B) == "primary")
        pair.join()
        pair.wait(pair.settled)
    settle_and_compare(pair, writers)
    assert pair.role(B) == "primary"


def test_a_restarted_witness_remembers(pair):
    with Writers(pair) as writers:
        pair.kill(W)
        time.sleep(0.6)
        assert pair.role(A) == "primary"
        pair.start(W)
        pair.kill(A)
        pair.wait(lambda: pair.role(B) == "primary")
        pair.start(A)
        pair.wait(pair.settled)
    settle_and_compare(pair, writers)


def test_a_long_log_is_read_whole_and_copied_whole(pair):
    """Many connections at once: their writes share a batch, as those of real clients do."""
    rounds, wide = 250, 40
    sockets = [socket.create_connection((HOST, pair.port[A]), timeout=20) for _ in range(wide)]
    for i, sock in enumerate(sockets):
        bodies = [str(1 + i * rounds + j).encode() for j in range(rounds)]
        head = b"POST /log HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s"
        sock.sendall(b"".join(head % (len(body), body) for body in bodies))
    for sock in sockets:
        got = b""
        while got.count(b"HTTP/1.1 200") < rounds:
            got += sock.recv(1 << 16)
        sock.close()
    everything = dict.fromkeys(range(1, rounds * wide + 1), 1)
    assert pair.log(A) == pair.log(B) == everything
    pair.kill(B)
    pair.wait(lambda: pair.ask(A, "POST", "/log", "999999")[0] == 200)
    pair.start(B)
    pair.wait(pair.settled)
    assert set(pair.log(B)) == set(everything) | {999999}


def test_acknowledging_before_replicating_is_seen_from_outside(tmp_path):
    with Pair(tmp_path, "acks-before-replicating") as pair, Writers(pair) as writers:
        time.sleep(0.6)
        pair.kill(A)
        pair.wait(lambda: pair.role(B) == "primary")
        pair.start(A)
        pair.wait(pair.settled)
        writers.__exit__()
        log = pair.log(B)
        assert [token for *_, token in writers.acked if token not in log]


def test_missing_fencing_is_seen_from_outside(tmp_path):
    with Pair(tmp_path, "no-fencing") as pair, Writers(pair) as writers:
        time.sleep(0.2)
        pair.cut(A, B)
        pair.cut(A, W)
        pair.wait(lambda: pair.role(B) == "primary")
        assert pair.role(A) == "primary"
        time.sleep(0.5)
        pair.join()
        pair.wait(pair.settled)
        writers.__exit__()
        log = pair.log(B)
        assert writers.overlap()
        assert [token for *_, token in writers.acked if token not in log]


def test_a_process_ends_at_once_when_told_to(pair):
    for name in (A, B, W):
        pair.signal(name, signal.SIGTERM)
        assert pair.processes[name].wait(timeout=2) == 0


NODE = {
    "CHAOSKIT_NODE": "n",
    "CHAOSKIT_PEER": "http://peer:8080",
    "CHAOSKIT_WITNESS": "http://witness:8080",
}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"CHAOSKIT_NODE": ""}, "CHAOSKIT_NODE is not set"),
        ({"CHAOSKIT_NODE": "a b"}, "not a node name"),
        ({"CHAOSKIT_PEER": "peer:8080"}, "http://name:8080"),
        ({"CHAOSKIT_WITNESS": "http://w:99999"}, "http://name:8080"),
        ({"CHAOSKIT_INTERVAL": "fast"}, "not a duration"),
        ({"CHAOSKIT_INTERVAL": "1ms"}, "at least 10ms"),
        ({"CHAOSKIT_MISSES": "1"}, "from 2 to 1000"),
        ({"CHAOSKIT_PROBE_TIMEOUT": "2s"}, "between 2ms and CHAOSKIT_INTERVAL"),
        ({"CHAOSKIT_WORK": "1s"}, "less than CHAOSKIT_WRITE_TIMEOUT"),
        ({"CHAOSKIT_WORK": "-5ms"}, "not a duration"),
        ({"CHAOSKIT_PORT": "http"}, "not a port"),
        ({"CHAOSKIT_PREFERRED": "yes"}, "true or false"),
        ({"CHAOSKIT_DEFECT": "gremlins"}, "there are: never-promotes, promotes-late"),
        ({"CHAOSKIT_DEFECT": "approval-races"}, "CHAOSKIT_FAILOVER is not approval"),
        ({"CHAOSKIT_DEFECT": "disk-blind"}, "CHAOSKIT_DATA is not set"),
    ],
)
def test_a_wrong_setting_is_one_sentence(changed, says):
    with pytest.raises(BadSettings, match=says) as wrong:
        node_of(Settings.of_node(NODE | changed))
    assert len(str(wrong.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "says"),
    [("gremlins", "not a planted defect"), ("disk-blind", "a flaw of a node that")],
)
def test_a_wrong_setting_ends_the_program_with_2_and_that_sentence(name, says):
    ended = run(["node"], **(NODE | {"CHAOSKIT_DEFECT": name}))
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"CHAOSKIT_DEFECT='{name}' is {says}")
    assert len(ended.stderr.strip().splitlines()) == 1


def test_a_state_that_is_none_is_one_sentence_and_exit_2(tmp_path):
    for text in ("{", "[]", '{"epoch": "seven"}'):
        (tmp_path / "state").write_text(text)
        ended = run(["witness"], CHAOSKIT_STATE=str(tmp_path / "state"), CHAOSKIT_PORT="0")
        assert ended.returncode == 2
        assert "state of a witness" in ended.stderr
        assert len(ended.stderr.strip().splitlines()) == 1


def test_an_unknown_command_is_exit_2():
    assert run(["dance"]).returncode == 2
