"""The file that Compose is given for a run, and which Compose that is."""

import dataclasses
import os
import stat
from ipaddress import IPv4Network

import pytest

from chaoskit.errors import LabError, Refused
from chaoskit.lab.docker_compose import (
    build_keys,
    find_compose,
    load_raw,
    rendered,
    rendered_for_build,
    tag_of,
)
from chaoskit.lab.docker_net import RunNetwork
from chaoskit.stack.compose import load_stack
from chaoskit.stack.model import Service, Stack

LABELS = {"chaoskit.run": "r1", "chaoskit.owner": "7@boot"}


def stack_from(folder, text, names):
    file = folder / "compose.yaml"
    file.write_text(text, encoding="utf-8")
    return Stack("demo", file, {name: Service(name) for name in names})


def networks(*names, key="default"):
    addresses = {name: f"198.18.7.{n}" for n, name in enumerate(names, 10)}
    return {
        key: RunNetwork(key, f"chaoskit-r1_{key}", "id", IPv4Network("198.18.7.0/24"), addresses)
    }


def render(stack, names, disks=None, **more):
    return rendered(
        load_raw(stack),
        stack,
        run_id="r1",
        labels=LABELS,
        images=dict.fromkeys(names, "sha256:1"),
        networks=networks(*names, **more),
        disks=disks,
    )


FULL = """
services:
  a:
    build: .
    image: mine
    ports: ["80:80"]
    container_name: fixed
    restart: always
    labels: ["chaoskit.role=primary", "plain"]
    environment: ["A=1", "FROM_OUTSIDE"]
    networks: {default: {aliases: [alpha]}}
  b:
    image: other
    labels: {chaoskit.role: backup}
    environment: {B: 2}
volumes:
  kept:
"""


@pytest.fixture
def full(tmp_path):
    return render(stack_from(tmp_path, FULL, "ab"), "ab")


def test_what_would_reach_outside_or_survive_is_taken_out(full):
    a = full["services"]["a"]
    assert not {"ports", "container_name", "build"} & a.keys()
    assert a["restart"] == "no"
    assert a["image"] == "sha256:1"


def test_labels_of_the_run_are_on_services_and_volumes_beside_their_own(full):
    assert full["services"]["a"]["labels"] == {
        "chaoskit.role": "primary",
        "plain": None,
        **LABELS,
    }
    assert full["services"]["b"]["labels"] == {"chaoskit.role": "backup", **LABELS}
    assert full["volumes"]["kept"]["labels"] == LABELS


def test_the_environment_is_kept_in_either_notation_and_marked(full):
    assert full["services"]["a"]["environment"] == {
        "A": "1",
        "FROM_OUTSIDE": None,
        "CHAOSKIT_RUN": "r1",
    }
    assert full["services"]["b"]["environment"] == {"B": 2, "CHAOSKIT_RUN": "r1"}


def test_every_service_has_a_fixed_address_on_the_networks_of_the_run(full):
    assert full["networks"] == {"default": {"external": True, "name": "chaoskit-r1_default"}}
    assert full["services"]["a"]["networks"] == {
        "default": {"aliases": ["alpha"], "ipv4_address": "198.18.7.10"}
    }
    assert full["services"]["b"]["networks"] == {"default": {"ipv4_address": "198.18.7.11"}}


def test_the_name_that_the_file_gives_a_container_is_one_to_find_it_by(tmp_path):
    stack = stack_from(tmp_path, FULL, "ab")
    known = load_stack(stack.file)
    found = render(dataclasses.replace(stack, services=known.services), "ab")
    assert found["services"]["a"]["networks"]["default"]["aliases"] == ["fixed", "alpha"]
    assert "aliases" not in found["services"]["b"]["networks"]["default"]


def test_configs_and_secrets_that_are_files_become_mounts_and_others_stay(tmp_path):
    (tmp_path / "cost$").write_text("x")
    file = tmp_path / "compose.yaml"
    file.write_text("""
services:
  a:
    command: x
    configs: [one, {source: told, target: /told}]
    secrets: [{source: one, target: here}]
    volumes: ["data:/data"]
configs: {one: {file: cost$$}, told: {content: hello}}
secrets: {one: {file: "./cost$$"}}
volumes: {data: {}}
""")
    full = render(load_stack(file), "a")
    service = full["services"]["a"]
    source = f"{tmp_path}/cost$$"
    assert service["volumes"] == [
        "data:/data",
        {"type": "bind", "source": source, "target": "/one", "read_only": True},
        {"type": "bind", "source": source, "target": "/run/secrets/here", "read_only": True},
    ]
    assert service["configs"] == [{"source": "told", "target": "/told"}]
    assert "secrets" not in service
    assert full["configs"] == {"told": {"content": "hello"}}
    assert "secrets" not in full


def test_names_that_nobody_has_are_asked_of_the_observer_unless_the_file_says_whom(tmp_path):
    text = FULL.replace("    image: other\n", "    image: other\n    dns: [198.18.7.99]\n")
    services = render(stack_from(tmp_path, text, "ab"), ["a", "b", "observer"])["services"]
    assert services["a"]["dns"] == ["198.18.7.12"]
    assert services["b"]["dns"] == ["198.18.7.99"]


