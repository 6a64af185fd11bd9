"""Faults between a node and itself: refused where that is certain, and only there."""

import pytest

from chaoskit.errors import BadInput

SPLIT = """target: [node-b, "not primary"]
    from: [client]
    action: reject"""
PROBE = "      chaoskit.probe.role: http://:8080/role\n"


def load(files, how):
    return files.with_change(f"fault: partition\n    {SPLIT}", how)


@pytest.mark.parametrize(
    ("how", "place", "key"),
    [
        ("fault: partition\n    target: node-a\n    from: [node-a]", "21:11", "from"),
        ("fault: partition\n    target: service:node-a\n    from: node-a", "21:11", "from"),
        ("fault: partition\n    target: [node-b]\n    from: [not node-a, node-b]", "21:11", "from"),
        ("fault: partition\n    target: client\n    from: client", "21:11", "from"),
        ("fault: flap\n    target: node-a\n    period: 100ms\n    from: [node-a]", "22:11", "from"),
        ("fault: loss\n    target: node-a\n    share: 5%\n    from: [node-a]", "22:11", "from"),
        ("fault: arp\n    target: node-a\n    on: [node-a]", "21:9", "on"),
        (
            "fault: dns\n    answer: wrong\n    target: node-a\n    names: [node-a]",
            "22:12",
            "names",
        ),
    ],
)
def test_a_fault_between_a_node_and_itself_is_refused_at_its_place(files, how, place, key):
    with pytest.raises(BadInput) as said:
        load(files, how)
    (problem,) = said.value.problems
    assert f"{problem.line}:{problem.column}" == place
    assert f"{key}: names nobody but the target itself, " in problem.sentence


@pytest.mark.parametrize(
    "how",
    [
        "fault: partition\n    target: node-a\n    from: [node-a, node-b]",
        "fault: partition\n    target: [node-a, node-b]\n    from: [node-a]",
        "fault: partition\n    target: all\n    from: all",
        "fault: partition\n    target: node-a",
        "fault: flap\n    target: node-a\n    from: [client]",
        "fault: loss\n    share: 5%\n    target: client\n    from: [node-a]",
        "fault: partition\n    target: node-a\n    from: [primary]",
        "fault: partition\n    target: primary\n    from: [primary]",
        "fault: partition\n    target: any\n    from: [any]",
        "fault: arp\n    target: node-a",
    ],
)
def test_one_that_may_strike_somebody_is_left_to_the_run(files, how):
    assert load(files, how)


def test_roles_that_nobody_asks_for_are_known_before(files):
    same = "fault: partition\n    target: primary\n    from: [node-a]"
    assert load(files, same), "the probe may say that node-b is primary"
    files.compose.write_text(files.compose.read_text().replace(PROBE, ""))
    with pytest.raises(BadInput, match="nobody but the target itself, node-a"):
        load(files, same)


def test_words_that_mean_nothing_are_said_to_be_wrong_and_nothing_else(files):
    with pytest.raises(BadInput) as said:
        load(files, "fault: partition\n    target: node-a\n    from: [node-x]")
    (problem,) = said.value.problems
    assert "nothing in the stack is called 'node-x'" in problem.sentence
