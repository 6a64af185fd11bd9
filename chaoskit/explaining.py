"""What is behind a name: ``chaoskit explain``. The same for third parties' things as for ours."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from chaoskit import registry
from chaoskit import yaml_source as ys
from chaoskit.contracts import FaultModel
from chaoskit.errors import BadInput, Problem
from chaoskit.experiment.catalogue import METRICS
from chaoskit.experiment.steps import fault_class, read_step
from chaoskit.planning import did_and_undone
from chaoskit.wording import did_you_mean, quoted

__all__ = ["Explained", "Key", "explained", "in_short"]

_KINDS = ("faults", "loads", "probes", "labs", "metrics")


@dataclass(frozen=True)
class Key:
    """One key that a file may set."""

    name: str
    required: bool
    default: str
    description: str
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Explained:
    """Everything known of a name."""

    name: str
    kind: str  # fault, load, probe, lab or metric
    origin: str  # the distribution it comes from
    what: str
    undo: str = ""
    needs: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    example: str = ""
    more: str = ""

    def as_json(self) -> dict[str, object]:
        """Plain data."""
        return {"schema_version": 1, **asdict(self)}

    def __str__(self) -> str:
        rows = [f"{self.name}: a {self.kind} of {self.origin}", f"  {self.what}"]
        if self.kind == "fault":
            rows.append(f"  undo    {self.undo}")
            rows.append(f"  needs   {', '.join(self.needs) or 'nothing'} (chaoskit doctor)")
            rows.append("  keys    " + ("" if self.keys else "none of its own"))
        for key in self.keys:
            default = "required" if key.required else f"default {key.default}"
            rows.append(f"    {key.name} ({default}): {key.description}")
            if key.examples:
                rows.append(f"      e.g. {', '.join(key.examples)}")
        if self.example:
            rows.append(f"  example {self.example}")
        if self.more:
            rows += ["", *(f"  {line}".rstrip() for line in self.more.splitlines())]
        return "\n".join(rows)


def explained(name: str) -> Explained:
    """What ``name`` is; ``kind:name`` where a name means several. Raises ``BadInput``, ``Refused``.

    Only a fault is imported; of everything else the source is read, not run.
    """
    wanted, colon, bare = name.rpartition(":")
    places = [kind for kind in _KINDS if not colon or kind in (wanted, f"{wanted}s")]
    found = [kind for kind in places if bare in registry.names(f"chaoskit.{kind}")]
    if bare in METRICS and "metrics" in places:
        found.append("metrics")
    if not found:
        known = [n for kind in _KINDS for n in registry.names(f"chaoskit.{kind}")] + list(METRICS)
        meant = did_you_mean(bare, known, show=0)
        raise BadInput(
            f"nothing that is installed is called {quoted(name)}"
            f"{meant or '; see chaoskit list faults, loads, probes or labs'}"
        )
    if len(found) > 1:
        ways = " or ".join(f"chaoskit explain {kind.removesuffix('s')}:{bare}" for kind in found)
        raise BadInput(f"{quoted(bare)} is the name of several things: {ways}")
    known_as = {"faults": _fault, "metrics": _metric}
    return known_as[found[0]](bare) if found[0] in known_as else _other(found[0], bare)


def in_short(kind: str, name: str) -> str:
    """What something of our own is, in a sentence, read from its source; of others' nothing.

    To find their source would import the packages around it.
    """
    entry = next(e for e in entry_points(group=f"chaoskit.{kind}") if e.name == name)
    module, _, attribute = entry.value.partition(":")
    if module.partition(".")[0] != __name__.partition(".")[0]:
        return ""
    return " ".join(_read_docs(module, attribute).partition("\n\n")[0].split())


def _metric(name: str) -> Explained:
    facts = METRICS[name]
    form = f"{name} == 0" if facts.kinds == {"count"} else f"{name} < 5s"
    if "ratio" in facts.kinds:
        form = f"{name} < 2%"
    if facts.over == "requests":
        form = f"{name}.p99@recovered < 250ms"
    return Explained(
        name,
        "metric",
        "chaoskit",
        facts.summary,
        example=f"thresholds: [{form}]",
        more="docs/reading-a-report.md says how it is measured.",
    )


def _fault(name: str) -> Explained:
    cls = fault_class(name)
    action, undo = did_and_undone(cls)
    keys = tuple(_keys(cls))
    more = _module_doc(cls)
    return Explained(
        name=name,
        kind="fault",
        origin=registry.names("chaoskit.faults")[name],
        what=action,
        undo=undo,
        needs=tuple(sorted(cls.needs)),
        keys=keys,
        example=_example(name, cls, keys),
        more=more,
    )


def _keys(cls: type[FaultModel]) -> list[Key]:
    required = {n for n, info in cls.model_fields.items() if info.is_required()}
    written: Mapping[str, Any] = cls.model_construct().model_dump(
        mode="json", by_alias=True, warnings=False, exclude=required
    )
    found = []
    for name, info in cls.model_fields.items():
        key = info.alias or name
        default = (
            "" if info.default is PydanticUndefined and key not in written else written.get(key)
        )
        found.append(
            Key(
                name=key,
                required=name in required,
                default=_said(default),
                description=info.description or "",
                examples=tuple(_said(example) for example in info.examples or ()),
            )
        )
    return found


def _said(value: object) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_said, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_said(inner)}" for key, inner in value.items()) + "}"
    if value is None or value == "":
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _example(name: str, cls: type[FaultModel], keys: tuple[Key, ...]) -> str:
    """A step with what it must have, and a key more only where its own checks ask for one."""
    target = "link:replication" if cls.strikes == "link" else "primary"
    parts = ["at: 4s", f"fault: {name}", *([f"target: {target}"] if cls.needs else []), "for: 3s"]
    must = [key for key in keys if key.required]
    may = [key for key in keys if not key.required and key.examples]
    parts += [f"{key.name}: {_written(key.examples[0])}" for key in must if key.examples]
    for more in ([], *([key] for key in may), may):
        given = [*parts, *(f"{key.name}: {_written(key.examples[0])}" for key in more)]
        if _is_step("{" + ", ".join(given) + "}"):
            return "{" + ", ".join(given) + "}"
    return "{" + ", ".join(parts) + "}"


def _is_step(text: str) -> bool:
    problems: list[Problem] = []
    read_step(ys.parse_yaml(text, "", problems), problems)
    return not problems


def _written(example: str) -> str:
    """In quotes where YAML would take it for something else."""
    plain = re.fullmatch(r"[\w*][\w .,/%*:-]*", example) and ": " not in example
    return example if plain or example.startswith(("[", "{")) else json.dumps(example)


def _module_doc(cls: type) -> str:
    """What the fault's file says at its top, or else the class itself."""
    import inspect

    module = inspect.getmodule(cls)
    return inspect.cleandoc((module.__doc__ if module else None) or cls.__doc__ or "")


def _other(kind: str, name: str) -> Explained:
    entry = next(e for e in entry_points(group=f"chaoskit.{kind}") if e.name == name)
    module, _, attribute = entry.value.partition(":")
    document = _read_docs(module, attribute)
    first, _, rest = document.partition("\n\n")
    single = kind.removesuffix("s")
    examples = {"load": f"load: {{user: {name}}}", "lab": f"chaoskit run FILE --lab {name}"}
    return Explained(
        name=name,
        kind=single,
        origin=registry.names(f"chaoskit.{kind}")[name],
        what=" ".join(first.split()) or f"see {entry.value}",
        example=examples.get(single, ""),
        more=rest,
    )


def _read_docs(module: str, attribute: str) -> str:
    """Docstrings of a module and of a class in it, from the source, which is not run."""
    try:
        spec = importlib.util.find_spec(module)
        source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
        tree = ast.parse(source)
    except (ImportError, OSError, SyntaxError, ValueError):
        return ""
    top = ast.get_docstring(tree) or ""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == attribute:
            own = ast.get_docstring(node) or ""
            return f"{own}\n\n{top}" if own else top
    return top
