"""The adapter around toxiproxy-python, against a server that misbehaves in each way it must bear."""

import contextlib
import http.server
import json
import threading

import pytest

from chaoskit.errors import LabError
from chaoskit.links import api
from chaoskit.links.api import Server
from chaoskit.links.child import answer
from chaoskit.links.wire import toxic_data
from chaoskit.toxics import Toxic

LATENCY = Toxic("latency", attributes={"latency": 100, "jitter": 0})


class Fake:
    """A Toxiproxy of dicts: faithful, unless told to answer otherwise."""

    def __init__(self, version="2.12.0"):
        self.version = version
        self.db = {
            "name": "db", "listen": "[::]:9001", "upstream": "db:80", "enabled": True, "toxics": [],
        }  # fmt: skip
        self.instead = {}  # (method, path) → (status, raw body)
        self.asked = []
        self.hang = threading.Event()

    def __call__(self, method, path, body):
        self.asked.append((method, path))
        if (method, path) in self.instead:
            return self.instead[method, path]
        if path == "/version":
            return 200, json.dumps({"version": self.version}).encode() + b"\n"
        if path == "/proxies" and method == "GET":
            return 200, json.dumps({"db": self.db}).encode()
        if path == "/proxies/db":
            if method in ("PATCH", "POST"):
                self.db["enabled"] = body["enabled"]
            return 200, json.dumps(self.db).encode()
        if path == "/proxies/db/toxics":
            known = {"latency", "jitter"}
            kept = {key: body["attributes"].get(key, 0) for key in known}
            self.db["toxics"].append({**body, "attributes": kept})
            return 200, json.dumps(self.db["toxics"][-1]).encode()
        name = path.rpartition("/")[2]
        before = list(self.db["toxics"])
        self.db["toxics"] = [t for t in before if t["name"] != name]
        if method == "DELETE" and before != self.db["toxics"]:
            return 204, b""
        return 404, b'{"error":"toxic not found","status":404}'


@contextlib.contextmanager
def served(fake):
    class Handler(http.server.BaseHTTPRequestHandler):
        def reply(self):
            if fake.hang.is_set():
                threading.Event().wait(10)
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            status, raw = fake(self.command, self.path, body)
            self.send_response(status)
            if status != 204:
                self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PATCH = do_DELETE = reply  # noqa: N815

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Server("127.0.0.1", server.server_port)
        finally:
            server.shutdown()


@pytest.fixture
def fake():
    return Fake()


@pytest.fixture
def server(fake):
    with served(fake) as server:
        yield server


def test_a_toxic_is_set_read_back_and_removed(fake, server):
    server.add("db", "ours", LATENCY)
    assert server.has("db", "ours", LATENCY)
    assert server.remove("db", "ours") is True
    assert server.remove("db", "ours") is False
    assert fake.db["toxics"] == []


def test_two_servers_are_two_servers(fake, server):
    other = Fake(version="2.9.0")
    with served(other) as second:
        second.proxies()
        assert server.version() == (2, 12, 0)
        assert second.version() == (2, 9, 0)


def test_a_server_that_stands_still_is_given_up(fake, server, monkeypatch):
    monkeypatch.setattr(api, "_TIMEOUT_S", (0.5, 0.3))
    fake.hang.set()
    with pytest.raises(LabError, match=r"did not answer within 0\.3 s"):
        server.version()


def test_a_server_that_is_not_there_is_one_sentence():
    with pytest.raises(LabError, match="cannot be reached") as raised:
        Server("127.0.0.1", 1).proxies()
    assert "\n" not in str(raised.value)


def test_an_error_of_the_server_is_an_error_and_not_a_key_that_is_missing(fake, server):
    fake.instead["POST", "/proxies"] = 500, b'{"error":"listen tcp: address already in use"}'
    with pytest.raises(LabError, match="answered 500: listen tcp: address already in use"):
        server.create("db", "0.0.0.0:9001", "db:80")


