"""What only the Docker lab promises: nothing half-done stays, nothing foreign is touched."""

import json
import secrets
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from chaoskit.capabilities import Cut
from chaoskit.clock import wait_until
from chaoskit.contracts import CLIENT
from chaoskit.errors import LabError, Refused
from chaoskit.lab import docker_net
from chaoskit.lab.docker_compose import find_compose
from chaoskit.lab.docker_engine import Engine
from chaoskit.lab.docker_sweep import find_runs, leftovers, remove_run
from chaoskit.stack.compose import load_stack
from chaoskit.stack.model import Service, Stack

sys.path.insert(0, str(Path(__file__).parent))
from docker_stacks import sleepers, web_pair

pytestmark = pytest.mark.docker


@pytest.fixture
def engine():
    found = Engine()
    yield found
    found.close()


@pytest.fixture
def foreign(engine):
    """A container and a network that are not ours, although their names look like it."""
    client = engine.client()
    # A name of its own: a session that was killed here may have left another.
    name = f"chaoskit-foreign-{secrets.token_hex(4)}"
    network = client.networks.create(name, internal=True)
    try:
        container = client.containers.create(
            "debian:bookworm-slim", "sleep 60", name=f"{name}-1", labels={"run": "x"}
        )
        try:
            yield SimpleNamespace(container=container, network=network)
        finally:
            container.remove(force=True)
    finally:
        network.remove()


def inspect(engine, name):
    return engine.client().api.inspect_container(name)


# ---------------------------------------------------------------- half-started stacks


