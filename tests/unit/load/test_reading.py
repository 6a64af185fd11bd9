"""Configuration, answers and logs of tokens: what is accepted, and the sentence if it is not."""

import json

import numpy as np
import pytest

from chaoskit.errors import BadInput
from chaoskit.load.config import Endpoint, LoadConfig
from chaoskit.load.http import parse_head
from chaoskit.load.tokens import save, table_of, tokens_of

GOOD = {
    "user": "http-kv",
    "endpoints": [{"node": "a", "url": "http://198.18.0.2:8080"}],
    "streams": [
        {
            "name": "write",
            "op": "write",
            "rate": 200,
            "connections": "kept",
            "deadline_ns": 1,
            "timeout_ns": 2,
        }
    ],
    "requests": "r",
    "strings": "s",
    "final": "f",
}


def test_a_good_configuration_becomes_plain_data():
    config = LoadConfig.parse(json.dumps(GOOD | {"nodes": GOOD["endpoints"], "trial": 9}))
    assert config.endpoints == config.nodes
    assert config.endpoints[0] == Endpoint(
        "a", "http://198.18.0.2:8080", "http", "198.18.0.2", 8080
    )
    assert config.streams[0].rate == 200.0
    assert (config.trial, config.client) == (9, "client")


PLACE = GOOD["endpoints"][0]
OTHER = {"node": "lb", "url": "http://198.18.0.9:80"}


@pytest.mark.parametrize(
    ("endpoints", "nodes", "servers"),
    [
        ([PLACE], [PLACE], ["a"]),
        ([PLACE], [], ["a"]),  # nobody says that there is anybody behind it
        ([OTHER, PLACE], [PLACE], ["", "a"]),
        ([PLACE | {"url": "http://198.18.0.100:80"}], [PLACE], [""]),  # an address that moves
        ([PLACE | {"frontdoor": True}], [PLACE | {"frontdoor": True}], [""]),
        ([OTHER | {"frontdoor": False}], [PLACE], ["lb"]),
    ],
)
def test_an_answer_that_names_nobody_is_the_nodes_own_only_where_it_cannot_be_anothers(
    endpoints, nodes, servers
):
    config = LoadConfig.parse(json.dumps(GOOD | {"endpoints": endpoints, "nodes": nodes}))
    assert [endpoint.server for endpoint in config.endpoints] == servers


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nodes": [PLACE | {"addresses": "x"}]}, "addresses in an entry of the load's nodes"),
        ({"nodes": [PLACE | {"addresses": [1]}]}, "addresses in an entry of the load's nodes"),
        ({"endpoints": [PLACE | {"frontdoor": "no"}]}, "not true or false"),
        ({"streams": [GOOD["streams"][0] | {"rate": 0}]}, "rate 0.0 is not between"),
        ({"streams": [GOOD["streams"][0] | {"rate": "nan"}]}, "rate nan is not between"),
        ({"streams": [GOOD["streams"][0] | {"deadline_ns": 3}]}, "not beyond the timeout"),
        ({"streams": [GOOD["streams"][0] | {"connections": "both"}]}, "use kept or new"),
        ({"streams": [{"name": "x"}]}, "lacks 'op'"),
        ({"streams": GOOD["streams"] * 300}, "more than 250 streams"),
        ({"trial": 70_000}, "does not fit"),
        ({"trial": "one"}, "not a whole number"),
        ({"endpoints": [{"node": "a", "url": "nonsense"}]}, "not a URL"),
        ({"endpoints": [{"node": "a", "url": "http://h:99999"}]}, "endpoint 'http://h:99999'"),
        ({"endpoints": [{"node": "a"}]}, "has no url"),
        ({"options": [1]}, "options are not"),
        ({"retries": 3}, "unknown keys: retries"),
        ({"user": None}, "lacks 'user'"),
    ],
)
def test_a_bad_configuration_is_said_in_one_sentence(change, words):
    with pytest.raises(BadInput) as caught:
        LoadConfig.parse(json.dumps(GOOD | change))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ["", "{", "[]", '"x"'])
def test_what_is_no_json_object_is_no_configuration(line):
    with pytest.raises(BadInput):
        LoadConfig.parse(line)


def test_headers_are_found_whatever_their_case_and_place():
    answer = parse_head(b"HTTP/1.1 421 No\r\nx-CHAOSKIT-Primary:  node-b \r\nContent-Length: 0")
    assert answer.status == 421
    assert answer.header(b"x-chaoskit-primary") == b"node-b"
    assert answer.header(b"content-length") == b"0"
    assert answer.header(b"x-chaoskit-node") == b""
    assert answer.keep
    assert not parse_head(b"HTTP/1.1 200 OK\r\nConnection: close").keep
    assert not parse_head(b"HTTP/1.0 200 OK").keep


@pytest.mark.parametrize("head", [b"", b"SSH-2.0-x", b"HTTP/1.1 abc", b"HTTP/2 200"])
def test_what_is_not_http_is_a_transport_error(head):
    with pytest.raises(ConnectionError):
        parse_head(head)


def test_heads_that_are_said_again_are_the_same_and_bodies_are_not():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1"
    first, second = parse_head(head), parse_head(head)
    first.body, first.keep = b"x", False
    assert (second.body, second.keep) == (b"", True)
    assert second.header(b"content-length") == b"1"
    for number in range(1000):  # a date that changes must not fill the memory
        assert parse_head(b"HTTP/1.1 200 OK\r\nDate: %d" % number).header(b"date") == b"%d" % number


TWO = {1: 2, 2**64 - 1: 1}


@pytest.mark.parametrize(
    "body",
    [
        b"1 2\n18446744073709551615 1\n",
        b"1\n18446744073709551615\n1\n",
        b"[1, 18446744073709551615, 1]",
        b'{"tokens": [[1, 2], [18446744073709551615, 1]]}',
        b'{"tokens": ["1", "18446744073709551615", "1"]}',
        b'{"tokens": {"1": 2, "18446744073709551615": 1}}',
        b'{"1": 2, "18446744073709551615": 1}',
        b"[[1, 1], [18446744073709551615, 1], [1, 1]]",
    ],
)
def test_every_way_to_write_a_log_down_gives_the_same_multiplicities(body):
    assert tokens_of(body) == TWO


def test_an_empty_log_is_no_token_at_all():
    assert dict(tokens_of(b"")) == dict(tokens_of(b"[]")) == dict(tokens_of(b"{}")) == {}


@pytest.mark.parametrize(
    "body",
    [b"1 2 3", b"x", b"-1", b"[-1]", b"18446744073709551616", b"[true]", b"[[1]]", b"[1", b"1.5"],
)
def test_what_is_no_token_is_refused_instead_of_guessed(body):
    with pytest.raises(ValueError):
        tokens_of(body)


def test_tokens_are_saved_as_two_columns_of_unsigned_64_bit(tmp_path):
    save(tmp_path / "deep" / "a.npy", table_of(TWO))
    table = np.load(tmp_path / "deep" / "a.npy")
    assert table.dtype == np.uint64
    assert table.tolist() == [[1, 2], [2**64 - 1, 1]]
    save(tmp_path / "empty.npy", table_of({}))
    assert np.load(tmp_path / "empty.npy").shape == (0, 2)
    assert not list(tmp_path.rglob(".*"))
