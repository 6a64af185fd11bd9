"""pydantic's findings → sentences for people, each at its place in the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from chaoskit import yaml_source as ys
from chaoskit.errors import Problem
from chaoskit.wording import did_you_mean, plain, quoted

__all__ = ["explain", "keys_of", "place_of"]


def explain(
    error: ValidationError,
    model: type[BaseModel],
    node: ys.Node,
    *,
    more_keys: Sequence[str] = (),
    what: str = "",
) -> list[Problem]:
    """Every finding of ``error`` as a problem at its place inside ``node``.

    ``more_keys`` may stand beside the model's own at the top; ``what`` says whose keys they are.
    """
    found = []
    for details in _told_once(error.errors(include_url=False), node):
        detail = details[0]
        loc = detail["loc"] if detail["type"] in _KEYS else _inside(node, detail["loc"])
        mark = place_of(node, loc, key=detail["type"] == "extra_forbidden")
        if detail["type"] == "extra_forbidden":
            owner = _model_at(model, loc[:-1])
            known = [*keys_of(owner)] if owner else []
            known += more_keys if len(loc) == 1 else ()
            whose = what if len(loc) == 1 else f" in {_name(loc[:-1])}"
            sentence = f"unknown key {quoted(loc[-1])}{whose}{did_you_mean(str(loc[-1]), known)}"
        elif detail["type"] == "missing":
            sentence = _missing(model, loc)
        else:
            said = _or_else([_sentence(one) for one in details])
            sentence = f"{_name(loc)}: {said}" if _name(loc) else said
            if not loc:  # a check of the whole that names the key it is about
                mark = place_of(node, (sentence.partition(": ")[0],))
        found.append(mark.problem(plain(sentence)))
    return found


_KEYS = ("missing", "extra_forbidden")
"""Findings about a key, not about the value at it."""


def _told_once(details: Sequence[ErrorDetails], node: ys.Node) -> list[list[ErrorDetails]]:
    """The findings of each place together: of a value that may be one of several kinds, all.

    A list is not called too short where one of its entries is called wrong.
    """
    places: dict[tuple[object, ...], list[ErrorDetails]] = {}
    for detail in details:
        loc = detail["loc"]
        inner = any(d is not detail and d["loc"][: len(loc)] == loc for d in details)
        if detail["type"] == "too_short" and inner:
            continue
        place = loc if detail["type"] in _KEYS else ("", *_inside(node, loc))
        places.setdefault(place, []).append(detail)
    return list(places.values())


def _inside(node: ys.Node, loc: Sequence[int | str]) -> tuple[int | str, ...]:
    """``loc`` as far as the file has it: what pydantic adds are kinds of values, not places.

    The first part stays: it is a key that the file may do without.
    """
    here = node
    for depth, part in enumerate(loc):
        if isinstance(here, ys.Mapping) and (entry := here.entry(str(part))) is not None:
            here = entry.value
        elif isinstance(here, ys.Sequence) and isinstance(part, int) and part < len(here.items):
            here = here.items[part]
        else:
            return tuple(loc[: depth or 1])
    return tuple(loc)


def _or_else(said: Sequence[str]) -> str:
    """``must be a whole number, or 'endpoint' or 'nowhere', not 'x'``."""
    if not all(one.startswith("must be ") for one in said):
        return said[-1]
    *first, last = (one.removeprefix("must be ") for one in said)
    return "must be " + ", or ".join([*(one.split(", not ")[0] for one in first), last])


def keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The keys as a file writes them."""
    return tuple(info.alias or name for name, info in model.model_fields.items())


def place_of(node: ys.Node, loc: Sequence[int | str], *, key: bool = False) -> ys.Mark:
    """The deepest place of ``loc`` that the file has; with ``key``, of the last key itself."""
    mark = node.mark
    for part in loc:
        if isinstance(node, ys.Mapping):
            entry = node.entry(str(part))
            if entry is None:
                break
            mark, node = (entry.mark if key else entry.value.mark), entry.value
        elif isinstance(node, ys.Sequence) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            mark = node.mark
        else:
            break
    return mark


def _name(loc: Sequence[int | str]) -> str:
    """``load.rate``, ``steps``: without what pydantic adds about its own functions."""
    return ".".join(str(part) for part in loc if not re.search(r"[\[\]() ]", str(part)))


def _model_at(model: type[BaseModel], loc: Sequence[int | str]) -> type[BaseModel] | None:
    """The model whose keys stand at ``loc``."""
    owner: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, int):
            continue
        fields = owner.model_fields if owner else {}
        info = next((i for n, i in fields.items() if part in (n, i.alias)), None)
        owner = _first_model(info.annotation) if info else None
    return owner


