"""A second chance is for live tests only, is said, and is not had without end."""

import subprocess
import sys

import pytest
import second_chance
from support import ROOT

CONFTEST = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
import second_chance

def pytest_configure(config):
    config.addinivalue_line("markers", "sandbox: live")
    config.pluginmanager.register(second_chance.SecondChances())

def pytest_collection_modifyitems(items):
    second_chance.give(items)
"""

ONCE = """
import pathlib, pytest
{mark}
@pytest.mark.parametrize("n", range({count}))
def test_it(tmp_path_factory, n):
    seen = pathlib.Path(__file__).with_name(f"seen-{{n}}")
    before = seen.exists()
    seen.touch()
    assert before
"""


def run(folder, count=1, mark="@pytest.mark.sandbox", name="test_one"):
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / f"{name}.py").write_text(ONCE.format(mark=mark, count=count))
    said = [sys.executable, "-m", "pytest", "-q", "-p", "no:locust", "-p", "no:cacheprovider"]
    done = subprocess.run([*said, folder], check=False, capture_output=True, text=True, cwd=folder)
    return done.returncode, done.stdout


@pytest.mark.parametrize("mark", second_chance.LIVE)
def test_a_live_test_that_failed_once_passes_and_is_named(tmp_path, mark):
    code, said = run(tmp_path, mark=f"@pytest.mark.{mark}")
    assert code == 0, said
    assert "run a second time" in said
    assert "test_one.py::test_it[0]" in said
    assert "assert before" in said, "why is said, for the failure is gone"


def test_a_test_of_arithmetic_has_no_second_chance(tmp_path):
    code, said = run(tmp_path, mark="")
    assert code == 1, said
    assert "run a second time" not in said


@pytest.mark.parametrize("name", ["test_planted_defects", "test_labs_agree"])
def test_a_search_for_false_alarms_has_no_second_chance(tmp_path, name):
    code, said = run(tmp_path, name=name)
    assert code == 1, said


@pytest.mark.parametrize(("count", "code"), [(3, 0), (4, 1)])
def test_the_fourth_fails_the_run(tmp_path, count, code):
    got, said = run(tmp_path, count=count)
    assert got == code, said
    assert ("4 tests needed a second chance" in said) == bool(code)


TWICE = """
import pathlib, pytest

@pytest.fixture
def broken():
    yield
    seen = pathlib.Path(__file__).with_name("cleaned")
    before = seen.exists()
    seen.touch()
    assert before

@pytest.mark.sandbox
def test_it(broken):
    seen = pathlib.Path(__file__).with_name("seen")
    before = seen.exists()
    seen.touch()
    assert before
"""


def test_one_that_fails_and_cannot_clean_up_is_one_test(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.ONCE", TWICE.replace("{", "{{").replace("}", "}}"))
    text = CONFTEST.replace(
        "import second_chance\n", "import second_chance\nsecond_chance.CHANCES = 1\n"
    )
    monkeypatch.setattr(f"{__name__}.CONFTEST", text)
    code, said = run(tmp_path)
    assert code == 0, said
