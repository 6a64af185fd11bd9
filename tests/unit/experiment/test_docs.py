"""The documents say what the code does: every example is good, every name is there."""

import re
from pathlib import Path

import pytest

from chaoskit import registry
from chaoskit.experiment.catalogue import METRICS, PHASES
from chaoskit.experiment.grammar import parse_threshold
from chaoskit.experiment.loader import load_experiment
from chaoskit.experiment.messages import keys_of
from chaoskit.experiment.model import Experiment, LoadSpec
from chaoskit.experiment.profile import PROFILES
from chaoskit.experiment.steps import fault_class
from chaoskit.experiment.targets import ROLE_WORDS
from chaoskit.stack.compose import load_stack
from chaoskit.stack.labels import KNOWN, ROLES, check_labels
from chaoskit.stack.service import ACCEPTED, HONOURED
from chaoskit.units import format_duration, parse_duration, parse_rate, parse_ratio

ROOT = Path(__file__).resolve().parents[3]
WRITING = (ROOT / "docs" / "writing-an-experiment.md").read_text()
STACKS = (ROOT / "docs" / "stacks.md").read_text()


def blocks(text, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_examples_are_found():
    assert len(blocks(WRITING, "yaml")) == 2
    assert len(blocks(STACKS, "yaml")) == 1


@pytest.mark.parametrize("text", blocks(WRITING, "yaml"), ids=["smallest", "whole"])
def test_every_example_of_an_experiment_is_good(tmp_path, text):
    name = re.search(r"^name: (\S+)", text, re.MULTILINE)[1]
    (tmp_path / "experiments").mkdir()
    (tmp_path / "compose").symlink_to(ROOT / "compose")
    path = tmp_path / "experiments" / f"{name}.yaml"
    path.write_text(text)
    assert load_experiment(path).name == name


def test_the_whole_example_says_every_key_with_its_default(tmp_path):
    text = blocks(WRITING, "yaml")[1]
    for key in (*keys_of(Experiment), *keys_of(LoadSpec)):
        assert re.search(rf"^\s*{key}:", text, re.MULTILINE), key
    for key, info in LoadSpec.model_fields.items():
        said = re.search(rf"^  {info.alias or key}: +(\S+)", text, re.MULTILINE)[1]
        if key.endswith("_s"):
            assert parse_duration(said) == info.default, key
    assert parse_rate("200/s") == LoadSpec.model_fields["rate"].default
    assert parse_ratio("10%") == LoadSpec.model_fields["new_connections"].default


def test_every_threshold_in_the_text_is_one():
    text = re.sub(r"^```.*?^```", "", WRITING, flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"`([a-zP][^`\n]* (?:<|<=|>|>=|==) [^`\n]*)`", text)
    assert len(found) >= 4
    for threshold in found:
        parse_threshold(threshold)


def test_every_metric_phase_profile_and_fault_is_described():
    for name in (*METRICS, *PHASES, *PROFILES, *registry.names("chaoskit.faults"), *ROLE_WORDS):
        assert f"`{name}`" in WRITING, name


def test_every_key_of_a_built_in_fault_is_described():
    for name, origin in registry.names("chaoskit.faults").items():
        row = next(line for line in WRITING.splitlines() if line.startswith(f"| `{name}` |"))
        for key in keys_of(fault_class(name)) if origin == "chaoskit" else ():
            assert f"`{key}`" in row, (name, key)


def test_the_table_of_profiles_is_the_codes():
    for name, profile in PROFILES.items():
        row = next(line for line in WRITING.splitlines() if line.startswith(f"| `{name}` |"))
        numbers = [
            profile.baseline_s,
            profile.baseline_requests,
            profile.stable_s,
            profile.steady_s,
            profile.trials,
        ]
        assert [float(n.replace(",", "")) for n in re.findall(r"[0-9][0-9,]*", row)] == numbers


def test_every_label_role_and_kind_of_detector_is_described():
    for name in (*KNOWN, "chaoskit.link.<name>", "chaoskit.run", "chaoskit.owner"):
        assert f"`{name}`" in STACKS, name
    for word in (*ROLES, "heartbeat", "vrrp", "lease", "sentinel"):
        assert f"`{word}`" in STACKS, word


def test_every_label_that_is_described_is_known():
    described = set(re.findall(r"`(chaoskit\.[a-z.<>]+)`", STACKS))
    assert described - {*KNOWN, "chaoskit.link.<name>", "chaoskit.run", "chaoskit.owner"} == set()


def test_every_key_that_the_sandbox_knows_is_described():
    for key in (*HONOURED, *ACCEPTED):
        assert f"`{key}" in STACKS, key


def test_the_example_of_a_stack_and_its_detectors_are_good(tmp_path):
    path = tmp_path / "compose.yaml"
    path.write_text(blocks(STACKS, "yaml")[0])
    stack = load_stack(path)
    assert check_labels(stack) == []
    assert stack.sandbox_refusals == ()
    for line in next(b for b in blocks(STACKS, "text") if "kind=vrrp" in b).splitlines():
        path.write_text(f"services:\n  a:\n    command: x\n    labels:\n      {line}\n")
        assert check_labels(load_stack(path)) == []


def test_documented_durations_are_durations():
    for text in ("500ms", "1.5s", "1m30s", "250us", "1h", "1d"):
        assert f"`{text}`" in WRITING
        assert parse_duration(format_duration(parse_duration(text))) == parse_duration(text)
