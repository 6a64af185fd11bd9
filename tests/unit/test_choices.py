"""Small decisions of a run: who is meant, when the fault falls, which lab, which folder."""

import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.fakelab import FakeLab

from chaoskit import choosing
from chaoskit.errors import BadInput, LabError, Refused, worst_code
from chaoskit.phases import open_phases_s, phases_s
from chaoskit.rundir import create_run_dir, read_json, write_atomically
from chaoskit.selectors import select
from chaoskit.stack.model import Stack

ROLES = {"a": "primary", "b": "backup", "w": "witness"}
STACK = Stack("pair", Path("compose.yaml"), {})


def names(*words, roles=None, **more):
    found = select(words, FakeLab(), roles or ROLES, random.Random(1), **more)
    return [node.name for node in found]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["primary"], ["a"]),
        (["backup", "witness"], ["b", "w"]),
        (["b"], ["b"]),
        (["service:a"], ["a"]),
        (["not primary"], ["b", "w"]),
        (["all"], ["a", "b", "w"]),
        (["client"], ["client"]),
        (["primary", "a"], ["a"]),
    ],
)
def test_a_selector_means_nodes_by_the_roles_of_the_moment(words, expected):
    assert names(*words) == expected


def test_roles_are_those_of_the_moment_and_not_of_the_label():
    assert names("primary", roles={**ROLES, "a": "backup", "b": "primary"}) == ["b"]


def test_any_is_one_node_and_the_seed_says_which():
    assert len(names("any")) == 1
    assert names("any") == names("any")


def test_nothing_that_matches_is_an_error_that_says_who_is_there():
    with pytest.raises(LabError, match=r"'primary'.*a is unknown"):
        names("primary", roles={"a": None, "b": "backup", "w": "witness"})


def test_more_than_the_most_targets_is_an_error_before_anything_happens():
    assert names("all", max_targets=3) == ["a", "b", "w"]
    with pytest.raises(LabError, match="3 nodes"):
        names("all", max_targets=2)


@given(st.floats(0.001, 60), st.integers(1, 100), st.integers(0, 2**31))
def test_the_phases_of_n_trials_cover_the_period_evenly(period, trials, seed):
    phases = phases_s(period, trials, seed)
    slices = sorted(int(phase / period * trials) for phase in phases)
    assert all(0 <= phase < period for phase in phases)
    assert all(
        abs(found - wanted) <= 1 for found, wanted in zip(slices, range(trials), strict=True)
    )
    assert phases == phases_s(period, trials, seed)


@pytest.mark.parametrize(
    ("codes", "worst"),
    [([0, 0], 0), ([0, 3], 3), ([3, 1], 1), ([1, 2], 2), ([1, 4, 3], 4), ([5, 4], 5), ([0, 130], 130),
     ([5, 143], 5)],
)  # fmt: skip
def test_over_several_experiments_the_worst_exit_code_counts(codes, worst):
    assert worst_code(codes) == worst


def labs(monkeypatch, *, docker=None, images=None, compose=True, sandbox=None):
    monkeypatch.setattr("chaoskit.lab.docker_probe.docker_available", lambda: docker)
    monkeypatch.setattr("chaoskit.lab.docker_probe.docker_can_run", lambda _stack: docker or images)
    monkeypatch.setattr("chaoskit.lab.docker_compose.find_compose", lambda: compose or None)
    monkeypatch.setattr("chaoskit.lab.sandbox_probe.sandbox_available", lambda: sandbox)


def test_auto_takes_docker_where_it_can_and_says_why(monkeypatch):
    labs(monkeypatch)
    assert choosing.choose_lab("auto", STACK).name == "docker"


@pytest.mark.parametrize(
    "missing", [{"docker": "no engine"}, {"images": "no image"}, {"compose": False}]
)
def test_auto_takes_the_sandbox_where_docker_cannot_and_says_why(monkeypatch, missing):
    labs(monkeypatch, **missing)
    choice = choosing.choose_lab("auto", STACK)
    assert choice.name == "sandbox"
    assert "Docker" in choice.why


def test_what_was_asked_for_is_never_replaced(monkeypatch):
    labs(monkeypatch, docker="no engine")
    with pytest.raises(Refused, match="no engine"):
        choosing.choose_lab("docker", STACK)
    labs(monkeypatch, sandbox="no namespaces")
    with pytest.raises(Refused, match="no namespaces"):
        choosing.choose_lab("sandbox", STACK)


def test_no_lab_at_all_names_both_reasons(monkeypatch):
    labs(monkeypatch, docker="no engine", sandbox="no namespaces")
    with pytest.raises(Refused, match=r"no engine.*no namespaces"):
        choosing.choose_lab("auto", STACK)


def test_two_runs_of_one_second_get_folders_of_their_own_and_latest_is_the_newer(tmp_path):
    first = create_run_dir(tmp_path, "kill", "20260101T000000Z-1")
    second = create_run_dir(tmp_path, "kill", "20260101T000000Z-1")
    assert first != second
    assert (tmp_path / "kill" / "latest").resolve() == second


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    write_atomically(path, "old")
    monkeypatch.setattr("os.fsync", lambda _fd: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(Exception, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize("text", [None, "{", "[]", "\x00"])
def test_a_run_file_that_cannot_be_read_is_one_sentence(tmp_path, text):
    path = tmp_path / "run.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadInput) as raised:
        read_json(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@given(st.floats(0.001, 60), st.integers(1, 100), st.integers(0, 2**31))
def test_a_run_that_may_stop_anywhere_has_covered_the_period_evenly_by_then(period, trials, seed):
    phases = open_phases_s(period, 100, seed)
    so_far = sorted(phases[:trials])
    assert all(0 <= phase < period for phase in so_far)
    gaps = [b - a for a, b in itertools.pairwise(so_far)]
    gaps.append(so_far[0] + period - so_far[-1])
    assert max(gaps) <= 2 * period / trials * (1 + 1e-9)
    assert phases == open_phases_s(period, 100, seed)


def test_stopping_early_would_not_cover_it_with_phases_made_for_a_fixed_number():
    worst = max(
        max(b - a for a, b in itertools.pairwise(cut))
        for seed in range(50)
        if (cut := sorted(phases_s(1.0, 59, seed)[:10]))
    )
    assert worst > 2 / 10
