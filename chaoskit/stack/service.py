"""One service of a Compose file: what the sandbox lab honours, accepts and refuses."""

from __future__ import annotations

import ipaddress
import signal
from collections.abc import Mapping
from pathlib import Path

from chaoskit import yaml_source as ys
from chaoskit.contracts import CLIENT, OBSERVER
from chaoskit.errors import BadInput
from chaoskit.stack.interpolate import parse_env_file
from chaoskit.stack.model import Healthcheck, Service
from chaoskit.stack.mounts import read_mounts
from chaoskit.stack.naming import NAME, read_aliases, read_hostname
from chaoskit.stack.reading import Reading
from chaoskit.wording import did_you_mean, listed, quoted

__all__ = ["ACCEPTED", "HONOURED", "REFUSED", "read_service"]

HONOURED = (
    "command",
    "entrypoint",
    "environment",
    "env_file",
    "working_dir",
    "user",
    "healthcheck",
    "depends_on",
    "networks",
    "tmpfs",
    "stop_signal",
    "stop_grace_period",
    "init",
    "volumes",
    "labels",
    "profiles",
    "hostname",
    "container_name",
    "configs",
    "secrets",
)
ACCEPTED = (
    "annotations",
    "attach",
    "build",
    "cap_add",
    "cap_drop",
    "cpu_shares",
    "cpus",
    "deploy",
    "develop",
    "expose",
    "image",
    "logging",
    "mem_limit",
    "mem_reservation",
    "memswap_limit",
    "oom_score_adj",
    "pids_limit",
    "platform",
    "ports",
    "pull_policy",
    "restart",
    "security_opt",
    "shm_size",
    "stdin_open",
    "tty",
    "ulimits",
)
REFUSED = (
    "blkio_config",
    "cgroup",
    "cgroup_parent",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpuset",
    "credential_spec",
    "device_cgroup_rules",
    "devices",
    "dns",
    "dns_opt",
    "dns_search",
    "domainname",
    "extends",
    "external_links",
    "extra_hosts",
    "gpus",
    "group_add",
    "ipc",
    "isolation",
    "label_file",
    "links",
    "mac_address",
    "mem_swappiness",
    "models",
    "network_mode",
    "oom_kill_disable",
    "pid",
    "post_start",
    "pre_stop",
    "privileged",
    "provider",
    "read_only",
    "runtime",
    "scale",
    "storage_opt",
    "sysctls",
    "use_api_socket",
    "userns_mode",
    "uts",
    "volumes_from",
)
_KEYS: Mapping[str, bool] = {
    **dict.fromkeys(HONOURED + ACCEPTED, True),
    **dict.fromkeys(REFUSED, False),
}
_HEALTH = ("test", "interval", "timeout", "retries", "start_period", "start_interval", "disable")
_HEALTH_KEYS = dict.fromkeys(_HEALTH, True)
_CONDITIONS = ("service_started", "service_healthy", "service_completed_successfully")
_LAB_RANGE = ipaddress.ip_network("198.18.0.0/15")


def read_service(reading: Reading, entry: ys.Entry) -> Service | None:
    """The service; None where its name or its very form is wrong. Notes all problems."""
    name, what = entry.key, f"service {quoted(entry.key)}"
    if not NAME.fullmatch(name):
        reading.wrong(
            entry.mark, f"{quoted(name)} cannot name a service; use letters, digits and .-_"
        )
        return None
    if name in (CLIENT, OBSERVER):
        reading.wrong(entry.mark, f"'{name}' is the name of the lab's own node; rename the service")
    table = reading.mapping(entry.value, what)
    if table is None:
        if isinstance(entry.value, ys.Scalar) and entry.value.value is None:
            reading.wrong(entry.mark, f"{what} is empty")
        return None
    reading.only(table, _KEYS, what)
    _say_accepted(reading, table, name)
    mounts = read_mounts(reading, table, name)
    networks = _networks(reading, table)
    return Service(
        name=name,
        labels=_labels(reading, table),
        command=_command(reading, table, entry.mark, what),
        environment=_environment(reading, table),
        working_dir=reading.text(table.get("working_dir"), "working_dir"),
        user=reading.text(table.get("user"), "user"),
        healthcheck=_healthcheck(reading, table, name),
        depends_on=_depends_on(reading, table),
        networks=networks,
        hostname=read_hostname(reading, table),
        aliases=read_aliases(reading, table, networks),
        mounts=mounts,
        stop_signal=_stop_signal(reading, table),
        stop_grace_period_s=reading.duration(
            table.get("stop_grace_period"), "stop_grace_period", 10.0
        ),
        init=reading.yes(table.get("init"), "init"),
        image=reading.text(table.get("image"), "image"),
        has_build=table.get("build") is not None,
        line=entry.mark.line,
    )


