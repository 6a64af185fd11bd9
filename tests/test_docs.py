"""What the documentation says is held to what is there."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from chaoskit import registry
from chaoskit.cli import cli

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_is_in_the_documentation(name):
    assert re.search(rf"chaoskit {name}\b", TEXT), f"say in README.md or docs/ what {name} is for"


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_says_what_it_does(name):
    shown = CliRunner().invoke(cli, [name, "--help"])
    assert shown.exit_code == 0
    assert cli.commands[name].help


@pytest.mark.parametrize("name", sorted(registry.names("chaoskit.faults")))
def test_every_fault_is_in_the_documentation(name):
    assert f"`{name}`" in TEXT or f"fault: {name}" in TEXT


def test_every_experiment_is_in_the_readme_and_the_other_way_round():
    there = {f"experiments/{path.name}" for path in (ROOT / "experiments").glob("*.yaml")}
    named = set(re.findall(r"^\| `(experiments/[^`]+)`", README, flags=re.MULTILINE))
    assert named == there


def test_every_exit_code_is_in_the_readme_and_in_the_help():
    shown = CliRunner().invoke(cli, ["--help"]).output
    for code in ("0", "1", "2", "3", "4", "5"):
        assert re.search(rf"^\| {code} \|", README, flags=re.MULTILINE)
        assert re.search(rf"\b{code}\s+[A-Za-z]", shown)


def test_every_file_that_is_named_exists():
    pattern = r"`((?:chaoskit|docs|experiments|compose|tests|scripts)/[^`\s*<{]+)`"
    missing = [
        f"{page.relative_to(ROOT)}: {name}"
        for page in PAGES
        for name in re.findall(pattern, page.read_text("utf-8"))
        if not (ROOT / name).exists()
    ]
    assert not missing, "\n".join(missing)


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(
        re.findall(r"\bmake ([a-z][a-z-]+)", re.sub(r"```yaml.*?```", "", TEXT, flags=re.DOTALL))
    )
    assert named & {"demo", "test", "check"} == {"demo", "test", "check"}
    assert {
        word
        for word in named
        if word in {"demo", "test", "check", "engine", "bench", "example", "accuracy"}
    } <= targets


FAULTS_PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")


def rows_of_faults():
    """The cells of every row of docs/faults.md, the heads and rules left out."""
    rows = re.findall(r"^\| (.*) \|$", FAULTS_PAGE, flags=re.MULTILINE)
    cells = [re.split(r"\s*\|\s*", row) for row in rows]
    return [row for row in cells if row[0] not in ("#", "what breaks")]


def test_every_failure_mode_has_one_row():
    numbers = [row[0] for row in rows_of_faults() if re.fullmatch(r"F\d+", row[0])]
    assert numbers == [f"F{n}" for n in range(1, 33)]


@pytest.mark.parametrize("name", sorted(registry.names("chaoskit.faults")))
def test_every_fault_is_in_a_row_of_its_page(name):
    if registry.names("chaoskit.faults")[name] != "chaoskit":
        pytest.skip("it is somebody else's")
    found = any(re.search(rf"(?<![\w-]){name}(?![\w-])", " ".join(row)) for row in rows_of_faults())
    assert found, f"say in docs/faults.md what {name} breaks, how it is verified and undone"


def test_the_page_of_faults_names_what_there_is_and_every_experiment():
    faults = set(registry.names("chaoskit.faults"))
    there = {path.stem for path in (ROOT / "experiments").glob("*.yaml")}
    named = set()
    for row in rows_of_faults():
        *_, fault, experiments, how, labs, status = row
        words = {re.split(r"[ :]", one)[0] for one in re.findall(r"`([^`]+)`", fault)}
        keys = {"drop", "reject", "unreachable", "process", "frontdoor", "direction", "from"}
        keys |= {"shape", "when", "connections", "metastability", "choose", "any"}
        assert words <= faults | keys, words - faults - keys
        named |= set(re.findall(r"`([^`]+)`", experiments))
        assert status
        if not status.startswith("open"):
            assert words & faults or "choose" in words
            assert ";" in how or re.search(r"as F\d|as itself", how), "verified by; undone by"
            assert set(labs.split()) <= {"S", "D"}
            assert labs or "refused" in status
            assert experiments or "contract" in status or "refused" in status
    assert named == there
