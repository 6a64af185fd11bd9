"""From what a step names to the nodes it means, at the moment of injection."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence

from chaoskit.contracts import CLIENT, OBSERVER, Lab, Node
from chaoskit.errors import NotInjected
from chaoskit.experiment.targets import group_size

__all__ = ["LINK_WORD", "ROLE_WORDS", "links_of", "select"]

LINK_WORD = "link:"
"""How a target names a link that the stack declares; it comes to the node of its proxy."""

ROLE_WORDS = ("primary", "backup", "witness", "frontdoor")


def select(
    words: Sequence[str],
    lab: Lab,
    roles: Mapping[str, str | None],
    rng: random.Random,
    *,
    max_targets: int | None = None,
    gone: Collection[str] = (),
) -> tuple[Node, ...]:
    """The nodes that ``words`` mean now, in the stack's order and without repeats.

    ``roles`` is each service's role as last observed, its label where it is not probed. ``gone``
    are services that have ended by themselves, such as a job that is done: no word for several
    nodes means them. Raises ``NotInjected`` where a word matches nothing, or all together match
    more than ``max_targets``.
    """
    chosen: dict[str, Node] = {}
    for word in words:
        found = _one(word, lab, roles, rng, gone)
        if not found:
            known = ", ".join(f"{name} is {role or 'unknown'}" for name, role in roles.items())
            ended = f"; {', '.join(sorted(gone))} ended by itself" if gone else ""
            raise NotInjected(f"nothing matches the target '{word}' now ({known}{ended})")
        chosen.update({node.name: node for node in found})
    if max_targets is not None and len(chosen) > max_targets:
        raise NotInjected(
            f"{', '.join(words)} matches {len(chosen)} nodes ({', '.join(chosen)}), "
            f"more than max_targets {max_targets}"
        )
    return tuple(chosen.values())


def links_of(words: Sequence[str]) -> tuple[str, ...]:
    """The names of the links among the words of a target."""
    return tuple(w.removeprefix(LINK_WORD) for w in words if w.startswith(LINK_WORD))


def _one(  # noqa: PLR0911 - one return for each kind of word
    word: str, lab: Lab, roles: Mapping[str, str | None], rng: random.Random, gone: Collection[str]
) -> tuple[Node, ...]:
    nodes = lab.nodes()
    there = tuple(n for n in nodes if n.name not in gone)
    if word.startswith(LINK_WORD):
        label = f"chaoskit.link.{word.removeprefix(LINK_WORD)}"
        return tuple(n for n in nodes if label in n.labels)
    if word.startswith("service:"):
        return tuple(n for n in nodes if n.name == word.removeprefix("service:"))
    if word.startswith("not "):
        unwanted = {n.name for n in _one(word.removeprefix("not ").strip(), lab, roles, rng, gone)}
        return tuple(n for n in there if n.name not in unwanted)
    if word in (CLIENT, OBSERVER):
        return (lab.node(word),)
    if word == "all":
        return there
    if word in ("any", "minority", "majority"):
        return _drawn(word, nodes, gone, rng)
    if word in ROLE_WORDS:
        return tuple(n for n in nodes if roles.get(n.name) == word)
    return tuple(n for n in nodes if n.name == word)


def _drawn(
    word: str, nodes: tuple[Node, ...], gone: Collection[str], rng: random.Random
) -> tuple[Node, ...]:
    """As many as the word means, in the stack's order; which of them is for the seed to say.

    A minority is one of all that there are; those that are drawn are among those that run.
    """
    passing_on = ("frontdoor", "client")
    several = word != "any"
    able = [n for n in nodes if not several or n.labels.get("chaoskit.role") not in passing_on]
    there = [n for n in able if n.name not in gone]
    size = min(group_size(word, len(able)), len(there))
    drawn = {node.name for node in rng.sample(there, size)}
    return tuple(node for node in nodes if node.name in drawn)
