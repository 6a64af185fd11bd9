"""JUnit: what a CI shows as red is what the verdict says."""

from xml.etree import ElementTree as ET

import pytest

from chaoskit.judge.result import Verdict
from chaoskit.report import render_junit
from tests.unit.report import samples
from tests.unit.report.hostile import PAYLOADS, twin, with_every_string


def suite_of(sample):
    root = ET.fromstring(render_junit(sample.result, sample.facts).encode())
    assert root.tag == "testsuites"
    suite = root.find("testsuite")
    assert suite is not None
    return suite


def children(suite):
    """Each test case's name and the element that says how it ended, if any."""
    return [(c.get("name"), [e.tag for e in c]) for c in suite.findall("testcase")]


def test_the_experiment_is_a_suite_and_each_threshold_a_case():
    suite = suite_of(samples.passing())
    assert suite.get("name") == "active-passive-kill"
    assert suite.get("timestamp") == "2026-01-31T23:59:59"
    assert [name for name, _ in children(suite)] == [
        "client_outage < 2s",
        "failover_time < 2s",
        "dropped_requests < 95%",
        "lost_writes == 0",
    ]
    assert {c.get("classname") for c in suite.findall("testcase")} == {"active-passive-kill"}


def test_a_time_is_the_case_time_of_the_trial_that_decided():
    times = {c.get("name"): c.get("time") for c in suite_of(samples.passing()).iter("testcase")}
    assert times["client_outage < 2s"] == "0.447"
    assert times["lost_writes == 0"] == "0.000"


def test_a_missed_threshold_is_a_failure_with_what_was_observed():
    suite = suite_of(samples.failing())
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "ThresholdMissed"
    assert "≥ 8.98 s" in failure.get("message", "")
    assert (suite.get("failures"), suite.get("errors"), suite.get("tests")) == ("3", "0", "4")


@pytest.mark.parametrize(
    ("kind", "element"),
    [
        ("fail", "failure"),
        ("invalid", "error"),
        ("inconclusive", "error"),
        ("error", "error"),
        ("aborted", "error"),
        ("interrupted", "skipped"),
        ("pass", None),
        ("noop", None),
    ],
)
def test_every_verdict_has_its_element(kind, element):
    found = {tag for _, tags in children(suite_of(samples.ALL[kind]())) for tag in tags}
    assert found == ({element} if element else set())


def test_an_experiment_without_thresholds_still_has_a_case():
    sample = samples.noop()
    result = sample.result.model_copy(update={"expectations": ()})
    suite = suite_of(samples.Sample(result, {}, sample.facts))
    assert children(suite) == [("verdict", [])]


@pytest.mark.parametrize("verdict", [v for v in Verdict if v is not Verdict.PASS])
def test_a_verdict_that_no_threshold_shows_gets_a_case_of_its_own(verdict):
    sample = samples.passing()
    result = sample.result.model_copy(update={"verdict": verdict})
    suite = suite_of(samples.Sample(result, {}, sample.facts))
    name, tags = children(suite)[-1]
    assert name == "verdict"
    assert len(tags) == 1
    told = (
        int(suite.get("failures", 0)) + int(suite.get("errors", 0)) + int(suite.get("skipped", 0))
    )
    assert told == 1


def test_seed_and_run_are_properties():
    suite = suite_of(samples.passing())
    found = {p.get("name"): p.get("value") for p in suite.iter("property")}
    assert found["seed"] == "42"
    assert found["run"] == "20260131T235959Z-42"
    assert found["verdict"] == "PASS"


def test_why_trials_are_invalid_stands_in_the_output():
    out = suite_of(samples.invalid()).findtext("system-out") or ""
    assert "lower load.rate" in out


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_hostile_strings_change_nothing_of_its_shape(payload):
    def shape(sample):
        root = ET.fromstring(render_junit(sample.result, sample.facts).encode())
        return [(e.tag, sorted(e.attrib)) for e in root.iter()]

    made = shape(with_every_string(samples.failing(), payload))
    assert made == shape(with_every_string(samples.failing(), twin(payload)))
