"""Whose an address is: one of a node's own, on whatever port; never a guess."""

from chaoskit.load.config import Endpoint
from chaoskit.load.whereabouts import Whereabouts


def node(name, *addresses, port=":5432", frontdoor=False):
    url = f"postgres://{addresses[0]}{port}"
    return Endpoint.of(name, url, frontdoor=frontdoor, addresses=addresses)


def test_every_address_and_name_of_a_node_is_its_own():
    where = Whereabouts([node("a", "198.18.0.2", "198.18.1.2", "pg-a"), node("b", "198.18.0.3")], 5)
    assert [where.node(h, 5432) for h in ("198.18.0.2", "198.18.1.2", "pg-a")] == ["a"] * 3
    assert where.node("198.18.0.3", 5432) == "b"


def test_an_address_that_nobody_has_is_nobodys():
    where = Whereabouts([node("a", "198.18.0.2")], 5432)
    assert where.node("198.18.0.9", 5432) == ""
    assert where.node("127.0.0.1", 5432) == where.node("", 0) == ""


def test_another_port_of_a_nodes_own_address_is_the_node_still():
    """A pooler on 6432 is the endpoint, and the server behind it says 5432."""
    assert (
        Whereabouts([node("a", "198.18.0.2", port=":6432")], 5432).node("198.18.0.2", 5432) == "a"
    )


def test_of_an_address_that_two_share_the_port_tells():
    two = [node("a", "10.0.0.1", port=":1"), node("b", "10.0.0.1", port=""), node("c", "10.0.0.2")]
    where = Whereabouts(two, 5432)
    assert [where.node("10.0.0.1", port) for port in (1, 5432, 2)] == ["a", "b", ""]
    twice = Whereabouts([node("a", "10.0.0.1"), node("b", "10.0.0.1")], 5432)
    assert twice.node("10.0.0.1", 5432) == ""


def test_an_address_that_moves_is_nobodys():
    moves = Endpoint.of("a", "redis://198.18.0.100", frontdoor=True, addresses=("198.18.0.2",))
    where = Whereabouts([moves], 6379)
    assert (where.node("198.18.0.100", 6379), where.node("198.18.0.2", 6379)) == ("", "a")
