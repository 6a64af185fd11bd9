"""What fails a trial without any threshold, where a service has shards."""

import pytest
from unit.measure.sharing_script import FAULT, SHARDS, history_of, taken_over

from chaoskit.judge.findings import COMES_BACK, OWNED, findings
from chaoskit.measure.view import View


def never(*shards):
    def act(due, shard):
        return (0, 1) if shard in shards and due >= FAULT else taken_over(due, shard)

    return findings(View(history_of(act, shards=SHARDS)))


def test_a_shard_that_nobody_takes_over_is_named_while_others_are_served():
    ((expected, seen),) = never(2)
    assert expected == OWNED
    assert seen.startswith("write: shard 2 still out after 4.9")
    assert seen.endswith("the others were out for 0.20 s at most")


@pytest.mark.parametrize(
    ("shards", "found"),
    [
        pytest.param((), [], id="all were taken over"),
        pytest.param((1, 3), [OWNED], id="two of four"),
        pytest.param((1, 2, 3, 4), [COMES_BACK], id="all of it: no shard in particular"),
    ],
)
def test_only_some_shards_are_without_an_owner(shards, found):
    assert [expected for expected, _ in never(*shards)] == found
