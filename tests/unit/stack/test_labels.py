"""Labels: typed access, and every mistake at its place."""

import pytest

from chaoskit.errors import BadInput
from chaoskit.stack import labels
from chaoskit.stack.compose import load_stack
from chaoskit.stack.model import Detector, Service


def of(**found):
    return Service(
        "a", {f"chaoskit.{name.replace('__', '.')}": text for name, text in found.items()}
    )


@pytest.fixture
def check(tmp_path):
    def checked(*lines):
        path = tmp_path / "compose.yaml"
        body = "".join(f"      {line}\n" for line in lines)
        path.write_text(f"services:\n  a:\n    command: x\n    labels:\n{body}")
        return [f"{p.line}:{p.column}: {p.sentence}" for p in labels.check_labels(load_stack(path))]

    return checked


def test_places_are_read_and_filled_in():
    url = labels.endpoint(of(endpoint="http://:8080"))
    assert (url.scheme, url.port, url.path, url.at("198.18.0.2")) == (
        "http",
        8080,
        "",
        "http://198.18.0.2:8080",
    )
    assert (
        labels.role_probe(of(probe__role="http://:8008/role")).at("198.18.0.3")
        == "http://198.18.0.3:8008/role"
    )
    assert labels.health_probe(of(probe__health="redis://:6379")).scheme == "redis"
    assert (
        labels.endpoint(of(endpoint="redis://198.18.0.100:6379")).at("198.18.0.2")
        == "redis://198.18.0.100:6379"
    )
    assert labels.endpoint(of()) is None


def test_what_is_tried_again_is_said_in_words():
    assert labels.retried(of(retries="x" * 120)) == "x" * 120
    assert labels.retried(of(retries="2")) == "2"
    assert labels.retried(of()) is None


def test_words_for_roles_are_read():
    assert labels.role_words(of(role__words="leader=primary,replica=backup")) == {
        "leader": "primary",
        "replica": "backup",
    }
    assert labels.role_words(of()) == {}


def test_a_detector_is_read():
    found = labels.detector(of(detector="interval=100ms misses=3 timeout=50ms promotion=50ms"))
    assert found == Detector(0.1, 3, 0.05, 0.05)
    assert labels.detector(of()) is None
    assert labels.detector(of(detector="kind=lease ttl=30s interval=10s")).interval_s == 10
    assert labels.detector(of(detector="kind=sentinel down-after=2s")).interval_s == 1


def test_data_is_owed_by_primaries_and_backups_unless_said_otherwise():
    assert [labels.holds_data(of(role=role)) for role in labels.ROLES] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert labels.holds_data(of(role="witness", data="true"))
    assert not labels.holds_data(of(role="primary", data="false"))


def test_the_port_is_the_endpoints_else_the_role_probes():
    assert labels.port(of(endpoint="http://:1", probe__role="http://:2")) == 1
    assert labels.port(of(probe__role="http://:2", probe__health="http://:3")) == 2
    assert labels.port(of(role="primary")) is None
    assert (
        labels.port_of({"chaoskit.endpoint": "nonsense", "chaoskit.probe.role": "http://:2"}) == 2
    )


def test_targets_and_links_are_read():
    assert labels.is_target(of(target="true"))
    assert not labels.is_target(of())
    linked = of(**{"link__app-db": "to: db:5432", "link__x": "to: c:1 listen: 9001"})
    assert labels.links(linked) == {
        "app-db": labels.Link("db", 5432),
        "x": labels.Link("c", 1, 9001),
    }
    assert labels.toxiproxy(of(toxiproxy="http://:8474")).port == 8474
    assert labels.toxiproxy(of()) is None


@pytest.mark.parametrize(
    ("text", "path", "size"),
    [
        ("/data 64m", "/data", 64 << 20),
        ("  /var/lib/x/   1g ", "/var/lib/x", 1 << 30),
        ("/d 16777216", "/d", 16 << 20),
        ("/d 16777217b", "/d", 16 << 20),
    ],
)
def test_a_disk_is_read(text, path, size):
    found = labels.disk(of(disk=text))
    assert (found.path, found.size) == (path, size)
    assert labels.disk(of()) is None


@pytest.mark.parametrize(
    "text",
    ["", "/data", "64m /data", "/data 16383k", "/data 1025m", "/ 64m", "/a/../b 64m", "/d 64t",
     "d 64m", "/a:b 64m", "/data -64m", "/data 64m ro"],
)  # fmt: skip
def test_what_is_no_disk_is_refused(text):
    with pytest.raises(BadInput):
        labels.disk(of(disk=text))


