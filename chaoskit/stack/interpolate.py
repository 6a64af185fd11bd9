"""``${NAME}`` in Compose files, by Compose's rules.

Values come from the process's environment, then from ``.env`` beside the file. ``$$`` is a dollar
sign. A name that is set nowhere is empty, and said once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from chaoskit.wording import quoted

__all__ = ["InterpolationError", "expand", "parse_env_file"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")
_MAX_DEPTH = 10


class InterpolationError(ValueError):
    """``column`` counts from 0 inside the text."""

    def __init__(self, column: int, sentence: str) -> None:
        self.column = column
        super().__init__(sentence)


def expand(text: str, env: Mapping[str, str], unset: set[str], depth: int = 0) -> str:
    """``text`` with every variable replaced. Adds names that are set nowhere to ``unset``.

    Raises ``InterpolationError``.
    """
    if "$" not in text:
        return text
    if depth > _MAX_DEPTH:
        raise InterpolationError(0, f"variables nested more than {_MAX_DEPTH} deep")
    done: list[str] = []
    at = 0
    while at < len(text):
        dollar = text.find("$", at)
        if dollar < 0:
            done.append(text[at:])
            break
        done.append(text[at:dollar])
        following = text[dollar + 1 : dollar + 2]
        if following == "$":
            done.append("$")
            at = dollar + 2
        elif following == "{":
            end = _closing(text, dollar)
            done.append(_braced(text[dollar + 2 : end], dollar, env, unset, depth))
            at = end + 1
        else:
            name = _NAME.match(text, dollar + 1)
            if name is None:
                raise InterpolationError(dollar, "a lone '$'; write '$$' for a dollar sign")
            done.append(_value(name[0], env, unset))
            at = name.end()
    return "".join(done)


def _closing(text: str, dollar: int) -> int:
    """The index of the brace that closes the one after ``dollar``."""
    depth = 0
    for at in range(dollar + 1, len(text)):
        if text.startswith("${", at - 1):
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
    raise InterpolationError(dollar, "'${' without its '}'")


def _braced(inside: str, dollar: int, env: Mapping[str, str], unset: set[str], depth: int) -> str:
    name = _NAME.match(inside)
    if name is None:
        raise InterpolationError(dollar, f"{quoted(inside)} is not the name of a variable")
    if name.end() == len(inside):
        return _value(name[0], env, unset)
    operator = _OPERATOR.match(inside, name.end())
    if operator is None:
        raise InterpolationError(
            dollar,
            f"{quoted('${' + inside + '}')} is not understood; write e.g. ${{{name[0]}:-default}}",
        )
    value = env.get(name[0])
    there = value is not None and (value != "" or ":" not in operator[0])
    rest = inside[operator.end() :]
    kind = operator[0][-1]
    if kind == "?" and not there:
        why = expand(rest, env, unset, depth + 1)
        raise InterpolationError(
            dollar, f"the variable {name[0]} must be set{': ' * bool(why)}{why}"
        )
    if kind == "+":
        return expand(rest, env, unset, depth + 1) if there else ""
    return value if there and value is not None else expand(rest, env, unset, depth + 1)


def _value(name: str, env: Mapping[str, str], unset: set[str]) -> str:
    value = env.get(name)
    if value is None:
        unset.add(name)
    return value or ""


_LINE = re.compile(r"\s*(?:export\s+)?([^=\s#][^=\s]*)\s*(?:=\s*(.*))?")


def parse_env_file(
    text: str, env: Mapping[str, str], unset: set[str]
) -> tuple[dict[str, str], list[tuple[int, str]]]:
    """Variables of an env file, and what is wrong with it as (line, sentence).

    Single quotes keep a value as it is; elsewhere variables are replaced. A name without ``=``
    is taken from ``env``, if it is there.
    """
    found: dict[str, str] = {}
    wrong: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = _LINE.fullmatch(line)
        if parts is None:
            wrong.append((number, f"{quoted(line.strip())} is not NAME=value"))
            continue
        name, value = parts[1], parts[2]
        if value is None:
            if name in env:
                found[name] = env[name]
            continue
        try:
            found[name] = _unquoted(value.strip(), {**env, **found}, unset)
        except InterpolationError as error:
            wrong.append((number, f"{name}: {error}"))
    return found, wrong


def _unquoted(value: str, env: Mapping[str, str], unset: set[str]) -> str:
    quote = value[:1]
    if quote in ("'", '"'):
        end = value.find(quote, 1)
        while quote == '"' and end > 0 and value[end - 1] == "\\":
            end = value.find(quote, end + 1)
        if end < 0:
            raise InterpolationError(0, f"a quote {quote} without its partner")
        inside = value[1:end]
        if quote == "'":
            return inside
        escapes = {"\\n": "\n", "\\t": "\t", '\\"': '"', "\\\\": "\\"}
        inside = re.sub(r'\\[nt"\\]', lambda m: escapes[m[0]], inside)
        return expand(inside, env, unset)
    return expand(re.split(r"\s+#", value, maxsplit=1)[0].rstrip(), env, unset)
