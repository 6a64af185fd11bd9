"""Entry points: names without importing, code only on request, every failure a sentence."""

import subprocess
import sys
import types
from importlib.metadata import EntryPoint

import pytest

from chaoskit import registry
from chaoskit.errors import Refused


@pytest.fixture
def plugins(monkeypatch):
    """Entry points to add to the installed ones: plugins(name, value)."""
    added = []
    installed = registry._entries()
    monkeypatch.setattr(registry, "_entries", lambda: (*installed, *added))
    return lambda name, value, group="chaoskit.faults": added.append(EntryPoint(name, value, group))


def test_the_built_in_faults_are_listed_with_their_distribution():
    found = registry.names("chaoskit.faults")
    assert {"kill", "noop", "partition"} <= set(found)
    assert found["kill"] == "chaoskit"


def test_listing_names_imports_no_plug_in():
    code = (
        "import sys; from chaoskit import registry\n"
        "for g in registry.GROUPS: registry.names(g)\n"
        "print([m for m in sys.modules if m.startswith(('chaoskit.faults', 'chaoskit.load', "
        "'chaoskit.lab', 'chaoskit.probes'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_name_is_loaded_on_request(plugins, monkeypatch):
    module = types.ModuleType("acme_faults")
    module.Thing = object()
    monkeypatch.setitem(sys.modules, "acme_faults", module)
    plugins("thing", "acme_faults:Thing")
    assert registry.load("chaoskit.faults", "thing") is module.Thing


def test_an_unknown_name_says_which_is_meant():
    with pytest.raises(Refused, match="unknown fault 'kil'; did you mean 'kill'"):
        registry.load("chaoskit.faults", "kil")


def test_an_unknown_group_says_which_is_meant():
    with pytest.raises(Refused, match=r"did you mean 'chaoskit\.faults'"):
        registry.names("chaoskit.fault")


@pytest.mark.parametrize(
    "cause",
    ["raise RuntimeError('no\\ngood')", "import nothing_like_it", "raise SystemExit(3)", "1 +"],
)
def test_a_broken_plug_in_is_one_sentence(plugins, tmp_path, monkeypatch, cause):
    (tmp_path / "acme_broken.py").write_text(cause)
    monkeypatch.syspath_prepend(tmp_path)
    plugins("broken", "acme_broken:Thing")
    with pytest.raises(Refused) as said:
        registry.load("chaoskit.faults", "broken")
    sys.modules.pop("acme_broken", None)
    assert "\n" not in str(said.value)
    assert "the fault 'broken'" in str(said.value)


def test_two_providers_of_one_name_are_refused_and_named(plugins):
    plugins("twice", "acme:A")
    plugins("twice", "other:B")
    with pytest.raises(Refused, match="uninstall one"):
        registry.load("chaoskit.faults", "twice")


def test_the_same_entry_found_twice_is_one(plugins, monkeypatch):
    monkeypatch.setitem(sys.modules, "acme", types.SimpleNamespace(A=7))
    plugins("same", "acme:A")
    plugins("same", "acme:A")
    assert registry.load("chaoskit.faults", "same") == 7
