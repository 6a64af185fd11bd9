"""Shapes of partitions: who sees whom, for every size; and groups."""

import pytest
from pydantic import ValidationError
from unit.fakelab import FakeLab

from chaoskit.contracts import Node, Targets
from chaoskit.errors import LabError
from chaoskit.faults.grudges import Shape, between, grudge
from chaoskit.faults.partition import Partition


def nodes(count):
    return tuple(Node(f"n{i}", f"198.18.0.{i + 2}") for i in range(count))


def views(pairs, count):
    """Everybody's view: the names that it can still see, itself included."""
    hidden = {frozenset((node.name, other.name)) for node, others in pairs for other in others}
    assert len(hidden) == sum(len(others) for _, others in pairs)  # no pair twice
    names = [f"n{i}" for i in range(count)]
    return {n: {m for m in names if frozenset((n, m)) not in hidden} for n in names}


@pytest.mark.parametrize("count", range(4, 16))
def test_in_a_ring_everybody_sees_a_majority_and_no_two_the_same(count):
    seen = views(grudge(Shape.RING, nodes(count)), count)
    assert all(len(view) > count // 2 for view in seen.values())
    assert len({frozenset(view) for view in seen.values()}) == count
    assert all(len(view) < count for view in seen.values())


@pytest.mark.parametrize("count", range(3, 12))
def test_a_bridge_is_the_only_one_that_sees_both_halves(count):
    seen = views(grudge(Shape.BRIDGE, nodes(count)), count)
    assert [name for name, view in seen.items() if len(view) == count] == [f"n{(count - 1) // 2}"]
    left, right = seen["n0"], seen[f"n{count - 1}"]
    assert len(left & right) == 1
    assert abs(len(left) - len(right)) <= 1


@pytest.mark.parametrize(("shape", "few"), [(Shape.RING, 3), (Shape.BRIDGE, 2)])
def test_a_shape_needs_enough_targets(shape, few):
    with pytest.raises(LabError, match=rf"targets or more, not {few}"):
        grudge(shape, nodes(few))


def test_groups_are_cut_from_each_other_and_from_nobody_else():
    a, b, c, d = nodes(4)
    seen = views(between([[a, b], [c], [d]]), 5)
    assert seen == {
        "n0": {"n0", "n1", "n4"},
        "n1": {"n0", "n1", "n4"},
        "n2": {"n2", "n4"},
        "n3": {"n3", "n4"},
        "n4": {"n0", "n1", "n2", "n3", "n4"},
    }


def test_a_node_cannot_be_on_both_sides():
    a, b, c = nodes(3)
    with pytest.raises(LabError, match="n1 is in two groups"):
        between([[a, b], [b, c]])


def inject(fault, target, **others):
    lab = FakeLab()
    chosen = {key: tuple(lab.node(n) for n in value) for key, value in others.items()}
    with fault.inject(lab, Targets(tuple(lab.node(n) for n in target), chosen)) as hold:
        ((_, cuts),) = lab.done
        return hold, cuts


def test_groups_are_resolved_by_selectors_and_cut():
    fault = Partition.model_validate({"groups": [["primary"], ["backup", "client"]]})
    assert fault.selectors() == {"groups[0]": ("primary",), "groups[1]": ("backup", "client")}
    hold, cuts = inject(fault, "ab", **{"groups[0]": ["a"], "groups[1]": ["b", "client"]})
    assert [(c.node.name, [p.name for p in c.peers]) for c in cuts] == [("a", ["b", "client"])]
    # w is in no group: it must still be heard, from both sides.
    assert {(d.source, d.target, d.how) for d in hold.spared} == {
        ("a", "w", "datagram"),
        ("b", "w", "datagram"),
    }


def test_a_group_may_only_name_targets_and_the_labs_own():
    fault = Partition.model_validate({"groups": [["a"], ["w"]]})
    with pytest.raises(LabError, match="w is in a group, but not among the targets"):
        inject(fault, "ab", **{"groups[0]": ["a"], "groups[1]": ["w"]})


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"groups": [["a"]]}, "two groups or more"),
        ({"groups": [["a"], []]}, "none of them empty"),
        ({"groups": [["a"], ["a"]]}, "'a' is in two groups"),
        ({"groups": [["a"], ["b"]], "from": "c"}, "either from or groups"),
        ({"groups": [["a"], ["b"]], "shape": "bridge"}, "either groups or shape"),
        ({"shape": "bridge", "direction": "send"}, "direction goes with 'from'"),
        ({"shape": "triangle"}, "majorities-ring"),
        ({"from": []}, "at least 1"),
    ],
)
def test_what_does_not_go_together_is_said(keys, said):
    with pytest.raises(ValidationError, match=said):
        Partition.model_validate(keys)


@pytest.mark.parametrize(
    ("keys", "fails", "works"),
    [
        ({}, {"connect b>a"}, set()),
        ({"direction": "receive"}, {"connect b>a", "datagram b>a"}, {"datagram a>b"}),
        ({"direction": "send"}, {"connect b>a", "datagram a>b"}, {"datagram b>a"}),
        ({"connections": "new"}, {"connect b>a"}, {"kept b>a"}),
        ({"connections": "established"}, {"kept b>a"}, {"connect b>a"}),
    ],
    ids=str,
)
def test_what_proves_a_cut_fits_the_cut(keys, fails, works):
    hold, _ = inject(Partition.model_validate({"from": "b", **keys}), "a", **{"from": ["b"]})

    def said(dials):
        return {f"{d.how} {d.source}>{d.target}" for d in dials}

    assert said(hold.dials) == fails
    assert said(hold.spared) == works | {"datagram a>w", "datagram b>w"}
