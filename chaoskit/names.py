"""``Names``: a field of a model that takes one name, or a list of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from chaoskit.wording import quoted

__all__ = ["Names"]


def _one_or_many(value: object) -> object:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple):
        return value
    given = "a mapping" if isinstance(value, dict) else quoted(str(value))
    sentence = f"must be a name or a list of names, not {given}"
    raise PydanticCustomError("chaoskit", "{sentence}", {"sentence": sentence})


Names = Annotated[tuple[str, ...], BeforeValidator(_one_or_many)]
