"""A toxic as JSON, on its way to the child beside the server and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaoskit.toxics import Toxic

__all__ = ["toxic_data", "toxic_of"]


def toxic_data(toxic: Toxic) -> dict[str, object]:
    """A toxic as JSON."""
    return {
        "type": toxic.type,
        "stream": toxic.stream,
        "toxicity": toxic.toxicity,
        "attributes": dict(toxic.attributes),
    }


def toxic_of(data: Mapping[str, Any]) -> Toxic:
    """The toxic that ``toxic_data`` wrote."""
    return Toxic(data["type"], data["stream"], data["toxicity"], data["attributes"])
