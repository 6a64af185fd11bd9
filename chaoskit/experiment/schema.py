"""The JSON Schema of experiment files, for editors and for checks without chaoskit.

``chaoskit schema`` prints it with every fault that is installed. That of the built-in faults
ships as ``schema.json`` beside this file; ``python -m chaoskit.experiment.schema`` prints it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from pydantic import BaseModel, ValidationError

from chaoskit import registry
from chaoskit.contracts import FaultModel
from chaoskit.errors import Refused
from chaoskit.experiment.catalogue import METRICS, PHASES
from chaoskit.experiment.metastability import MetastabilitySpec, ShedSpec
from chaoskit.experiment.model import Experiment, LoadSpec, ProbeSpec, Repeat
from chaoskit.experiment.step import Again
from chaoskit.experiment.steps import fault_class

__all__ = ["BUILT_IN", "json_schema", "schema_text", "shipped_schema"]

BUILT_IN = "chaoskit"
"""The distribution whose faults the shipped schema holds."""

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_WORD = {"type": "string", "minLength": 1}
_TARGET = {"anyOf": [_WORD, {"type": "array", "items": _WORD, "minItems": 1}]}


def json_schema(*, only_from: str | None = None) -> dict[str, Any]:
    """Draft 2020-12, every key closed, ``fault`` deciding which other keys a step may have.

    Imports every installed fault, or those of the distribution ``only_from``. A plug-in that
    cannot be imported is left out: it cannot be used in an experiment either.
    """
    schema = Experiment.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = schema.pop("$defs")
    properties: dict[str, Any] = schema["properties"]
    step = definitions.pop("Step")
    for name in ("FaultModel", "Step", "Threshold"):
        definitions.pop(name, None)
    properties["stack"].pop("format", None)
    for model in (ProbeSpec, LoadSpec, MetastabilitySpec, ShedSpec, Repeat, Again):
        _say_defaults(model, definitions[model.__name__]["properties"])
    for table, name in (
        (properties, "run_for"),
        (definitions["LoadSpec"]["properties"], "timeout"),
        (definitions["Repeat"]["properties"], "trials"),
    ):
        table[name].pop("default", None)  # it depends on other keys
    variants, choices = [], []
    for name, cls in _faults(only_from).items():
        own, inner = _own(name, cls)
        definitions[f"step-{name}"] = _variant(name, cls, own, step)
        definitions[f"choice-{name}"] = _choice(name, cls, own, step)
        definitions.update(inner)
        variants.append({"$ref": f"#/$defs/step-{name}"})
        choices.append({"$ref": f"#/$defs/choice-{name}"})
    definitions["step-choose"] = _choosing(choices, step)
    variants.append({"$ref": "#/$defs/step-choose"})
    properties["steps"]["items"] = {"oneOf": variants}
    properties["thresholds"]["items"] = {"$ref": "#/$defs/threshold"}
    definitions["threshold"] = _threshold()
    _close(definitions)
    return {
        "$schema": _DRAFT,
        "title": "chaoskit experiment",
        **{key: value for key, value in schema.items() if key != "title"},
        "$defs": dict(sorted(definitions.items())),
    }


def schema_text(schema: Mapping[str, Any]) -> str:
    """As it is written to a file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def shipped_schema() -> str:
    """The file in the package: the schema of the built-in faults."""
    return (resources.files("chaoskit.experiment") / "schema.json").read_text(encoding="utf-8")


def _faults(only_from: str | None) -> dict[str, type[FaultModel]]:
    found: dict[str, type[FaultModel]] = {}
    for name, origin in registry.names("chaoskit.faults").items():
        if only_from is not None and origin != only_from:
            continue
        try:
            found[name] = fault_class(name)
        except Refused:
            continue
    return found


