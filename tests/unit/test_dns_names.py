"""Whose names a wrong answer is about."""

from dataclasses import dataclass, field

from chaoskit.contracts import Node, Targets
from chaoskit.faults.dns import Dns

A = Node("a", "198.18.0.2")
B = Node("b", "198.18.0.3", aliases=("db", "pg-1"))


@dataclass
class Book:
    """Of a lab what the fault asks of it."""

    wrong: list = field(default_factory=list)

    def nodes(self):
        return (A, B)

    def misname(self, wrong):
        self.wrong += wrong
        return "handle"

    def misnamed(self, _handle):
        return True

    def rename(self, _handle):
        pass


def test_who_asks_by_another_name_of_the_node_is_misled_as_well():
    lab = Book()
    with Dns(answer="wrong").inject(lab, Targets((A,))) as hold:
        assert "db" in hold.detail
    (wrong,) = lab.wrong
    assert (wrong.node, wrong.names) == (A, ("b", "db", "pg-1"))
