"""What a node of a mesh wants done: the state machines return these and do nothing themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from chaoskit.reference.messages import Answer, Note

__all__ = ["Answer", "Do", "Note", "Reply", "Tell"]


@dataclass(frozen=True)
class Tell:
    """Send a message to the node of that name; whether it arrives is not known."""

    to: str
    message: object


@dataclass(frozen=True)
class Reply:
    """Answer the message that was just handled."""

    message: object


Do: TypeAlias = Tell | Reply | Answer | Note
