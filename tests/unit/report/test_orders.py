"""The lane of a register that no order explains, as a page shows it."""

import re

import pytest

from chaoskit.measure.model import Impossible, RegisterStep
from chaoskit.report.detail import DETAILS
from chaoskit.report.html import render_html
from chaoskit.report.orders import build_orders
from tests.unit.report import samples

A, B = 281474976710661, 281474976710702


def step(write, value, sent, done, **more):
    return RegisterStep(
        write=write, value=value, sent_s=sent, done_s=done, client="client", stream="write", **more
    )


STEPS = (
    step(True, A, -3.0, -2.99, server="node-a"),
    step(True, B, -2.0, -1.99, server="node-a"),
    step(True, 5, 0.1, None, needed=False),
    step(False, A, 1.0, 1.002, server="node-b", last=True),
)


@pytest.fixture
def sample():
    found = samples.passing()
    first = found.result.trials[0]
    one = Impossible(key=3, detail=f"value {A} was read after it had been replaced", steps=STEPS)
    metrics = first.metrics.model_copy(update={"impossible": (one,)})
    trials = (first.model_copy(update={"metrics": metrics}), *found.result.trials[1:])
    result = found.result.model_copy(update={"trials": trials})
    return result, found


def test_operations_are_placed_by_what_was_over_before_what_began(sample):
    (order,) = build_orders(sample[0], DETAILS[0])
    assert order.title == "trial 1, register 3"
    assert order.detail == "value A was read after it had been replaced"
    assert [row.text for row in order.rows] == ["write A", "write B", "write C", "read A"]
    assert [row.kind for row in order.rows] == ["needed", "needed", "beside", "last"]
    ends = [(float(r.x), float(r.x) + float(r.w)) for r in order.rows]
    assert ends[0][1] < ends[1][0] < ends[1][1] < ends[2][0] < ends[3][0]
    assert ends[2][1] == pytest.approx(100)  # no answer: open to the end
    assert order.rows[2].done == "never"
    assert order.values == (("A", str(A)), ("B", str(B)), ("C", "5"))


def test_the_page_shows_it_and_is_silent_without(sample):
    result, found = sample
    page = render_html(result, found.timelines, found.facts)
    assert "No order explains trial 1, register 3" in page
    assert len(re.findall(r'<tr class="(?:last|needed|beside)">', page)) == 4
    clean = render_html(found.result, found.timelines, found.facts)
    assert "No order explains" not in clean


def test_the_barest_page_still_shows_the_first(sample):
    assert build_orders(sample[0], DETAILS[-1])