def _own(name: str, cls: type[FaultModel]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema of the fault's own fields, and the definitions that they refer to."""
    own = cls.model_json_schema(by_alias=True, ref_template=f"#/$defs/{name}-{{model}}")
    inner = {f"{name}-{key}": value for key, value in own.pop("$defs", {}).items()}
    _say_defaults(cls, own.get("properties", {}))
    _allow_one_word(cls, own.get("properties", {}))
    return own, inner


def _head(step: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """What every step has, of its properties those that are named."""
    head = {key: dict(step["properties"][key]) for key in keys}
    for key, schema in head.items():
        if key in ("at", "when", "for", "within", "repeat", "target"):
            schema.pop("default", None)
    if "target" in head:
        told = {key: head["target"][key] for key in ("title", "description", "examples")}
        head["target"] = {**told, **_TARGET}
    return head


def _summary(name: str, cls: type[FaultModel]) -> str:
    return cls.summary or (cls.__doc__ or name).strip().splitlines()[0]


_TIMES = ("at", "when", "after", "within", "optional", "for", "target", "repeat")
_WHEN = [{"required": ["at"]}, {"required": ["when"]}]


def _variant(
    name: str, cls: type[FaultModel], own: Mapping[str, Any], step: Mapping[str, Any]
) -> dict[str, Any]:
    """A step with this fault."""
    fault = {"const": name, "title": "Fault", "description": _summary(name, cls)}
    return {
        "title": name,
        "description": _summary(name, cls),
        "type": "object",
        "properties": {**_head(step, *_TIMES), "fault": fault, **own.get("properties", {})},
        "required": ["fault", *(["target"] if cls.needs else []), *own.get("required", [])],
        "oneOf": _WHEN,
        "additionalProperties": False,
    }


def _choice(
    name: str, cls: type[FaultModel], own: Mapping[str, Any], step: Mapping[str, Any]
) -> dict[str, Any]:
    """The fault as an entry of ``choose``: its target may stand beside ``choose`` as well."""
    fault = {"const": name, "title": "Fault", "description": _summary(name, cls)}
    return {
        "title": name,
        "description": _summary(name, cls),
        "type": "object",
        "properties": {"fault": fault, **_head(step, "target", "for"), **own.get("properties", {})},
        "required": ["fault", *own.get("required", [])],
        "additionalProperties": False,
    }


def _choosing(choices: Sequence[Mapping[str, Any]], step: Mapping[str, Any]) -> dict[str, Any]:
    """A step that leaves it to the seed which fault it is."""
    of = step["properties"]["choose"]
    told: dict[str, Any] = {key: of[key] for key in ("title", "description")}
    items = {"type": "array", "items": {"oneOf": list(choices)}, "minItems": 2, "maxItems": 50}
    told["examples"] = [[{"fault": "kill"}, {"fault": "pause"}]]
    return {
        "title": "choose",
        "description": told["description"],
        "type": "object",
        "properties": {**_head(step, *_TIMES), "choose": {**told, **items}},
        "required": ["choose"],
        "oneOf": _WHEN,
        "additionalProperties": False,
    }


def _say_defaults(model: type[BaseModel], properties: Mapping[str, Any]) -> None:
    """Defaults as a file would write them: "50ms" where the model holds 0.05."""
    written = model.model_construct().model_dump(mode="json", by_alias=True, warnings=False)
    for key, schema in properties.items():
        if "default" in schema and key in written:
            schema["default"] = written[key]


def _allow_one_word(cls: type[FaultModel], properties: dict[str, Any]) -> None:
    """Where a list of words is wanted and the fault takes one word too, the schema says so."""
    for key, schema in properties.items():
        if schema.get("type") != "array" or schema.get("items", {}).get("type") != "string":
            continue
        try:
            cls.model_validate({key: "x"})
        except ValidationError as error:
            if any(detail["loc"][:1] == (key,) for detail in error.errors()):
                continue
        items = {name: schema.pop(name) for name in ("type", "items", "minItems") if name in schema}
        schema["anyOf"] = [_WORD, items]


def _close(definitions: Mapping[str, Any]) -> None:
    """No definition of an object takes keys that it does not name, whoever wrote it."""
    for definition in definitions.values():
        if definition.get("type") == "object" and "properties" in definition:
            definition.setdefault("additionalProperties", False)


def _threshold() -> dict[str, Any]:
    bound = {"type": ["string", "integer", "number"], "examples": ["5s", "2%", 0]}
    return {
        "title": "Threshold",
        "anyOf": [
            {
                "type": "string",
                "description": "metric[.stat][@phase] op value. Metrics: " + ", ".join(METRICS),
                "pattern": r"^\s*(P\(\s*)?[A-Za-z_].*(<|<=|>|>=|==|!=)\s*\S+",
                "examples": [
                    "failover_time < 5s",
                    "dropped_requests < 2%",
                    "latency.p99@recovered < 2 x baseline",
                    "lost_writes == 0",
                    "P(failover_time > 5s) <= 10%",
                ],
            },
            {
                "type": "object",
                "description": "The same in parts, with a reason.",
                "properties": {
                    "metric": {
                        "title": "Metric",
                        "description": "A metric, with .stat where it has one.",
                        "type": "string",
                        "examples": ["failover_time", "latency.p99"],
                    },
                    "phase": {
                        "title": "Phase",
                        "description": "The stretch of the trial.",
                        "enum": list(PHASES),
                        "examples": ["recovered"],
                    },
                    "max": {"title": "Max", "description": "At most this.", **bound},
                    "min": {"title": "Min", "description": "At least this.", **bound},
                    "because": {
                        "title": "Because",
                        "description": "Why: said in the report where it is missed.",
                        "type": "string",
                        "examples": ["SLO-114"],
                    },
                },
                "required": ["metric"],
                "oneOf": [{"required": ["max"]}, {"required": ["min"]}],
                "additionalProperties": False,
            },
        ],
    }


if __name__ == "__main__":
    print(schema_text(json_schema(only_from=BUILT_IN)), end="")  # noqa: T201 - what it is for
