"""By which names a service is known beside its own: ``hostname``, ``container_name``, ``aliases``.

They go into files that programs read line by line, so only what can be a name is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from chaoskit import yaml_source as ys
from chaoskit.stack.model import Service
from chaoskit.stack.reading import Reading
from chaoskit.wording import quoted

__all__ = ["NAME", "check_names", "read_aliases", "read_hostname"]

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}")
_TAKEN = ("localhost", "client", "observer")


def read_hostname(reading: Reading, table: ys.Mapping) -> str | None:
    """What the service is told that its machine is called; None: its own name."""
    return _name(reading, table.get("hostname"), "hostname")


def read_aliases(
    reading: Reading, table: ys.Mapping, networks: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """Network → more names there. A ``container_name`` is known on every network."""
    container = _name(reading, table.get("container_name"), "container_name")
    everywhere = [container] if container else []
    places = table.get("networks")
    found: dict[str, tuple[str, ...]] = {}
    for network in networks or ("default",):
        place = places.get(network) if isinstance(places, ys.Mapping) else None
        given = place.get("aliases") if isinstance(place, ys.Mapping) else None
        items = given.items if isinstance(given, ys.Sequence) else () if given is None else (given,)
        read = [_name(reading, item, "aliases") for item in items]
        names = [*everywhere, *(name for name in read if name)]
        if names:
            found[network] = tuple(dict.fromkeys(names))
    return found


def _name(reading: Reading, node: ys.Node | None, what: str) -> str | None:
    text = reading.text(node, what)
    if text is None or node is None:
        return None
    if not NAME.fullmatch(text) or text in _TAKEN:
        reading.wrong(
            node.mark,
            f"{what}: {quoted(text)} cannot name a service; use letters, digits and .-_, and "
            "neither localhost, client nor observer",
        )
        return None
    return text


def check_names(
    reading: Reading, services: Mapping[str, Service], marks: Mapping[str, ys.Mapping]
) -> None:
    """A name that means several services: Docker gives one after the other, a file only one."""
    owner: dict[str, str] = {name: name for name in services}
    for service in services.values():
        for alias in service.aliases_everywhere():
            other = owner.setdefault(alias, service.name)
            if other != service.name:
                reading.refuse(
                    marks[service.name].mark,
                    f"the name {quoted(alias)} means {other} and {service.name}, and in the "
                    "sandbox lab a name means one service",
                )
