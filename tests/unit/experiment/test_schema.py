"""The JSON Schema: valid itself in the parts we use, current, and of one mind with the loader."""

import json
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from chaoskit.experiment.schema import BUILT_IN, json_schema, schema_text, shipped_schema

ROOT = Path(__file__).resolve().parents[3]
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "null": type(None),
    "boolean": bool,
}


def wrong(value, schema, root, at="$"):
    """What ``value`` breaks of ``schema``: the keywords that our schemas use, nothing else."""
    known = {
        "$schema",
        "$defs",
        "$ref",
        "title",
        "description",
        "examples",
        "default",
        "type",
        "const",
        "enum",
    }
    known |= {
        "pattern",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "exclusiveMaximum",
        "properties",
    }
    known |= {"required", "additionalProperties", "items", "minItems", "maxItems", "anyOf", "oneOf"}
    assert set(schema) <= known, set(schema) - known
    if "$ref" in schema:
        yield from wrong(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, at)
    if "type" in schema:
        types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        fits = any(
            isinstance(value, TYPES[t]) and not (isinstance(value, bool) and t != "boolean")
            for t in types
        )
        if not fits:
            yield f"{at}: not {types}"
            return
    if "const" in schema and value != schema["const"]:
        yield f"{at}: not {schema['const']}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: not one of {schema['enum']}"
    if isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{at}: not like {schema['pattern']}"
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**9):
            yield f"{at}: wrong length"
    number = value if isinstance(value, int | float) else 0
    if not schema.get("minimum", number) <= number <= schema.get("maximum", number):
        yield f"{at}: out of range"
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 10**9):
            yield f"{at}: wrong number"
        for n, item in enumerate(value):
            yield from wrong(item, schema.get("items", {}), root, f"{at}[{n}]")
    if isinstance(value, dict):
        yield from (f"{at}: no {key}" for key in schema.get("required", []) if key not in value)
        more = schema.get("additionalProperties", True)
        for key, item in value.items():
            inner = schema.get("properties", {}).get(key)
            if inner is None and more is False:
                yield f"{at}: unknown {key}"
            inner = inner if inner is not None else (more if isinstance(more, dict) else {})
            yield from wrong(item, inner, root, f"{at}.{key}")
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            fitting = sum(not list(wrong(value, option, root, at)) for option in schema[keyword])
            if fitting == 0 or (keyword == "oneOf" and fitting > 1):
                yield f"{at}: fits {fitting} of {keyword}"


@pytest.fixture(scope="module")
def schema():
    return json_schema()


def check(text, schema):
    return list(wrong(YAML(typ="safe", pure=True).load(text), schema, schema))


def test_the_shipped_schema_is_current():
    now = schema_text(json_schema(only_from=BUILT_IN))
    assert shipped_schema() == now, (
        "python -m chaoskit.experiment.schema > chaoskit/experiment/schema.json"
    )


@pytest.mark.parametrize(
    "path", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_experiment_that_ships_fits_the_schema(path, schema):
    assert check(path.read_text(), schema) == []


def test_a_file_that_the_loader_takes_fits_the_schema(files, good_text, schema):
    files.load()
    assert check(good_text, schema) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("profile: smoke", "profil: smoke"),
        ("profile: smoke", "profile: smok"),
        ("rate: 200/s", "rate: 200"),
        ("rate: 200/s", "rte: 200/s"),
        ("at: 3s", "at: 3"),
        ("fault: kill", "fault: kil"),
        ("signal: SIGKILL", "sgnal: SIGKILL"),
        ("target: primary, ", ""),
        ("action: reject", "action: rejet"),
        ("- failover_time < 5s", "- failover_time"),
        ("max: 2%", "mox: 2%"),
        ("trials: 3", "trials: 0"),
        ("trials: 3", "trials: true"),
        ("new_connections: 10%", "new_connections: 7"),
        ("name: good", "name: Good"),
    ],
)
def test_a_mistake_that_a_schema_can_see_is_seen_by_both(files, good_text, schema, old, new):
    assert files.problems(old, new)
    assert check(good_text.replace(old, new), schema)


def test_a_fault_with_a_from_takes_one_word_or_a_list(good_text, schema):
    assert check(good_text.replace("from: [client]", "from: client"), schema) == []
    assert check(good_text.replace("from: [client]", "from: 7"), schema) != []


def test_every_key_is_described_for_an_editor(schema):
    tables = {
        "": schema["properties"],
        **{n: d["properties"] for n, d in schema["$defs"].items() if "properties" in d},
    }
    assert len(tables) > 5
    for name, table in tables.items():
        for key, found in table.items():
            assert found.get("title") or "$ref" in found, (name, key)
            there = schema["$defs"].get(found.get("$ref", "").removeprefix("#/$defs/"), {})
            assert found.get("description") or there.get("description"), (name, key)
            assert (
                found.get("examples") or found.get("const") or "$ref" in found or key == "steps"
            ), (name, key)


def test_defaults_are_said_as_a_file_would_write_them(schema):
    load = schema["$defs"]["LoadSpec"]["properties"]
    assert [load[key]["default"] for key in ("rate", "deadline", "new_connections")] == [
        "200/s",
        "100ms",
        "10%",
    ]
    for name, table in schema["$defs"].items():
        for key, found in table.get("properties", {}).items():
            if found.get("default") is not None:
                assert not list(wrong(found["default"], found, schema)), (name, key)


def test_the_schema_is_plain_json(schema):
    assert json.loads(schema_text(schema)) == schema
    assert schema["$schema"].endswith("2020-12/schema")
