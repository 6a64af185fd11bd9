"""The first line that each of our child processes inside the lab is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from chaoskit.clock import NS
from chaoskit.contracts import CLIENT, Lab
from chaoskit.errors import Refused
from chaoskit.experiment.catalogue import PINNED
from chaoskit.experiment.model import Experiment
from chaoskit.stack.labels import (
    clients,
    endpoint,
    events_probe,
    health_probe,
    holds_data,
    role_probe,
    role_words,
    shard_count,
)
from chaoskit.stack.model import Service, Stack
from chaoskit.stack.sharing import is_spread, shards

__all__ = [
    "LOAD_CHILD",
    "PROBE_CHILD",
    "is_probed",
    "load_config",
    "pinned_rate",
    "probe_config",
    "streams",
]

LOAD_CHILD = ("python", "-m", "chaoskit.load.child")
PROBE_CHILD = ("python", "-m", "chaoskit.probes.child")

_PROBE_TIMEOUT_S = 0.2
_PINNED_AT_LEAST = 20.0
_PINNED_SHARE = 0.1


def streams(experiment: Experiment, stack: Stack) -> list[dict[str, object]]:
    """The combs: one per operation and way to connect, and of each node pinned ones.

    A pinned writer shows who acknowledges; where one node at a time is meant to serve and clients
    read, a pinned reader shows who still answers. A stream with rate 0 is left out.
    """
    load = experiment.load
    rates = {"write": load.rate, "read": load.read_rate()}
    found: list[dict[str, object]] = []
    for connections, share in (("kept", 1.0), ("new", load.new_connections)):
        for op, rate in rates.items():
            if rate * share <= 0:
                continue
            name = op if connections == "kept" else f"{op}/new"
            found.append(_stream(experiment, name, op, rate * share, connections))
    rate = pinned_rate(experiment)
    for service in stack.services.values() if rate > 0 else ():
        if holds_data(service) and endpoint(service):
            for prefix, op in _pinned_ops(experiment, stack):
                one = _stream(experiment, f"{prefix}:{service.name}", op, rate, "kept")
                found.append({**one, "pinned": service.name})
    return found


def _pinned_ops(experiment: Experiment, stack: Stack) -> tuple[tuple[str, str], ...]:
    """Prefix of the name, and operation, of each node's pinned streams."""
    asked = any(t.metric == "stale_leader_reads" for t in experiment.thresholds)
    one_serves = not (is_spread(stack) or shards(stack))
    if one_serves and (asked or experiment.load.read_rate() > 0):
        return ("pinned", "write"), ("pinned-read", "read")
    return (("pinned", "write"),)


def pinned_rate(experiment: Experiment) -> float:
    """Writes, and reads, a second to each data node itself, as the experiment says or needs."""
    load = experiment.load
    if load.pinned is not None:
        return load.pinned
    wanted = any(t.metric in PINNED for t in experiment.thresholds)
    return max(_PINNED_AT_LEAST, load.rate * _PINNED_SHARE) if wanted else 0.0


def _stream(
    experiment: Experiment, name: str, op: str, rate: float, connections: str
) -> dict[str, object]:
    load = experiment.load
    return {
        "name": name,
        "op": op,
        "rate": rate,
        "connections": connections,
        "deadline_ns": int(load.deadline_s * NS),
        "timeout_ns": int(load.timeout_s * NS),
    }


def load_config(
    experiment: Experiment, stack: Stack, lab: Lab, folder: Path, n: int, seed: int
) -> dict[str, object]:
    """What the load child is told: where to ask, how often, and where to write."""
    fronts = [s for s in stack.services.values() if endpoint(s) and s.role() == "frontdoor"]
    asked = fronts or [s for s in stack.services.values() if endpoint(s)]
    if not asked:
        raise Refused(
            f"{stack.file}: no service has the label chaoskit.endpoint, so the load would not "
            "know whom to ask"
        )
    owed = [s for s in stack.services.values() if holds_data(s) and endpoint(s)]
    (folder / "final").mkdir(parents=True, exist_ok=True)
    return {
        "user": experiment.load.user,
        "options": dict(experiment.load.options),
        "endpoints": [_place(service, stack, lab) for service in asked],
        "nodes": [_place(service, stack, lab) for service in owed],
        "streams": streams(experiment, stack),
        "requests": lab.inside(str(folder / "requests.raw")),
        "strings": lab.inside(str(folder / "strings.json")),
        "final": lab.inside(str(folder / "final")),
        "trial": n,
        "seed": seed,
        "client": CLIENT,
        "clients": experiment.load.clients,
        "spread": is_spread(stack),
        "shards": shards(stack),
    }


def _place(service: Service, stack: Stack, lab: Lab) -> dict[str, object]:
    url, node = endpoint(service), lab.node(service.name)
    assert url is not None  # noqa: S101 - only asked of services that have one
    moves = bool(url.host) and url.host not in node.all_addresses()
    return {
        "node": service.name,
        "url": url.at(node.address),
        "frontdoor": moves or not _answers_itself(service, stack),
        "addresses": [*node.all_addresses(), service.name, *node.aliases],
    }


def _answers_itself(service: Service, stack: Stack) -> bool:
    """Whether what comes from there is the service's own answer, and not that of one behind it.

    So it is of whoever holds the data, or shares it out; and of everybody where nobody does.
    """
    if service.role() == "frontdoor":
        return False
    serves = service.role() in ("primary", "backup") or holds_data(service)
    if serves or role_probe(service) is not None or clients(service) or shard_count(service):
        return True
    return not any(holds_data(other) for other in stack.services.values())


def is_probed(stack: Stack) -> bool:
    """Whether there is anything for the probe child to do."""
    probes = (role_probe, health_probe, events_probe)
    return any(probe(s) is not None for s in stack.services.values() for probe in probes)


def probe_config(
    stack: Stack, lab: Lab, every_s: float, out: str, told: str
) -> Mapping[str, object]:
    """What the probe child is told.

    Observations go to ``out``, what nodes tell of themselves to ``told``.
    """
    probes: list[dict[str, object]] = []
    tellers: list[dict[str, object]] = []
    for service in stack.services.values():
        address = lab.node(service.name).address
        for question, url in (("role", role_probe(service)), ("health", health_probe(service))):
            if url is not None:
                probes.append(
                    {
                        "node": service.name,
                        "question": question,
                        "url": url.at(address),
                        "words": dict(role_words(service)),
                    }
                )
        events = events_probe(service)
        if events is not None:
            tellers.append({"node": service.name, "url": events.at(address)})
    timeout_ns = int(_PROBE_TIMEOUT_S * NS)
    every_ns = int(every_s * NS)
    found = {"every_ns": every_ns, "timeout_ns": timeout_ns, "probes": probes, "out": out}
    return {**found, "tellers": tellers, "told": told}
