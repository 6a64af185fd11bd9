"""A planted flaw that would be none on a stack is refused by its nodes; on its own it is not."""

from functools import cache

import pytest
from support import ROOT

from chaoskit.experiment.loader import load_experiment
from chaoskit.reference.active_active.defects import node_type as active_active_type
from chaoskit.reference.cluster.defects import node_of as cluster_node_of
from chaoskit.reference.defects import DEFECTS, node_of
from chaoskit.reference.group_defects import FRONTDOOR
from chaoskit.reference.members import Membership
from chaoskit.reference.settings import BadSettings, Settings
from chaoskit.stack.compose import load_stack

START = {
    "node": lambda told: node_of(Settings.of_node(told)),
    "active-active": lambda told: active_active_type(Membership.of(told).settings.defect),
    "cluster": lambda told: cluster_node_of(Membership.of(told)),
}
STACKS = sorted(
    path
    for path in (ROOT / "compose").glob("*/*.yaml")
    if "chaoskit.reference" in path.read_text("utf-8")
)


@cache
def services(stack):
    return tuple(load_stack(stack).services.values())


def nodes(stack):
    """Of each data node of the reference system: what it is started as, and what it is told."""
    return [
        (service.command[-1].split()[-1], dict(service.environment))
        for service in services(stack)
        if "CHAOSKIT_NODE" in service.environment and service.command[-1] != "witness"
    ]


def belongs(defect, stack):
    """Whether the flaw is one of a system like that, as its file tells."""
    text = stack.read_text("utf-8")
    kind = "cluster" if '"cluster"' in text else "active-active" if '"active-' in text else "pair"
    if defect.name.startswith(FRONTDOOR):
        config = stack.with_name("haproxy.cfg")
        return stack.name == "haproxy.yaml" and defect.name in config.read_text("utf-8")
    if defect.shape == "active-passive-approval":
        return kind == "pair" and "CHAOSKIT_FAILOVER: approval" in text
    if defect.name == "disk-blind":
        return kind == "pair" and "CHAOSKIT_DATA:" in text
    return defect.shape.replace("active-passive", "pair") == kind


@pytest.mark.parametrize("name", DEFECTS)
def test_a_flaw_is_planted_where_it_is_one_and_refused_everywhere_else(name):
    assert len(STACKS) >= 12
    for stack in STACKS:
        for kind, told in nodes(stack):
            flawed = told | {"CHAOSKIT_DEFECT": name}
            if belongs(DEFECTS[name], stack):
                START[kind](flawed)
                continue
            with pytest.raises(BadSettings) as said:
                START[kind](flawed)
            assert str(said.value).startswith(f"CHAOSKIT_DEFECT='{name}' is "), stack
            assert len(str(said.value).splitlines()) == 1


@pytest.mark.parametrize("name", DEFECTS)
def test_the_experiment_that_must_find_a_flaw_runs_where_it_is_one(name):
    experiment = load_experiment(ROOT / "experiments" / f"{DEFECTS[name].experiment}.yaml")
    assert belongs(DEFECTS[name], experiment.stack)


def test_every_process_of_the_reference_system_is_told_which_flaw_is_planted():
    for stack in STACKS:
        for service in services(stack):
            if "CHAOSKIT_NODE" in service.environment:
                assert "CHAOSKIT_DEFECT" in service.environment, (stack, service.name)


CLUSTER = {
    "CHAOSKIT_NODE": "a",
    "CHAOSKIT_MEMBERS": "a=http://a:8080 b=http://b:8080 c=http://c:8080",
    "CHAOSKIT_DEFECT": "shard-without-owner",
}


def test_a_shard_that_is_not_there_cannot_be_without_an_owner():
    assert START["cluster"](CLUSTER | {"CHAOSKIT_SHARDS": "5"})
    with pytest.raises(BadSettings, match="of shard 5, and CHAOSKIT_SHARDS is 4; it would find"):
        START["cluster"](CLUSTER | {"CHAOSKIT_SHARDS": "4"})