def _say_accepted(reading: Reading, table: ys.Mapping, name: str) -> None:
    for entry in table.entries:
        if entry.key == "restart":
            policy = reading.text(entry.value, "restart")
            if policy not in (None, "no", "false"):
                reading.refuse(
                    entry.value.mark,
                    f"the sandbox lab restarts nothing, and restart: {quoted(policy)} of {name} "
                    "would hide a failover",
                )
                continue
        if entry.key == "deploy":
            _one_of_each(reading, entry, name)
        if entry.key in ACCEPTED or entry.key.startswith("x-"):
            reading.no_effect(entry.key, name)


def _one_of_each(reading: Reading, entry: ys.Entry, name: str) -> None:
    """A node is one container; several of one service could not be told apart."""
    table = reading.mapping(entry.value, f"deploy of {name}")
    node = table.get("replicas") if table else None
    if node is not None and reading.whole(node, "replicas", 1) != 1:
        reading.wrong(node.mark, "replicas: a node is one container; write a service for each")


def _command(reading: Reading, table: ys.Mapping, mark: ys.Mark, what: str) -> tuple[str, ...]:
    first = reading.words(table.get("entrypoint"), "entrypoint") or ()
    rest = reading.words(table.get("command"), "command") or ()
    if not first and not rest:
        reading.refuse(
            mark,
            f"{what} has no command, and the sandbox lab runs programs of the host, not images",
        )
    return first + rest


def _labels(reading: Reading, table: ys.Mapping) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in reading.pairs(table.get("labels"), "labels"):
        found[name] = value if value is not None else ""
    return found


def _environment(reading: Reading, table: ys.Mapping) -> dict[str, str]:
    """The env files in their order, then ``environment``; a name alone is passed on from ours."""
    found: dict[str, str] = {}
    for path, mark, required in _env_files(reading, table.get("env_file")):
        shown = str(Path(reading.file).parent / path)
        target = reading.folder / path
        if not required and not target.exists():
            continue
        try:
            text = ys.read_text(target, shown)
        except BadInput as error:
            reading.wrong(mark, f"env_file {quoted(path)}: {error.problems[0].sentence}")
            continue
        values, wrong = parse_env_file(text, reading.env, reading.unset)
        found.update(values)
        for line, sentence in wrong:
            reading.wrong(ys.Mark(shown, line, 1), sentence)
    node = table.get("environment")
    for name, value in reading.pairs(node, "environment"):
        if node is not None and (not name or "\x00" in name or "=" in name):
            reading.wrong(node.mark, f"environment: {quoted(name)} cannot name a variable")
        elif value is not None:
            found[name] = str(value)
        elif name in reading.env:
            found[name] = reading.env[name]
    return found


def _env_files(reading: Reading, node: ys.Node | None) -> list[tuple[str, ys.Mark, bool]]:
    found: list[tuple[str, ys.Mark, bool]] = []
    for item in node.items if isinstance(node, ys.Sequence) else (node,):
        if isinstance(item, ys.Mapping):
            reading.only(item, {"path": True, "required": True, "format": False}, "env_file")
            path = reading.text(item.get("path"), "path of env_file")
            required = item.get("required") is None or reading.yes(item.get("required"), "required")
            if path is None:
                reading.wrong(item.mark, "env_file: path is missing")
            else:
                found.append((path, item.mark, required))
        elif item is not None:
            text = reading.text(item, "env_file")
            found += [] if text is None else [(text, item.mark, True)]
    return found


def _healthcheck(reading: Reading, table: ys.Mapping, name: str) -> Healthcheck | None:
    check = reading.mapping(table.get("healthcheck"), "healthcheck")
    if check is None:
        return None
    reading.only(check, _HEALTH_KEYS, "healthcheck")
    if check.get("start_interval") is not None:
        reading.no_effect("healthcheck.start_interval", name)
    default = Healthcheck(())
    interval = reading.duration(check.get("interval"), "interval", default.interval_s)
    timeout = reading.duration(check.get("timeout"), "timeout", default.timeout_s)
    retries = reading.whole(check.get("retries"), "retries", default.retries)
    start = reading.duration(check.get("start_period"), "start_period", 0.0)
    if reading.yes(check.get("disable"), "disable"):
        return None
    test = _health_test(reading, check)
    return None if test is None else Healthcheck(test, interval, timeout, retries, start)


