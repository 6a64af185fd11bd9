"""What the page says: the answer first, every figure, and never too much."""

import re

import pytest

from chaoskit.judge.result import (
    Count,
    Dropped,
    ExpectationResult,
    Interval,
    RunResult,
    Safety,
    Verdict,
)
from chaoskit.measure.timeline import Dot, RoleSpan, Timeline
from chaoskit.report import html, render_html
from chaoskit.report.cards import build_cards
from chaoskit.report.format import NONE, count, interval
from tests.unit.report import samples
from tests.unit.report.looking import Look

MEGABYTE = 1_000_000


def look(sample):
    return Look(render_html(sample.result, sample.timelines, sample.facts))


def ids(page):
    return [dict(attributes)["id"] for _, attributes in page.elements if "id" in dict(attributes)]


@pytest.mark.parametrize("kind", samples.ALL)
def test_the_verdict_and_the_sentence_come_first(kind):
    sample = samples.ALL[kind]()
    text = look(sample).text
    verdict, sentence = sample.result.verdict.value, sample.result.sentence
    head = f"{verdict} {sample.result.experiment}"
    assert text.startswith(head)  # the title: what a browser's tab and a mail's list show
    assert text.index(sentence) < len(head) * 2 + 40


def numbers_of(result: RunResult):
    """Every figure of the metrics as it must be printed, found by their types alone."""
    for trial in result.trials:
        for name in type(trial.metrics).model_fields:
            found = getattr(trial.metrics, name)
            if isinstance(found, Interval):
                yield interval(found)
            elif isinstance(found, Safety | Count):
                yield count(found.count)
            elif isinstance(found, Dropped):
                yield count(found.count)
                yield count(found.due)
                yield from (count(n) for n in found.by_class.values())
        yield from (interval(p) for p in trial.metrics.phases.values())
        yield from (count(n) for by in trial.metrics.tally.values() for n in by.values())
    for expectation in result.expectations:
        yield expectation.observed
        yield expectation.expression
        yield expectation.margin or ""
    for safety in (t.metrics.lost_writes for t in result.trials):
        yield from (str(example.token) for example in safety.examples)


@pytest.mark.parametrize("kind", ["pass", "fail", "invalid", "inconclusive", "noop", "many"])
def test_every_number_of_the_result_is_on_the_page(kind):
    sample = samples.ALL[kind]()
    text = look(sample).text
    wanted = {" ".join(number.split()) for number in numbers_of(sample.result)}
    assert len(wanted) > 8
    assert [number for number in wanted if number not in text] == []


def test_the_big_figures_of_a_known_run():
    text = look(samples.passing()).text
    assert "client outage 0.447 s ± 12 ms 0.437 to 0.459 s" in text
    assert "failover time 0.468 s ± 19 ms" in text
    assert "dropped requests 134 63.8 % of 210 due" in text
    assert "lost writes 0 read back in 3 of 3 trials" in text


def test_a_censored_outage_is_at_least_so_long():
    text = look(samples.failing()).text
    assert "client outage ≥ 8.98 s had not ended when observation did" in text


def test_nothing_failed_over_is_said_and_no_number_is_made_up():
    assert f"failover time {NONE} nothing failed over" in look(samples.noop()).text


def test_thresholds_that_failed_come_first():
    text = look(samples.failing()).text
    table = text[text.index("decided by") :]
    assert table.index("FAIL lost_writes == 0") < table.index("PASS dropped_requests < 99.9%")


def test_why_trials_are_invalid_is_said_once_with_what_to_change():
    text = look(samples.invalid()).text
    section = text[text.index("Why trials do not count") : text.index("An invalid trial says")]
    assert section.count("lower load.rate, or run on a quieter machine") == 1
    assert "trials 2, 3:" in section


def test_offending_writes_are_named():
    text = look(samples.failing()).text
    assert "4294967311" in text
    assert "acknowledged by node-a, in no final read" in text


def test_a_fault_says_who_it_was_and_when_each_thing_happened():
    text = look(samples.passing()).text
    row = "1 kill primary node-a node-a (198.18.0.2), SIGKILL to 2 processes 4.00 s"
    assert f"{row} \N{MINUS SIGN}2.4 ms 0 s +1.1 ms +17 ms +5.00 s +5.31 s" in text
    assert "not felt" in look(samples.invalid()).text


def test_what_services_try_again_is_told():
    assert "tries again: haproxy connections that fail, twice" in look(samples.passing()).text


def test_the_command_to_repeat_it_carries_the_seed():
    assert (
        "chaoskit run experiments/active-passive-kill.yaml --seed 42"
        in look(samples.passing()).text
    )


def test_deadline_timeout_and_rate_stand_with_the_definitions():
    text = look(samples.passing()).text
    assert "write write 200/s 5 ms 100 ms 200 ms kept" in text
    assert "write/new write 20/s 50 ms 100 ms 200 ms new" in text


def test_links_lead_to_places_of_the_page():
    page = look(samples.passing())
    targets = [
        dict(attributes)["href"][1:]
        for tag, attributes in page.elements
        if dict(attributes).get("href", "").startswith("#")
    ]
    places = ids(page)
    assert len(places) == len(set(places))
    assert set(targets) <= set(places)
    assert {"verdict", "thresholds", "timeline", "trials", "method", "repeat"} <= set(places)