BROKEN = {
    "no such program": ('command: ["/no/such/program"]', "c cannot be started"),
    "ends at once": (
        "command: sh -c 'echo last words; exit 7'",
        r"c ended with status 7[\s\S]*last words",
    ),
    "never healthy": (
        """
        healthcheck:
          test: ["CMD-SHELL", "echo not yet; exit 1"]
          interval: 200ms
          timeout: 1s
          retries: 2
        """,
        r"c is unhealthy[\s\S]*not yet",
    ),
    "waits for one that ends": (
        "depends_on: {d: {condition: service_completed_successfully}}",
        "d",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_stack_that_cannot_start_is_undone_and_the_service_named(make_lab, tmp_path, how):
    more, said = BROKEN[how]
    extra = {"a": "", "b": "volumes: ['v:/v']", "c": more}
    if "service_completed" in more:
        extra["d"] = "command: sh -c 'exit 3'"
    lab = make_lab(sleepers(tmp_path, "volumes: {v: {}}", **extra))
    with pytest.raises(LabError, match=rf"service {said}"):
        lab.up()
    assert leftovers(lab.run_id) == ()
    lab.journal.close()  # raises if an undo were still open


def test_an_image_that_cannot_be_had_is_named_and_nothing_was_started(make_lab, tmp_path):
    file = tmp_path / "compose.yaml"
    sleepers(tmp_path, a="")
    file.write_text(file.read_text().replace("debian:bookworm-slim", "chaoskit/no-such-image:1"))
    lab = make_lab(load_stack(file))
    with pytest.raises(LabError, match="chaoskit/no-such-image:1"):
        lab.up()
    assert leftovers(lab.run_id) == ()
    lab.journal.close()


def test_a_service_that_ends_on_purpose_is_no_failure(make_lab, tmp_path):
    lab = make_lab(
        sleepers(
            tmp_path,
            once="command: sh -c 'exit 0'",
            after="depends_on: {once: {condition: service_completed_successfully}}",
        )
    )
    lab.up()
    assert lab.identity(lab.node("after")) is not None
    assert lab.identity(lab.node("once")) is None


def test_a_service_called_like_the_labs_own_nodes_is_refused(make_lab, tmp_path):
    with pytest.raises(Refused, match="may not be called client"):
        make_lab(Stack("s", tmp_path / "compose.yaml", {"client": Service("client")}))


# ---------------------------------------------------------------- what is made


def test_everything_carries_run_and_owner_and_nothing_is_published(make_lab, tmp_path, engine):
    lab = make_lab(web_pair(tmp_path))
    lab.up()
    there = leftovers(lab.run_id)
    assert sorted(one.kind for one in there) == ["container"] * 4 + ["network", "volume"]
    assert len({one.owner for one in there}) == 1
    assert find_runs()[lab.run_id] == there[0].owner
    for one in there:
        if one.kind == "container":
            host = inspect(engine, one.id)["HostConfig"]
            assert not host["PortBindings"]
            assert host["RestartPolicy"]["Name"] in ("no", "")
    network = next(one for one in there if one.kind == "network")
    told = engine.client().api.inspect_network(network.id)
    assert told["Internal"] is True
    assert told["IPAM"]["Config"][0]["Subnet"].startswith(("198.18.", "198.19."))
    # Ports of 8080 on the host would clash here.
    (tmp_path / "second").mkdir()
    other = make_lab(web_pair(tmp_path / "second"))
    other.up()
    both = {node.address for one in (lab, other) for node in one.nodes()}
    assert len(both) == 4
    other.down()
    assert leftovers(lab.run_id) == there, "taking one run down leaves the other as it was"


def test_a_subnet_that_somebody_has_is_passed_over(make_lab, tmp_path, engine, monkeypatch):
    from docker import types

    run_id = f"t{secrets.token_hex(4)}"
    first = next(docker_net._candidates(run_id))
    pool = types.IPAMConfig(pool_configs=[types.IPAMPool(subnet=str(first))])
    theirs = engine.client().networks.create("somebodys", internal=True, ipam=pool)
    try:
        lab = make_lab(sleepers(tmp_path), run_id)
        # Blind to what is taken, as in a race: the engine's refusal alone must be enough.
        monkeypatch.setattr(docker_net, "_taken", lambda _engine: [])
        lab.up()
        assert not lab.node("a").address.startswith(str(first)[:-4])
    finally:
        theirs.remove()


def test_facts_name_engine_socket_compose_and_images(make_lab, tmp_path):
    lab = make_lab(sleepers(tmp_path))
    lab.up()
    facts = lab.facts()
    assert facts["engine"].startswith("Docker ")
    assert facts["socket"].startswith("unix:///")
    assert find_compose().version in facts["compose"]
    assert facts["image a"].startswith("sha256:")
    assert facts["image client"].startswith("sha256:")


def test_two_networks_give_client_and_services_an_address_on_each(make_lab, tmp_path):
    networks = "networks: {front: {}, back: {}}"
    lab = make_lab(sleepers(tmp_path, networks, a="networks: [front, back]", b="networks: [back]"))
    lab.up()
    assert len(lab.node("a").all_addresses()) == 2
    assert len(lab.node("b").all_addresses()) == 1
    assert len(lab.node(CLIENT).all_addresses()) == 2
    child = lab.spawn(
        lab.node(CLIENT),
        [
            "python",
            "-c",
            "import json, socket; print(json.dumps({n: socket.gethostbyname(n) for n in 'ab'}))",
        ],
    )
    seen = child.receive(20)
    child.close()
    assert seen["a"] in lab.node("a").all_addresses()
    assert seen["b"] == lab.node("b").address


# ---------------------------------------------------------------- going down


def test_down_is_silent_the_second_time_and_the_lab_can_go_up_again(make_lab, tmp_path):
    lab = make_lab(sleepers(tmp_path))
    lab.up()
    before = lab.identity(lab.node("a"))
    lab.down()
    lab.down()
    lab.up()
    assert lab.identity(lab.node("a")) not in (None, before)


def test_down_removes_what_was_never_started_stopped_or_paused(make_lab, tmp_path, engine):
    lab = make_lab(sleepers(tmp_path, a="", b=""))
    lab.up()
    labels = {"chaoskit.run": lab.run_id, "chaoskit.owner": "1@x"}
    client = engine.client()
    client.containers.create("debian:bookworm-slim", "true", labels=labels)
    ended = client.containers.create("debian:bookworm-slim", "true", labels=labels)
    ended.start()
    ended.wait(timeout=20)
    paused = client.containers.create("debian:bookworm-slim", "sleep 60", labels=labels)
    paused.start()
    paused.pause()
    client.volumes.create(labels=labels)
    lab.down()
    assert leftovers(lab.run_id) == ()


def test_removing_a_run_touches_nothing_else(make_lab, tmp_path, engine, foreign):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    kept, removed = make_lab(sleepers(tmp_path / "one")), make_lab(sleepers(tmp_path / "two"))
    kept.up()
    removed.up()
    before = leftovers(kept.run_id)
    identity = kept.identity(kept.node("a"))
    gone = remove_run(removed.run_id)
    assert sorted(one.kind for one in gone) == ["container"] * 3 + ["network"]
    assert remove_run(removed.run_id) == ()
    assert leftovers(kept.run_id) == before
    assert kept.identity(kept.node("a")) == identity
    foreign.container.reload()
    foreign.network.reload()


# ---------------------------------------------------------------- kill, start, cut


def test_another_signal_reaches_the_first_process_only_by_its_own_handler(make_lab, tmp_path):
    lab = make_lab(
        sleepers(
            tmp_path,
            a="command: [sh, -c, 'trap \"echo heard; exit 4\" TERM; while :; do sleep 0.1; done']",
        )
    )
    lab.up()
    node = lab.node("a")
    lab.kill(node, signal.SIGTERM)
    assert wait_until(lambda: lab.identity(node) is None, within_s=30)
    lab.save_logs(str(tmp_path / "logs"))
    assert "heard" in (tmp_path / "logs" / "a.log").read_text()
    with pytest.raises(LabError, match="does not run"):
        lab.kill(node, signal.SIGKILL)
    lab.start(node)
    assert lab.identity(node) is not None


def test_a_kill_is_in_the_journal_until_the_node_was_started_again(make_lab, tmp_path):
    lab = make_lab(sleepers(tmp_path))
    lab.up()
    node = lab.node("a")
    at_rest = {entry.op.kind for entry in lab.journal.open_entries()}
    lab.kill(node, signal.SIGKILL)
    assert {entry.op.kind for entry in lab.journal.open_entries()} - at_rest == {"docker-start"}
    lab.start(node)
    assert {entry.op.kind for entry in lab.journal.open_entries()} == at_rest


def test_a_cut_holds_while_its_node_is_dead_because_that_talks_to_nobody(make_lab, tmp_path):
    lab = make_lab(sleepers(tmp_path, a="", b=""))
    lab.up()
    a, b = lab.node("a"), lab.node("b")
    handle = lab.cut([Cut(a, (b,))])
    assert lab.in_force(handle)
    lab.kill(a, signal.SIGKILL)
    assert lab.in_force(handle)
    lab.start(a)
    assert lab.in_force(handle)
    lab.join(handle)
    assert not lab.in_force(handle)


# ---------------------------------------------------------------- children


def test_a_child_that_ignores_the_end_of_its_input_is_killed(make_lab, tmp_path):
    lab = make_lab(sleepers(tmp_path))
    lab.up()
    for place in (lab.node(CLIENT), lab.node("a")):
        child = lab.spawn(
            place, ["python", "-c", "import time\nprint('{}', flush=True)\ntime.sleep(600)"]
        )
        assert child.receive(20) == {}
        child.close(grace_s=0.1)
        assert not child.alive()


def test_without_root_a_helper_in_the_nodes_network_runs_the_child(make_lab, tmp_path, monkeypatch):
    lab = make_lab(sleepers(tmp_path))
    lab.up()
    monkeypatch.setattr("chaoskit.lab.docker.first_process", lambda _state, _id: None)
    code = (
        "import json, socket\n"
        "with socket.create_server(('', 7000)): print(json.dumps("
        "{'mine': socket.gethostbyname('a'), 'root': __import__('os').path.exists('/opt/chaoskit')}))"
    )
    child = lab.spawn(lab.node("a"), ["python", "-c", code])
    assert child.receive(20) == {"mine": lab.node("a").address, "root": True}
    child.close()
    # Killing goes through the engine then, and the result is the same.
    lab.kill(lab.node("a"), signal.SIGKILL)
    assert lab.identity(lab.node("a")) is None
    lab.start(lab.node("a"))
    assert lab.identity(lab.node("a")) is not None


def test_without_root_partitions_go_through_the_helper(make_lab, tmp_path, monkeypatch):
    monkeypatch.setattr("chaoskit.lab.docker.first_process", lambda _state, _id: None)
    lab = make_lab(sleepers(tmp_path, a="", b=""))
    lab.up()
    a, b = lab.node("a"), lab.node("b")
    code = (
        "import socket\nwith socket.create_server(('', 7000)):\n print('{}', flush=True)\n input()"
    )
    dial = (
        "import json, socket, sys\n"
        "for line in sys.stdin:\n"
        " try:\n"
        "  socket.create_connection((sys.argv[1], 7000), 1).close()\n"
        "  said = 'open'\n"
        " except OSError as error: said = type(error).__name__\n"
        " print(json.dumps({'said': said}), flush=True)\n"
    )
    server = lab.spawn(a, ["python", "-c", code])
    assert server.receive(30) == {}
    caller = lab.spawn(b, ["python", "-c", dial, a.address])

    def ask():
        caller.send({})
        return caller.receive(30)["said"]

    assert ask() == "open"
    handle = lab.cut([Cut(a, (b,))])
    assert lab.in_force(handle)
    assert ask() == "TimeoutError"
    lab.join(handle)
    assert not lab.in_force(handle)
    assert ask() == "open"
    handle = lab.cut([Cut(a, (b,))])
    lab.kill(a, signal.SIGKILL)
    assert lab.in_force(handle)
    lab.start(a)
    assert lab.in_force(handle), "a cut follows the service, the helper too"
    lab.join(handle)


def test_paths_outside_of_the_runs_directory_are_not_shared(make_lab, tmp_path):
    lab = make_lab(sleepers(tmp_path))
    inside = lab.run_dir / "trials" / "01"
    assert json.dumps(lab.inside(str(inside))) == json.dumps(str(inside))
    with pytest.raises(LabError, match="not in the run's directory"):
        lab.inside("/etc/passwd")


# ---------------------------------------------------------------- the engine


def test_an_engine_that_is_away_is_one_sentence(make_lab, tmp_path, monkeypatch):
    stack = sleepers(tmp_path)
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
        lab = make_lab(stack)
        with pytest.raises(LabError, match=r"none\.sock does not exist") as caught:
            lab.up()
    assert "--lab sandbox" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_an_engine_elsewhere_is_refused_before_anything_is_made(tmp_path, monkeypatch, make_lab):
    stack = sleepers(tmp_path)
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", "ssh://ops@prod")
        with pytest.raises(Refused, match="local unix socket"):
            make_lab(stack)
