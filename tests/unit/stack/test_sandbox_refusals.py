"""What only Docker can do is a refusal of the sandbox lab, with its place, and no error."""

import pytest


def test_a_key_of_an_anchor_is_refused_once_however_many_services_have_it(load):
    stack = load("""\
        x-base: &base {command: x, privileged: true}
        services:
          a: *base
          b: {<<: *base}
          c: {command: x, privileged: true}
        """)
    assert [said.split(":")[1] for said in stack.sandbox_refusals] == ["1", "5"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("privileged: true", "cannot do 'privileged'"),
        ("network_mode: host", "cannot do 'network_mode'"),
        ("extends: {service: b}", "cannot do 'extends'"),
        ("restart: always", "would hide a failover"),
        ("networks: {default: {mac_address: '02:42:ac:11:00:02'}}", "cannot do 'mac_address'"),
        ("networks: {default: {ipv4_address: 10.0.0.2}}", "outside 198.18.0.0/15"),
        ("volumes: [{type: npipe, source: a, target: /b}]", "cannot mount type npipe"),
    ],
)
def test_what_only_docker_can_do_is_a_refusal_with_a_place_not_an_error(load, body, said):
    stack = load("services:\n  a:\n    command: x\n    " + body)
    (refusal,) = stack.sandbox_refusals
    assert refusal.startswith("compose.yaml:4:")
    assert said in refusal
    assert "--lab docker" in refusal


def test_a_name_of_two_services_is_refused_for_the_sandbox(load):
    (refusal,) = load("""\
        services:
          a: {command: x, networks: {default: {aliases: [db]}}}
          b: {command: x, container_name: db}
        """).sandbox_refusals
    assert refusal.startswith("compose.yaml:3:6: the name 'db' means a and b")


def test_a_service_without_a_command_is_refused_for_the_sandbox(load):
    (refusal,) = load("services:\n  a: {image: redis}").sandbox_refusals
    assert refusal.startswith("compose.yaml:2:3: service 'a' has no command")


@pytest.mark.parametrize(
    "top",
    [
        "secrets: {s: {environment: X}}",
        "secrets: {s: {external: true}}",
        "configs: {c: {content: x}}",
        "include: [y.yaml]",
        "networks: {n: {external: true}}",
        "volumes: {v: {external: true}}",
    ],
)
def test_what_lies_outside_the_run_is_refused_for_the_sandbox(load, top):
    assert len(load(f"services: {{a: {{command: x}}}}\n{top}").sandbox_refusals) == 1