def test_every_chart_has_a_table_that_says_the_same():
    page = look(samples.passing())
    twins = [a for tag, a in page.elements if tag == "details" and ("class", "twin") in a]
    trials = [a for tag, a in page.elements if tag == "details" and ("class", "trial") in a]
    assert len(trials) == 3
    assert len(twins) == 2 * len(trials)  # the timeline and the close-up of each


def test_an_outcome_is_told_by_shape_and_pattern_too():
    made = render_html(*vars(samples.failing()).values())
    for outcome in ("ok_late", "ambiguous", "not_sent"):
        assert f'fill="url(#h-{outcome})"' in made
    shapes = re.findall(r'<g id="d-(\w+)"><(\w+) (?:d="([^"]*)")?', made)
    assert len({(tag, path) for _, tag, path in shapes}) == 5


def test_of_many_trials_the_worst_the_median_and_the_invalid_ones_are_drawn():
    sample = samples.many()
    text = look(sample).text
    worst = max(
        (t for t in sample.result.trials if not t.invalid_because),
        key=lambda t: t.metrics.client_outage.value_s,
    )
    assert f"Trial {worst.n} worst" in text
    assert re.search(r"Trial \d+ median", text)
    assert "Trial 5 invalid" in text
    assert len(re.findall(r"Trial \d+ (?:worst|median|invalid)", text)) == 4
    assert text.index("Every trial as a table") < text.index(f"Trial {worst.n} worst")


@pytest.mark.parametrize("kind", [k for k in samples.ALL if k != "many"])
def test_a_usual_page_is_below_300_kb(kind):
    sample = samples.ALL[kind]()
    made = render_html(sample.result, sample.timelines, sample.facts)
    assert len(made.encode()) < 300_000


def huge_timeline(bins=10_000, dots=10_000):
    counts = tuple(i % 7 for i in range(bins))
    outcomes = ("ok", "ok_late", "fail_definite", "ambiguous", "not_sent")
    return Timeline(
        start_s=-100.0,
        bin_s=0.1,
        outcomes={s: dict.fromkeys(outcomes, counts) for s in ("write", "read", "x", "y", "z")},
        latency={
            s: tuple(0.001 + i % 97 / 1000 for i in range(bins)) for s in ("p50", "p99", "max")
        },
        roles=tuple(RoleSpan(f"n{i % 40}", i / 10, i / 10 + 0.1, "primary") for i in range(bins)),
        faults=(),
        outages=(),
        dots=tuple(Dot(i / 100, 0.001, outcomes[i % 5], "write") for i in range(dots)),
    )


def test_59_trials_with_long_timelines_are_below_a_megabyte():
    sample = samples.many()
    one = huge_timeline()
    made = render_html(sample.result, dict.fromkeys(sample.timelines, one), sample.facts)
    assert len(made.encode()) < MEGABYTE


def test_a_run_of_long_strings_and_many_trials_is_below_a_megabyte():
    text = "ä" * 20_000
    because = tuple(f"{i} {text}" for i in range(50))
    base = samples.many(400, drawn=False)
    trials = tuple(t.model_copy(update={"invalid_because": because}) for t in base.result.trials)
    expectations = tuple(
        ExpectationResult(expression=text, observed=text, verdict=Verdict.FAIL, reason=text)
        for _ in range(300)
    )
    result = base.result.model_copy(
        update={"trials": trials, "expectations": expectations, "sentence": text, "claims": because}
    )
    timelines = dict.fromkeys((1, 2, 3, 4), huge_timeline(2_000, 2_000))
    made = render_html(result, timelines, samples.facts(source=text * 10))
    assert len(made.encode()) < MEGABYTE


def test_the_size_is_held_by_drawing_less(monkeypatch):
    sample = samples.passing()
    full = render_html(sample.result, sample.timelines, sample.facts)
    monkeypatch.setattr(html, "LIMIT", len(full.encode()) - 1)
    less = render_html(sample.result, sample.timelines, sample.facts)
    assert len(less.encode()) < len(full.encode())
    assert "Clients were unserved for 0.45 s at worst" in less


def test_the_same_run_gives_the_same_page():
    one, two = samples.failing(), samples.failing()
    assert render_html(one.result, one.timelines, one.facts) == render_html(
        two.result, two.timelines, two.facts
    )


def test_a_run_without_timelines_still_has_its_tables():
    sample = samples.passing()
    text = Look(render_html(sample.result, {}, sample.facts)).text
    assert "0.447 s (0.437 to 0.459)" in text


def below(key, kinds):
    """The lines below a big figure in a run whose trials recovered so."""
    result = samples.passing().result
    trials = tuple(
        t.model_copy(update={"metrics": t.metrics.model_copy(update={"recovery": kind})})
        for t, kind in zip(result.trials, kinds, strict=True)
    )
    cards = build_cards(result.model_copy(update={"trials": trials}))
    return next(card for card in cards if card.key == key).lines


def test_below_failover_time_stands_in_how_many_trials_nobody_took_over():
    count = len(samples.passing().result.trials)
    over, back = ["failover"] * count, ["in-place restart"] * count
    assert "no other node took over" in below("failover_time", back)
    some = f"no other node took over in 1 of {count} trials"
    assert some in below("failover_time", [*back[:1], *over[1:]])
    assert not any("took over" in line for line in below("failover_time", over))
    assert not any("took over" in line for line in below("client_outage", back))
