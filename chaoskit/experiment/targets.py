"""The words that a step's ``target`` may use, checked against a stack before anything starts."""

from __future__ import annotations

from collections.abc import Sequence

from chaoskit.contracts import CLIENT, OBSERVER
from chaoskit.errors import BadInput
from chaoskit.stack.labels import role_probe, role_words
from chaoskit.stack.model import Stack
from chaoskit.wording import did_you_mean, listed, quoted

__all__ = [
    "GROUPS",
    "ROLE_WORDS",
    "group_size",
    "least",
    "members",
    "roles_of",
    "wrong_kind",
    "wrong_word",
]

ROLE_WORDS = ("primary", "backup", "witness", "frontdoor")
_LAB = (CLIENT, OBSERVER)
GROUPS = ("any", "all", "minority", "majority")
"""Words for nobody in particular: how many there are is known, who they are is not."""


def wrong_word(word: str, stack: Stack) -> str | None:  # noqa: PLR0911 - one answer per form
    """Why nothing of the stack can ever match ``word``; None if something can."""
    if word.startswith("not "):
        inner = word.removeprefix("not ").strip()
        if inner in GROUPS or inner.startswith("not "):
            return f"{quoted(word)} is nobody in particular; write e.g. not primary"
        return wrong_word(inner, stack)
    if word.startswith("link:"):
        return _no_link(word.removeprefix("link:"), stack)
    if word.startswith("service:"):
        name = word.removeprefix("service:")
        if name in stack.services:
            return None
        return f"no service {quoted(name)} in the stack{did_you_mean(name, stack.services)}"
    if word == "minority" and group_size(word, len(members(stack))) == 0:
        return f"{len(members(stack))} nodes have no minority; name the one that is meant"
    if word in _LAB or word in GROUPS or word in stack.services:
        return None
    if word in ROLE_WORDS:
        return None if word in roles_of(stack) else _no_role(word, stack)
    known = [*stack.services, *ROLE_WORDS, *_LAB, *GROUPS]
    return f"nothing in the stack is called {quoted(word)}{did_you_mean(word, known)}"


def wrong_kind(word: str, strikes: str, kind: str) -> str | None:
    """Why a fault cannot strike what ``word`` names: a link, or a node; None if it can."""
    is_link = word.startswith("link:")
    if is_link and strikes != "link":
        return f"{kind} strikes nodes, and {quoted(word)} is a link"
    if not is_link and strikes == "link":
        return f"{kind} strikes a link, e.g. link:{word if word.isidentifier() else 'replication'}"
    return None


def _no_link(name: str, stack: Stack) -> str | None:
    label = "chaoskit.link."
    known = [
        key.removeprefix(label)
        for service in stack.services.values()
        for key in service.labels
        if key.startswith(label)
    ]
    if name in known:
        return None
    if not known:
        return f"the stack declares no link (label {label}<name>, on a Toxiproxy)"
    return f"the stack declares no link {quoted(name)}{did_you_mean(name, known)}"


def group_size(word: str, count: int) -> int:
    """How many of ``count`` nodes a word of ``GROUPS`` means.

    A minority is as many as can be fewer than half, a majority the fewest that are more than half.
    """
    return {"any": 1, "all": count, "minority": (count - 1) // 2, "majority": count // 2 + 1}[word]


def members(stack: Stack) -> tuple[str, ...]:
    """The services that a minority or majority is of: all that do not just pass requests on."""
    return tuple(s.name for s in stack.services.values() if s.role() not in ("frontdoor", "client"))


def least(words: Sequence[str], stack: Stack) -> int:
    """How many nodes ``words`` mean at the least, as far as that can be known before a run."""
    named: set[str] = set()
    most = 0
    for word in words:
        name = word.removeprefix("service:")
        if word in ("minority", "majority"):
            most = max(most, group_size(word, len(members(stack))))
        elif word == "all":
            named |= set(stack.services)
        elif name in stack.services or name in _LAB:
            named.add(name)
        elif word.startswith("not ") and word.removeprefix("not ").strip() in stack.services:
            named |= set(stack.services) - {word.removeprefix("not ").strip()}
        else:
            most = max(most, 1)
    return max(len(named), most)


def roles_of(stack: Stack) -> set[str]:
    """Roles that some service has by its label, or may take by what its probe answers."""
    roles: set[str] = set()
    for service in stack.services.values():
        roles.add(service.role() or "")
        try:
            if role_probe(service) is not None:
                roles |= {"primary", "backup", *role_words(service).values()}
        except BadInput:
            roles |= set(ROLE_WORDS)  # the label itself is reported; not this as well
    return roles


def _no_role(word: str, stack: Stack) -> str:
    there = sorted(roles_of(stack) & set(ROLE_WORDS))
    said = f"its roles are {listed(there, 'and')}" if there else "none declares a role"
    return f"no service of the stack can be {word}: {said} (label chaoskit.role)"