def _health_test(reading: Reading, check: ys.Mapping) -> tuple[str, ...] | None:
    node = check.get("test")
    if node is None:
        reading.wrong(check.mark, "healthcheck without a test; write e.g. test: [CMD, program]")
        return None
    if not isinstance(node, ys.Sequence):
        text = reading.text(node, "test")
        return None if text is None else ("/bin/sh", "-c", text)
    words = [str(word) for word in reading.texts(node, "test")]
    kind, rest = (words[0], words[1:]) if words else ("", [])
    if kind == "NONE" and not rest:
        return None
    if kind == "CMD-SHELL" and len(rest) == 1:
        return ("/bin/sh", "-c", rest[0])
    if kind == "CMD" and rest:
        return tuple(rest)
    reading.wrong(
        node.mark, "test must be [CMD, program, ...], [CMD-SHELL, 'one line'], [NONE] or a text"
    )
    return None


def _depends_on(reading: Reading, table: ys.Mapping) -> dict[str, str]:
    node = table.get("depends_on")
    if isinstance(node, ys.Sequence):
        return dict.fromkeys(map(str, reading.texts(node, "depends_on")), "service_started")
    found: dict[str, str] = {}
    wanted = reading.mapping(node, "depends_on")
    for entry in wanted.entries if wanted else ():
        what = f"depends_on {quoted(entry.key)}"
        inner = reading.mapping(entry.value, what)
        required = inner.get("required") if inner else None
        if entry.key in reading.left_out and required and not reading.yes(required, "required"):
            continue
        found[entry.key] = "service_started"
        if inner is None:
            continue
        reading.only(inner, {"condition": True, "restart": False, "required": False}, what)
        condition = reading.text(inner.get("condition"), "condition")
        if condition is None:
            continue
        if condition not in _CONDITIONS:
            hint = did_you_mean(condition, _CONDITIONS)
            reading.wrong(inner.mark, f"{what}: unknown condition {quoted(condition)}{hint}")
        found[entry.key] = condition
    return found


def _networks(reading: Reading, table: ys.Mapping) -> dict[str, str | None]:
    node = table.get("networks")
    if isinstance(node, ys.Sequence):
        listed_names: dict[str, str | None] = {}
        for name in reading.texts(node, "networks"):
            listed_names[str(name)] = None
        return listed_names
    found: dict[str, str | None] = {}
    joined = reading.mapping(node, "networks")
    keys = {"ipv4_address": True, "aliases": True}
    others = "driver_opts gw_priority interface_name ipv6_address link_local_ips mac_address"
    keys |= dict.fromkeys([*others.split(), "priority"], False)
    for entry in joined.entries if joined else ():
        found[entry.key] = None
        inner = reading.mapping(entry.value, f"network {quoted(entry.key)}")
        if inner is None:
            continue
        reading.only(inner, keys, f"network {quoted(entry.key)}")
        address = inner.get("ipv4_address")
        text = reading.text(address, "ipv4_address")
        if text is not None and address is not None:
            found[entry.key] = _address(reading, address.mark, text)
    return found or {"default": None}


def _address(reading: Reading, mark: ys.Mark, text: str) -> str | None:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        reading.wrong(mark, f"{quoted(text)} is not an IPv4 address")
        return None
    if address not in _LAB_RANGE:
        reading.refuse(mark, f"{address} is outside {_LAB_RANGE}, the range of lab networks")
    return str(address)


def _stop_signal(reading: Reading, table: ys.Mapping) -> str:
    node = table.get("stop_signal")
    text = reading.text(node, "stop_signal")
    if text is None or node is None:
        return "SIGTERM"
    if text.isascii() and text.isdigit() and len(text) < 4:
        known = {s.value: s.name for s in signal.Signals}
        name = known.get(int(text), text)
    else:
        name = text if text.startswith("SIG") else f"SIG{text}"
    if name not in signal.Signals.__members__:
        some = listed(["SIGTERM", "SIGINT", "SIGQUIT"])
        reading.wrong(node.mark, f"unknown signal {quoted(text)}; write e.g. {some}")
        return "SIGTERM"
    return name
