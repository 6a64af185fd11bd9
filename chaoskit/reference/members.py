"""Who belongs to a group of nodes in which every node knows every other; by environment.

``CHAOSKIT_MEMBERS`` lists all of them, the node itself included, the same on each:
``node-a=http://node-a:8080 node-b=http://node-b:8080``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chaoskit.reference.settings import BadSettings, Endpoint, Reader, Settings

__all__ = ["PARTS_MAX", "Membership"]

PARTS_MAX = 1000
"""Shards at most: each costs a few bytes in every heartbeat."""


@dataclass(frozen=True)
class Membership:
    """What one node of a group was told."""

    settings: Settings
    members: dict[str, Endpoint]  # in the order of the list; with the node itself
    shards: int

    @property
    def peers(self) -> tuple[str, ...]:
        """Everybody else."""
        return tuple(name for name in self.members if name != self.settings.node)

    @staticmethod
    def of(environment: Mapping[str, str]) -> Membership:
        """Raises ``BadSettings``: one sentence."""
        env = Reader(environment)
        settings = Settings(
            node=env.name("CHAOSKIT_NODE"),
            bind=env.text("CHAOSKIT_BIND", "0.0.0.0"),  # noqa: S104 - a service of a lab
            port=env.port("CHAOSKIT_PORT"),
            timing=env.timing(),
            defect=env.defect(),
        )
        members = _members(env)
        if settings.node not in members:
            raise BadSettings(
                f"CHAOSKIT_MEMBERS does not name CHAOSKIT_NODE={settings.node!r}; "
                "it lists every node, this one too"
            )
        shards = env.text("CHAOSKIT_SHARDS", "1")
        if not shards.isdigit() or not 1 <= int(shards) <= PARTS_MAX:
            raise BadSettings(f"CHAOSKIT_SHARDS={shards!r} must be a whole number from 1 to 1000")
        return Membership(settings, members, int(shards))


def _members(env: Reader) -> dict[str, Endpoint]:
    found: dict[str, Endpoint] = {}
    for word in env.text("CHAOSKIT_MEMBERS").replace(",", " ").split():
        name, equals, _ = word.partition("=")
        if not equals or name in found:
            raise BadSettings(
                f"CHAOSKIT_MEMBERS: {word!r} is not one of name=http://name:8080, each name once"
            )
        one = {"CHAOSKIT_NODE": name, f"CHAOSKIT_MEMBERS: {name}": word[len(name) + 1 :]}
        Reader(one).name("CHAOSKIT_NODE")
        found[name] = Reader(one).endpoint(f"CHAOSKIT_MEMBERS: {name}")
    if len(found) < 2 or len(found) > 15:
        raise BadSettings(f"CHAOSKIT_MEMBERS names {len(found)} nodes; a group has 2 to 15")
    return found