def test_a_disk_takes_the_place_of_a_volume_but_not_of_a_folder_of_the_machine(tmp_path):
    path = tmp_path / "compose.yaml"

    def said(mounts):
        path.write_text(
            "services:\n  a:\n    command: x\n    labels: {chaoskit.disk: /data 64m}\n"
            f"    volumes: [{mounts}]\nvolumes: {{kept: {{}}}}\n"
        )
        return [p.sentence for p in labels.check_labels(load_stack(path))]

    assert said("kept:/data") == said("kept:/database") == []
    (bind,) = said("./here:/data")
    assert "folder of this machine" in bind
    (below,) = said("kept:/data/below")
    assert "mounted below" in below


def test_reading_a_bad_label_says_where():
    with pytest.raises(BadInput, match=r"chaoskit\.endpoint of a: 'x' is not a place"):
        labels.endpoint(of(endpoint="x"))


def test_good_labels_have_no_problems(check):
    assert (
        check(
            "chaoskit.role: primary",
            "chaoskit.role.words: leader=primary",
            "chaoskit.probe.role: http://:8080/role",
            "chaoskit.probe.health: redis://:6379",
            "chaoskit.endpoint: http://:8080",
            "chaoskit.detector: interval=1s",
            'chaoskit.data: "true"',
            'chaoskit.target: "true"',
            "chaoskit.toxiproxy: http://:8474",
            "chaoskit.link.self: 'to: a:80'",
            "com.example.other: whatever",
        )
        == []
    )


WRONG = {
    "chaoskit.rol: x": "5:21: chaoskit.rol of a: unknown label; did you mean 'chaoskit.role'?",
    "chaoskitrole: x": "unknown label; did you mean 'chaoskit.role'?",
    "chaoskit.run: x": "the labs write this label themselves",
    "chaoskit.role: leader": "unknown role 'leader'",
    "chaoskit.role: primry": "did you mean 'primary'",
    "chaoskit.role.words: leader=primary": "words for roles need chaoskit.probe.role",
    "chaoskit.role.words: leader": "not a word list",
    "chaoskit.role.words: leader=boss": "unknown role 'boss'",
    "chaoskit.role.words: a=primary,a=backup": "is there twice",
    "chaoskit.probe.role: htp://:80/role": "no probe speaks 'htp'; did you mean 'http'?",
    "chaoskit.probe.role: http://:99999": "needs a port from 1 to 65535",
    "chaoskit.probe.role: http:///role": "needs a port",
    "chaoskit.endpoint: http://u:p@:80": "a name or password must not stand in a label",
    "chaoskit.endpoint: http://example.com:80": "leave 'example.com' out",
    "chaoskit.endpoint: http://10.0.0.1:80": "leave '10.0.0.1' out",
    "chaoskit.endpoint: 'http://:80/a b'": "is not a place",
    "chaoskit.retries: ''": "say in at most 120 characters what is tried again",
    f"chaoskit.retries: {'x' * 121}": "say in at most 120 characters what is tried again",
    "chaoskit.detector: interval": "is not key=value",
    "chaoskit.detector: intervl=1s": "unknown key 'intervl' for kind=heartbeat; did you mean 'interval'?",
    "chaoskit.detector: misses=3": "interval= is missing",
    "chaoskit.detector: interval=0": "must be longer than 0",
    "chaoskit.detector: interval=1": "write '1s' or '1ms'",
    "chaoskit.detector: interval=1s interval=2s": "is there twice",
    "chaoskit.detector: interval=1s misses=0": "a whole number from 1 on",
    "chaoskit.detector: kind=vrp interval=1s": "did you mean 'vrrp'",
    "chaoskit.detector: kind=lease ttl=1s": "interval= is missing",
    "chaoskit.detector: interval=1s reroute=2s-1s": "reroute= ends before it begins",
    "chaoskit.detector: interval=1s reroute=1s-": "reroute=: ",
    "chaoskit.detector: interval=1s reroute=150": "write '150s' or '150ms'",
    "chaoskit.detector: interval=1s promotion=1s-2s": "promotion=: ",
    'chaoskit.data: "yes"': "write true or false",
    "chaoskit.target: ''": "write true or false",
    "chaoskit.link.Db: a:1": "small letters",
    "chaoskit.link.db: b:1": "no service 'b'",
    "chaoskit.link.db: a": "is not a link",
    "chaoskit.link.db: a:1": "declared on the service that runs the Toxiproxy",
    "chaoskit.link.db: 'a:1 listen: 70000'": "is not a link",
    "chaoskit.toxiproxy: nowhere": "is not a place",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_bad_label_is_said_at_its_place(check, line):
    (found,) = check(line)
    assert WRONG[line] in found
    assert found.startswith("5:")


def test_the_place_of_a_label_in_list_form_is_its_value(check):
    (found,) = check("- chaoskit.role=boss")
    assert found.startswith("5:23:")


def test_events_are_told_over_http_alone(check):
    (found,) = check("chaoskit.probe.events: redis://:6379")
    assert found.endswith("events are told over http, not 'redis'")
    assert not check("chaoskit.probe.events: http://:8080/events")