@pytest.mark.parametrize(
    ("status", "raw", "said"),
    [
        (409, b'{"error":"toxic already exists","status":409}', "toxic already exists"),
        (400, b'{"error":"invalid toxic type","status":400}', "invalid toxic type"),
        (503, b"<html>busy</html>", "<html>busy</html>"),
    ],
)
def test_what_the_server_says_is_passed_on_in_words(fake, server, status, raw, said):
    fake.instead["POST", "/proxies/db/toxics"] = status, raw
    with pytest.raises(LabError, match=said) as raised:
        server.add("db", "ours", LATENCY)
    assert "b'" not in str(raised.value)


def test_a_toxic_on_a_proxy_that_is_off_is_refused_and_not_tried(fake, server):
    fake.db["enabled"] = False
    with pytest.raises(LabError, match="switched off: a toxic on it would do nothing"):
        server.add("db", "ours", LATENCY)
    assert ("POST", "/proxies/db/toxics") not in fake.asked


def test_a_misspelt_attribute_does_not_pass_for_a_toxic(fake, server):
    with pytest.raises(LabError, match="it was removed again"):
        server.add("db", "ours", Toxic("latency", attributes={"latncy": 100}))
    assert fake.db["toxics"] == []


def test_a_toxic_whose_value_was_changed_is_not_the_one_that_was_set(fake, server):
    server.add("db", "ours", LATENCY)
    fake.db["toxics"][0]["attributes"]["latency"] = 1
    assert not server.has("db", "ours", LATENCY)


def test_a_proxy_of_the_environment_is_passed_by(fake, server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert list(server.proxies()) == ["db"]
    assert server.switch("db", on=False)


def test_old_servers_are_refused_and_builds_from_source_are_not(fake, server):
    fake.version = "2.4.0"
    with pytest.raises(LabError, match=r"version 2\.4\.0; at least 2\.5 is needed"):
        server.version()
    fake.version = "2.5.0"
    assert server.version() == (2, 5, 0)
    fake.version = "git-3f2a1c"
    assert server.version() == api.OLDEST


@pytest.mark.parametrize(("version", "method"), [("2.12.0", "PATCH"), ("2.5.0", "POST")])
def test_a_proxy_is_switched_by_the_call_that_its_version_knows(fake, server, version, method):
    fake.version = version
    assert server.switch("db", on=False)
    assert (method, "/proxies/db") in fake.asked
    assert server.switch("db", on=False) is False
    assert server.switch("db", on=True)


def test_a_switch_that_does_nothing_is_found_out(fake, server):
    body = json.dumps({**fake.db, "enabled": True}).encode()
    fake.instead["PATCH", "/proxies/db"] = fake.instead["GET", "/proxies/db"] = 200, body
    with pytest.raises(LabError, match="did not switch db off"):
        server.switch("db", on=False)


@pytest.mark.parametrize("raw", [b"[]", b"nonsense", b'{"db": {"name": "db"}}'])
def test_an_answer_that_makes_no_sense_is_a_sentence(fake, server, raw):
    fake.instead["GET", "/proxies"] = 200, raw
    with pytest.raises(LabError, match="toxiproxy"):
        server.proxies()


def test_the_child_does_each_order(server):
    toxic = toxic_data(LATENCY)
    assert answer(server, {"do": "links"})["db"]["upstream"] == "db:80"
    assert answer(server, {"do": "add", "proxy": "db", "name": "n", "toxic": toxic}) is True
    assert answer(server, {"do": "has", "proxy": "db", "name": "n", "toxic": toxic}) is True
    assert answer(server, {"do": "remove", "proxy": "db", "name": "n"}) is True
    assert answer(server, {"do": "switch", "proxy": "db", "on": False}) is True
    assert answer(server, {"do": "enabled", "proxy": "db"}) is False
    with pytest.raises(LabError, match="cannot do 'fly'"):
        answer(server, {"do": "fly"})