@pytest.mark.parametrize(
    "line",
    [
        "network_mode: host",
        "network_mode: 'service:b'",
        "privileged: true",
        "pid: host",
        "scale: 2",
    ],
)
def test_a_service_that_reaches_past_its_node_is_refused_by_name(tmp_path, line):
    stack = stack_from(tmp_path, f"services:\n  a:\n    image: x\n    {line}\n", "a")
    with pytest.raises(Refused, match=f"service a: {line.split(':')[0]}"):
        render(stack, "a")


DISK = """
services:
  a:
    image: x
    volumes: ["kept:/data", "kept:/else", {type: volume, source: kept, target: /data/}]
    tmpfs: /data:size=1m
volumes: {kept: {}}
"""


@pytest.fixture
def with_disk(tmp_path):
    stack = stack_from(tmp_path, DISK, "a")
    service = Service("a", {"chaoskit.disk": "/data 64m"})
    return Stack("demo", stack.file, {"a": service})


def test_a_disk_is_a_volume_on_its_device_in_the_place_of_what_was_there(with_disk):
    file = render(with_disk, "a", disks={"a": "/dev/loop7"})
    a = file["services"]["a"]
    assert a["volumes"] == ["kept:/else", "chaoskit-disk-a:/data"]
    assert a["tmpfs"] == []
    assert file["volumes"]["chaoskit-disk-a"] == {
        "driver": "local",
        "driver_opts": {"type": "ext4", "device": "/dev/loop7"},
        "labels": LABELS,
    }


def test_without_a_device_it_is_memory_of_that_size(with_disk):
    file = render(with_disk, "a", disks={"a": None})
    assert file["services"]["a"]["tmpfs"] == [f"/data:size={64 << 20},mode=1777"]
    assert file["services"]["a"]["volumes"] == ["kept:/else"]
    assert set(file["volumes"]) == {"kept"}


@pytest.mark.parametrize("line", ["external: true", "name: shared"])
def test_a_volume_that_lives_outside_of_the_run_is_refused(tmp_path, line):
    text = f"services: {{a: {{image: x}}}}\nvolumes:\n  v:\n    {line}\n"
    with pytest.raises(Refused, match="volume v"):
        render(stack_from(tmp_path, text, "a"), "a")


def test_services_with_one_recipe_are_built_once_and_named_after_stack_and_service(tmp_path):
    text = "services:\n  a: {build: .}\n  b: {build: .}\n  c: {build: ./c, image: mine}\n"
    stack = stack_from(tmp_path, text, "abc")
    raw = load_raw(stack)
    keys = build_keys(raw, stack)
    assert keys["a"] == keys["b"] != keys["c"]
    assert tag_of(stack, "a") == "chaoskit/demo-a"
    named = Stack("demo", stack.file, {"c": Service("c", image="mine")})
    assert tag_of(named, "c") == "mine"
    file = rendered_for_build(raw, stack, {"a": "t"})
    assert file == {"services": {"a": {"build": ".", "image": "t"}}}


def test_a_file_that_vanished_is_a_sentence(tmp_path):
    stack = stack_from(tmp_path, "services: {}", "")
    stack.file.unlink()
    with pytest.raises(LabError, match="cannot be read again"):
        load_raw(stack)


def program(folder, name, script):
    path = folder / name
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


PLUGIN = '[ "$1 $2 $3" = "compose version --short" ] && echo v2.40.3 && exit 0\nexit 1\n'
OLD = '[ "$1 $2" = "version --short" ] && echo 1.29.2 && exit 0\nexit 1\n'


@pytest.mark.parametrize(
    ("programs", "argv", "version"),
    [
        ({"docker": PLUGIN, "docker-compose": OLD}, ("docker", "compose"), "2.40.3"),
        ({"docker": "exit 1\n", "docker-compose": OLD}, ("docker-compose",), "1.29.2"),
        ({"docker-compose": OLD}, ("docker-compose",), "1.29.2"),
    ],
)
def test_the_plugin_comes_before_the_old_program(tmp_path, monkeypatch, programs, argv, version):
    for name, script in programs.items():
        program(tmp_path, name, script)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_compose()
    assert (found.argv, found.version) == (argv, version)


def test_no_compose_at_all_is_none(tmp_path, monkeypatch):
    program(tmp_path, "docker", "exit 1\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_compose() is None
    assert os.environ["PATH"] == str(tmp_path)


def test_a_built_image_has_the_name_that_the_file_means_after_its_variables(tmp_path, monkeypatch):
    file = tmp_path / "compose.yaml"
    file.write_text("services:\n  a: {build: ., command: x, image: '${CK_IMAGE:-mine}:local'}\n")
    assert tag_of(load_stack(file), "a") == "mine:local"
    monkeypatch.setenv("CK_IMAGE", "theirs")
    assert tag_of(load_stack(file), "a") == "theirs:local"
