"""The grammar of ``when``: what a step waits for instead of a time.

::

    when  := "role" WORD "->" WORD ["of" SERVICE]      role backup -> primary
           | "first bad request"                       the first since the step waits
           | "served again"                            the first good one after a bad one
           | "step" N ("injected" | "bitten" | "healed")   N counts from 1, in the file's order
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from chaoskit.wording import quoted

__all__ = ["ANY_ROLE", "NO_ROLE", "TRIGGER_PATTERN", "Trigger", "When", "parse_trigger"]

ANY_ROLE = "any"
"""As a role of a trigger: whatever it is."""
NO_ROLE = "none"
"""As a role of a trigger: the node does not answer."""
TRIGGER_PATTERN = (
    r"^\s*(role\s+[a-z][a-z0-9_-]*\s*->\s*[a-z][a-z0-9_-]*(\s+of\s+\S+)?"
    r"|first bad request|served again|step\s+[0-9]{1,3}\s+(injected|bitten|healed))\s*$"
)
_ROLE = re.compile(
    r"role\s+([a-z][a-z0-9_-]*)\s*->\s*([a-z][a-z0-9_-]*)(?:\s+of\s+([A-Za-z0-9._-]+))?"
)
_STEP = re.compile(r"step\s+([0-9]{1,3})\s+(injected|bitten|healed)")
_EXAMPLES = "'role backup -> primary', 'first bad request', 'served again' or 'step 1 healed'"


@dataclass(frozen=True)
class Trigger:
    """What has to happen. ``text`` is canonical: parsing it gives the same trigger again."""

    text: str
    kind: Literal["role", "bad", "served", "step"]
    before: str = ""  # role: which one was left
    after: str = ""  # role: which one was taken
    node: str = ""  # role: of this service only; empty: of any
    step: int = -1  # step: which one, from 0
    event: str = ""  # step: injected, bitten or healed

    def __str__(self) -> str:
        return self.text

    def at_step(self, index: int) -> Trigger:
        """The same, about another step."""
        return Trigger(f"step {index + 1} {self.event}", "step", step=index, event=self.event)


def parse_trigger(value: object) -> Trigger:
    """Read one trigger. Raises ``ValueError`` with a sentence."""
    if isinstance(value, Trigger):
        return value
    if not isinstance(value, str) or len(value) > 200:
        raise ValueError(f"a trigger is a text: {_EXAMPLES}")
    text = " ".join(value.split())
    if text == "first bad request":
        return Trigger(text, "bad")
    if text == "served again":
        return Trigger(text, "served")
    if found := _ROLE.fullmatch(text):
        before, after, node = found[1], found[2], found[3] or ""
        if before == after:
            raise ValueError(f"{quoted(text)} is no change; write e.g. role backup -> primary")
        canonical = f"role {before} -> {after}" + (f" of {node}" if node else "")
        return Trigger(canonical, "role", before=before, after=after, node=node)
    if found := _STEP.fullmatch(text):
        number = int(found[1])
        if number < 1:
            raise ValueError("steps are counted from 1")
        return Trigger("", "step", event=found[2]).at_step(number - 1)
    raise ValueError(f"{quoted(text)} is no trigger; write {_EXAMPLES}")


def _validate(value: object) -> Trigger:
    try:
        return parse_trigger(value)
    except ValueError as error:
        raise PydanticCustomError("chaoskit", "{sentence}", {"sentence": str(error)}) from None


When = Annotated[
    Trigger,
    BeforeValidator(_validate),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": TRIGGER_PATTERN,
            "examples": ["role backup -> primary", "first bad request", "step 1 healed"],
        }
    ),
]
"""A trigger in a model: written as text, held as ``Trigger``."""