def _first_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for a in get_args(annotation) if (m := _first_model(a))), None)


def _missing(model: type[BaseModel], loc: Sequence[int | str]) -> str:
    owner = _model_at(model, loc[:-1])
    fields = owner.model_fields if owner else {}
    info = next((i for n, i in fields.items() if loc[-1] in (n, i.alias)), None)
    described = f": {info.description}" if info and info.description else ""
    where = f" in {_name(loc[:-1])}" if _name(loc[:-1]) else ""
    return f"{quoted(loc[-1])} is missing{where}{described}"


def _sentence(detail: ErrorDetails) -> str:
    ctx: Mapping[str, Any] = detail.get("ctx", {})
    given = detail["input"]
    make = _SENTENCES.get(detail["type"])
    if make is not None:
        return make(ctx, given)
    said = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    said = re.sub(r"^Input should", "should", said)
    return said[:1].lower() + said[1:] if said[:2] != said[:2].upper() else said


def _shown(given: object) -> str:
    if given is None:
        return "nothing"
    if isinstance(given, Mapping):
        return "a mapping"
    if isinstance(given, list | tuple):
        return "a list"
    return quoted(str(given).lower() if isinstance(given, bool) else given)


def _text(_ctx: Mapping[str, Any], given: object) -> str:
    number = isinstance(given, int | float) and not isinstance(given, bool)
    hint = f"; put quotes around {_shown(given)}" if number else f", not {_shown(given)}"
    return f"must be a text{hint}"


def _choice(ctx: Mapping[str, Any], given: object) -> str:
    expected = str(ctx.get("expected", ""))
    words = re.findall(r"'([^']*)'", expected)
    hint = did_you_mean(given, words) if isinstance(given, str) and words else ""
    close = hint if "did you mean" in hint else ""
    return f"must be {expected}, not {_shown(given)}{close}"


def _pattern(ctx: Mapping[str, Any], given: object) -> str:
    pattern = str(ctx.get("pattern", ""))
    if pattern.startswith("^[a-z0-9][a-z0-9-]"):
        return f"{_shown(given)} must be made of small letters, digits and dashes, at most 63"
    return f"{_shown(given)} does not have the form {pattern}"


def _whole(_ctx: Mapping[str, Any], given: object) -> str:
    return f"must be a whole number, not {_shown(given)}"


def _number(_ctx: Mapping[str, Any], given: object) -> str:
    return f"must be a number, not {_shown(given)}"


def _table(_ctx: Mapping[str, Any], given: object) -> str:
    return f"must be a mapping of keys to values, not {_shown(given)}"


def _list(_ctx: Mapping[str, Any], given: object) -> str:
    return f"must be a list, not {_shown(given)}"


def _yes(_ctx: Mapping[str, Any], given: object) -> str:
    return f"must be true or false, not {_shown(given)}"


def _limit(words: str, key: str) -> Callable[[Mapping[str, Any], object], str]:
    return lambda ctx, _given: f"must be {words} {ctx.get(key)}"


def _counted(words: str, key: str, one: str, many: str) -> Callable[..., str]:
    def say(ctx: Mapping[str, Any], _given: object) -> str:
        count = ctx.get(key)
        return f"must have {words} {count} {one if count == 1 else many}"

    return say


def _said(ctx: Mapping[str, Any], _given: object) -> str:
    return str(ctx.get("sentence") or ctx.get("error") or "is not accepted")


_SENTENCES: Mapping[str, Callable[[Mapping[str, Any], object], str]] = {
    "chaoskit": _said,
    "unit": _said,
    "value_error": _said,
    "assertion_error": _said,
    "string_type": _text,
    "path_type": _text,
    "string_sub_type": _text,
    "literal_error": _choice,
    "enum": _choice,
    "string_pattern_mismatch": _pattern,
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), _whole),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), _number),
    **dict.fromkeys(("bool_type", "bool_parsing"), _yes),
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type", "mapping_type"), _table),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), _list),
    "greater_than": _limit("more than", "gt"),
    "greater_than_equal": _limit("at least", "ge"),
    "less_than": _limit("less than", "lt"),
    "less_than_equal": _limit("at most", "le"),
    "too_short": _counted("at least", "min_length", "entry", "entries"),
    "too_long": _counted("at most", "max_length", "entry", "entries"),
    "string_too_short": _counted("at least", "min_length", "character", "characters"),
    "string_too_long": _counted("at most", "max_length", "character", "characters"),
}
