"""The Compose program: which one, and the file it is given for a run.

The stack's own file is rewritten for the run and handed over on standard input, so nothing with
expanded variables ever lies on a disk: the run's labels on everything, the run's own networks with
fixed addresses, no published ports, no restarts by the engine. Options are those that both
``docker compose`` v2 and Debian's ``docker-compose`` 1.29 understand.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from chaoskit.contracts import OBSERVER
from chaoskit.errors import LabError, Refused
from chaoskit.lab.docker_net import RunNetwork
from chaoskit.lab.docker_probe import Endpoint
from chaoskit.lab.docker_sweep import MARK
from chaoskit.lab.ops import RUN_MARK
from chaoskit.stack.files import FILE_KEYS
from chaoskit.stack.labels import disk
from chaoskit.stack.model import Service, Stack

__all__ = [
    "Compose",
    "build_keys",
    "find_compose",
    "load_raw",
    "rendered",
    "rendered_for_build",
    "services_of",
    "tag_of",
]

_OURS = ("build", "container_name", "ports", "restart", "network_mode", "deploy", "pull_policy")
_REFUSED = {
    "network_mode": "a node must have a network namespace of its own to be cut off",
    "privileged": "a privileged service can reach past its own node",
    "pid": "killing a node must not reach processes of others",
    "scale": "a node is one container",
}
BUILD_TIMEOUT_S = 900.0

Tree = dict[str, object]


@dataclass(frozen=True)
class Compose:
    """How Compose is called here: ``docker compose`` or ``docker-compose``, and its version."""

    argv: tuple[str, ...]
    version: str

    def popen(
        self,
        endpoint: Endpoint,
        stack: Stack,
        run_id: str,
        arguments: Sequence[str],
        *,
        output: int | IO[bytes] = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        """Start it on the file that comes on its standard input; both outputs go one way."""
        known = {k: v for k, v in os.environ.items() if not k.startswith(("COMPOSE_", "PYTHON"))}
        command = [*self.argv, "-f", "-", "-p", f"chaoskit-{run_id}"]
        folder = stack.file.resolve().parent
        command += ["--project-directory", str(folder), *arguments]
        return subprocess.Popen(
            command,
            cwd=folder,  # 1.29 resolves a build's context from here, whatever the option says
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the harness; it decides what ends when
            env={
                **known,
                "DOCKER_HOST": endpoint.url,
                "COMPOSE_IGNORE_ORPHANS": "1",
                MARK: run_id,
                RUN_MARK: run_id,
            },
        )

    def build(
        self, endpoint: Endpoint, stack: Stack, run_id: str, file: Tree, services: Sequence[str]
    ) -> None:
        """Build the images of these services. Raises ``LabError`` with the builder's last lines."""
        process = self.popen(endpoint, stack, run_id, ["build", *services])
        try:
            out, _ = process.communicate(json.dumps(file).encode(), timeout=BUILD_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise LabError(
                f"building the images of {stack.name} took more than {BUILD_TIMEOUT_S:g} s"
            ) from None
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()
        if process.returncode != 0:
            raise LabError(
                f"the images of stack {stack.name} ({', '.join(services)}) cannot be built",
                output=out.decode(errors="replace"),
                hint="where no registry answers, scripts/base-image makes debian:bookworm-slim",
            )


def find_compose() -> Compose | None:
    """``docker compose`` if there is one, else ``docker-compose``; None where neither works."""
    for argv in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(argv[0]) is None:
            continue
        try:
            told = subprocess.run(
                [*argv, "version", "--short"],
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        version = told.stdout.strip().lstrip("v")
        if told.returncode == 0 and version[:1].isdigit():
            return Compose(argv, version)
    return None


def load_raw(stack: Stack) -> Tree:
    """The Compose file as plain data. Raises ``LabError``; the stack's loader has checked it."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        with stack.file.open(encoding="utf-8") as file:
            raw = YAML(typ="safe", pure=True).load(file)
    except (OSError, YAMLError) as error:
        raise LabError(f"{stack.file} cannot be read again: {error}") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("services"), dict):
        raise LabError(f"{stack.file} has no services")
    return raw


def services_of(raw: Tree, stack: Stack) -> dict[str, Tree]:
    """The file's services that are part of the stack, in the stack's order."""
    services = raw["services"]
    assert isinstance(services, dict)  # noqa: S101 - load_raw has seen to it
    return {name: dict(services[name] or {}) for name in stack.services if name in services}


def build_keys(raw: Tree, stack: Stack) -> dict[str, str]:
    """Service → a text that is equal for services built from the same recipe."""
    return {
        name: json.dumps(service["build"], sort_keys=True, default=str)
        for name, service in services_of(raw, stack).items()
        if service.get("build")
    }


def rendered_for_build(raw: Tree, stack: Stack, tags: Mapping[str, str]) -> Tree:
    """A file with nothing but what has to be built; ``tags`` is service → image name."""
    services = services_of(raw, stack)
    return {
        "services": {name: {"build": services[name]["build"], "image": tags[name]} for name in tags}
    }


def rendered(
    raw: Tree,
    stack: Stack,
    *,
    run_id: str,
    labels: Mapping[str, str],
    images: Mapping[str, str],
    networks: Mapping[str, RunNetwork],
    disks: Mapping[str, str | None] | None = None,
) -> Tree:
    """The file for ``up``. ``images`` is service → image id, ``networks`` by the file's names.

    ``disks`` is service → the device that it gets as its disk; None: memory of that size.

    Raises ``Refused`` for a service that would reach outside its own node.
    """
    disks = disks or {}
    services: Tree = {}
    for name, service in services_of(raw, stack).items():
        _refuse(stack, name, service)
        kept = {key: value for key, value in service.items() if key not in _OURS}
        kept["image"] = images[name]
        kept["restart"] = "no"
        kept["labels"] = {**_mapping(service.get("labels")), **labels}
        kept["environment"] = {**_mapping(service.get("environment")), RUN_MARK: run_id}
        kept["networks"] = _joined(service.get("networks"), stack.services[name], networks)
        if resolver := _resolver(stack.services[name], networks):
            kept.setdefault("dns", resolver)
        _add_files(stack.services[name], raw, kept)
        if name in disks:
            _add_disk(stack, name, kept, disks[name])
        services[name] = kept
    result: Tree = {
        "services": services,
        "networks": {key: {"external": True, "name": n.name} for key, n in networks.items()},
    }
    volumes = raw.get("volumes")
    if isinstance(volumes, dict):
        result["volumes"] = {key: _volume(stack, key, volumes[key], labels) for key in volumes}
    made = {_disk_volume(name): device for name, device in disks.items() if device}
    if made:
        known = result.setdefault("volumes", {})
        assert isinstance(known, dict)  # noqa: S101 - set above
        known |= {key: {**_on(device), "labels": dict(labels)} for key, device in made.items()}
    result |= {key: left for key in FILE_KEYS if (left := _not_files(raw, key))}
    return result


def _refuse(stack: Stack, name: str, service: Tree) -> None:
    where = f"{stack.file}: service {name}"
    for key, why in _REFUSED.items():
        value = service.get(key)
        harmless = value in (None, "") or value is False or (key == "scale" and value == 1)
        if not harmless:
            raise Refused(f"{where}: {key}: {value} is refused, because {why}")


def _not_files(raw: Tree, key: str) -> Tree:
    """Those ``configs`` or ``secrets`` that are no file of the host: Compose's own affair."""
    declared = raw.get(key)
    one_each = declared.items() if isinstance(declared, dict) else ()
    return {name: value for name, value in one_each if not (value or {}).get("file")}


def _add_files(service: Service, raw: Tree, kept: Tree) -> None:
    """Those that are files become mounts, which every version of Compose understands."""
    for key in FILE_KEYS:
        left, asked = _not_files(raw, key), kept.pop(key, None)
        entries = asked if isinstance(asked, list) else []
        others = [e for e in entries if (e.get("source") if isinstance(e, dict) else e) in left]
        if others:
            kept[key] = others
    files = [
        {
            "type": "bind",
            "source": (mount.source or "").replace("$", "$$"),  # Compose would expand it
            "target": mount.target.replace("$", "$$"),
            "read_only": True,
        }
        for mount in service.mounts
        if mount.key in FILE_KEYS
    ]
    if files:
        given = kept.get("volumes")
        kept["volumes"] = [*(given if isinstance(given, list) else []), *files]


def _disk_volume(service: str) -> str:
    return f"chaoskit-disk-{service}"


def _on(device: str) -> Tree:
    return {"driver": "local", "driver_opts": {"type": "ext4", "device": device}}


def _add_disk(stack: Stack, name: str, service: Tree, device: str | None) -> None:
    """The disk of its own in the place of whatever else was to be mounted there."""
    words = disk(stack.services[name])
    assert words is not None  # noqa: S101 - that is why it is here
    for key in ("volumes", "tmpfs"):
        given = service.get(key)
        listed = given if isinstance(given, list) else [given] if given else []
        service[key] = [one for one in listed if _target_of(one) != words.path]
    key, added = "volumes", f"{_disk_volume(name)}:{words.path}"
    if device is None:
        key, added = "tmpfs", f"{words.path}:size={words.size},mode=1777"
    entries = service[key]
    assert isinstance(entries, list)  # noqa: S101 - set above
    service[key] = [*entries, added]


def _target_of(entry: object) -> str:
    """Where one entry of ``volumes`` or ``tmpfs`` is mounted."""
    if isinstance(entry, dict):
        return str(entry.get("target", "")).rstrip("/")
    parts = str(entry).split(":")
    at = parts[0] if len(parts) == 1 or not parts[1].startswith("/") else parts[1]
    return at.rstrip("/")


def _volume(stack: Stack, key: str, given: object, labels: Mapping[str, str]) -> Tree:
    volume = dict(given) if isinstance(given, dict) else {}
    if volume.get("external") or volume.get("name"):
        raise Refused(
            f"{stack.file}: volume {key} lives outside the run; volumes are private to a run"
        )
    return {**volume, "labels": {**_mapping(volume.get("labels")), **labels}}


def _mapping(given: object) -> dict[str, object]:
    """Labels and environment come as a mapping or as a list of ``key=value``."""
    if isinstance(given, dict):
        return {str(key): value for key, value in given.items()}
    pairs: dict[str, object] = {}
    for item in given if isinstance(given, list) else []:
        key, equals, value = str(item).partition("=")
        pairs[key] = value if equals else None  # no value: taken from Compose's own environment
    return pairs


def _joined(given: object, service: Service, networks: Mapping[str, RunNetwork]) -> Tree:
    """Its places. A container's name is the run's own; that of the file is one of the aliases."""
    options = given if isinstance(given, dict) else {}
    joined: Tree = {}
    for key, network in networks.items():
        address = network.addresses.get(service.name)
        if address is not None:
            mine = options.get(key)
            place: Tree = {**(mine if isinstance(mine, dict) else {}), "ipv4_address": address}
            if service.aliases.get(key):
                place["aliases"] = list(service.aliases[key])
            joined[key] = place
    return joined


def _resolver(service: Service, networks: Mapping[str, RunNetwork]) -> list[str]:
    """Who is asked for names that the engine does not know: the observer (``unknown_names``)."""
    known = [n.addresses for n in networks.values() if service.name in n.addresses]
    return [addresses[OBSERVER] for addresses in known if OBSERVER in addresses][:1]


def tag_of(stack: Stack, service: str) -> str:
    """The name that a built image gets: the file's own, or one from stack and service."""
    image = stack.services[service].image  # with its variables filled in
    folder = "".join(c if c.isalnum() else "-" for c in Path(stack.name).name.lower())
    return image or f"chaoskit/{folder.strip('-') or 'stack'}-{service.lower()}"
