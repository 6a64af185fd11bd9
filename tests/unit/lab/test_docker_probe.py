"""Which engine would be used, and how its absence is said: with sockets of our own, no Docker."""

import hashlib
import json
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from chaoskit.errors import Refused
from chaoskit.lab.docker_probe import docker_available, docker_can_run, resolve_endpoint
from chaoskit.stack.model import Service, Stack


@contextmanager
def engine(folder, answers, *, hang=False):
    """A socket that answers GETs from a mapping path → (status, body); asked paths are kept."""
    path = folder / "engine.sock"
    asked = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(8)
        server.settimeout(0.05)
        over = threading.Event()

        def serve():
            while not over.is_set():
                try:
                    link, _ = server.accept()
                except TimeoutError:
                    continue
                with link:
                    request = link.recv(4096).decode()
                    what = request.split(" ")[1]
                    asked.append(what)
                    if hang:
                        over.wait(10)
                        continue
                    status, body = answers.get(what, (404, "no such thing"))
                    link.sendall(f"HTTP/1.0 {status} X\r\n\r\n{body}".encode())

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield {"DOCKER_HOST": f"unix://{path}"}, asked
        finally:
            over.set()
            thread.join()


def test_an_engine_that_answers_is_available(tmp_path):
    with engine(tmp_path, {"/_ping": (200, "OK")}) as (env, _):
        assert docker_available(env) is None


def test_an_engine_that_answers_with_an_error_is_not_and_its_words_are_passed_on(tmp_path):
    with engine(tmp_path, {"/_ping": (500, "broken inside")}) as (env, _):
        said = docker_available(env)
    assert "status 500" in said
    assert "broken inside" in said


def test_a_socket_that_does_not_exist_is_named(tmp_path):
    said = docker_available({"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert said == f"no Docker engine: {tmp_path}/none.sock does not exist"


def test_a_socket_that_nobody_listens_on_is_named(tmp_path):
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert "listens" in docker_available({"DOCKER_HOST": f"unix://{path}"})


def test_an_engine_that_hangs_is_given_up_on(tmp_path):
    with engine(tmp_path, {}, hang=True) as (env, _):
        assert "does not answer within 0.2 s" in docker_available(env, timeout_s=0.2)


def test_something_that_is_no_engine_is_told_apart(tmp_path):
    with engine(tmp_path, {"/_ping": (200, "OK")}) as (env, _):
        assert docker_available(env) is None
    path = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(1)

        def babble():
            link, _ = server.accept()
            with link:
                link.recv(100)
                link.sendall(b"220 mail ready\r\n")

        thread = threading.Thread(target=babble)
        thread.start()
        said = docker_available({"DOCKER_HOST": f"unix://{path}"})
        thread.join()
    assert "not a Docker engine" in said


@pytest.mark.parametrize("host", ["ssh://ops@prod", "tcp://10.0.0.1:2375", "npipe:////./pipe/x"])
def test_engines_on_other_machines_are_refused_with_a_sentence(host):
    env = {"DOCKER_HOST": host}
    with pytest.raises(Refused, match="local unix socket"):
        resolve_endpoint(env)
    assert host in docker_available(env)


def write_context(folder, name, host):
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / digest
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Endpoints": {"docker": {"Host": host}}}))
    (folder / "config.json").write_text(json.dumps({"currentContext": name}))


def test_the_active_context_of_the_command_line_is_followed(tmp_path):
    write_context(tmp_path, "mine", "unix:///run/mine.sock")
    found = resolve_endpoint({"DOCKER_CONFIG": str(tmp_path)})
    assert (found.path, found.why) == ("/run/mine.sock", "context mine")


def test_a_context_that_points_elsewhere_is_refused_by_name(tmp_path):
    write_context(tmp_path, "prod", "ssh://ops@prod")
    with pytest.raises(Refused, match=r"context prod .*ssh://ops@prod"):
        resolve_endpoint({"DOCKER_CONFIG": str(tmp_path)})


def test_docker_host_comes_before_the_context(tmp_path):
    write_context(tmp_path, "prod", "ssh://ops@prod")
    env = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_HOST": "unix:///run/a.sock"}
    assert resolve_endpoint(env).path == "/run/a.sock"


def test_a_context_that_does_not_exist_is_refused(tmp_path):
    env = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "gone"}
    with pytest.raises(Refused, match="'gone' does not exist"):
        resolve_endpoint(env)


def test_without_any_setting_the_usual_socket_is_taken(tmp_path):
    assert resolve_endpoint({"HOME": str(tmp_path)}).why == "default"


def stack_of(tmp_path, **images):
    services = {name: Service(name, image=image) for name, image in images.items()}
    return Stack("s", tmp_path / "compose.yaml", services)


PING = {"/_ping": (200, "OK"), "/images/debian%3Abookworm-slim/json": (200, "{}")}


def test_a_stack_can_run_where_its_images_are(tmp_path):
    answers = {**PING, "/images/redis%3A7/json": (200, "{}")}
    with engine(tmp_path, answers) as (env, asked):
        assert docker_can_run(stack_of(tmp_path, a="redis:7"), env) is None
    assert not [path for path in asked if path.startswith("/distribution")]


def test_an_image_that_a_registry_has_is_good_enough(tmp_path):
    answers = {**PING, "/distribution/redis%3A7/json": (200, "{}")}
    with engine(tmp_path, answers) as (env, _):
        assert docker_can_run(stack_of(tmp_path, a="redis:7"), env) is None


def test_an_image_that_cannot_be_had_is_named(tmp_path):
    with engine(tmp_path, PING) as (env, _):
        assert "redis:7" in docker_can_run(stack_of(tmp_path, a="redis:7"), env)


def test_asking_imports_no_docker_package():
    code = "import sys, chaoskit.lab.docker_probe as p; p.docker_available(); print('docker' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
