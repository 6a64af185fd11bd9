"""``repeat: {trials: auto}``: a cap, and nothing else beside a fixed number."""

import pytest
from pydantic import ValidationError

from chaoskit.experiment.model import AUTO_CAP, Repeat


def test_auto_is_a_cap_of_59_or_as_said():
    assert Repeat.model_validate({"trials": "auto"}).cap == AUTO_CAP == 59
    found = Repeat.model_validate({"trials": "auto", "cap": 20})
    assert (found.trials, found.cap) == (20, 20)
    assert Repeat.model_validate({"trials": 10}).cap is None


@pytest.mark.parametrize("wrong", [{"trials": 5, "cap": 9}, {"trials": "auto", "cap": 0}])
def test_a_cap_goes_with_auto_and_is_a_number_of_trials(wrong):
    with pytest.raises(ValidationError):
        Repeat.model_validate(wrong)
