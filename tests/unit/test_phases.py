"""Where in the detector's period each trial's fault falls: evenly spread, or where the file says."""

from types import SimpleNamespace

import pytest

from chaoskit import campaign


def phases(vary, monkeypatch):
    """What the trials of a run of four were given."""
    monkeypatch.setattr(campaign, "longest_period_s", lambda _stack: 0.1)
    experiment = SimpleNamespace(repeat=SimpleNamespace(vary=vary))
    request = SimpleNamespace(experiment=experiment, say=lambda *_: None)
    run = object.__new__(campaign._Campaign)
    run.__dict__.update(request=request, stack=None, trials=4, seed=1, looks=())
    given = []
    run.__dict__.update(_trial=lambda _n, phase_s: given.append(phase_s), _invalid=lambda _n: False)
    run.run()
    return given


def test_each_trial_has_its_own_part_of_the_period(monkeypatch):
    given = phases(("at",), monkeypatch)
    assert sorted(int(phase / 0.025) for phase in given) == [0, 1, 2, 3]


def test_without_variation_the_moment_is_fixed(monkeypatch):
    assert phases((), monkeypatch) == pytest.approx([0.0] * 4)
