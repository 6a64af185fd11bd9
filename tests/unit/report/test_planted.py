"""A run of a system with a planted flaw says so wherever it is reported; any other does not."""

from xml.etree import ElementTree as ET

import pytest
from support import ROOT

from chaoskit.judging import Outcome
from chaoskit.report import render_html, render_junit, render_markdown
from chaoskit.runfile import planted
from chaoskit.stack.compose import load_stack
from tests.unit.report import samples
from tests.unit.report.looking import Look

FLAW = {"node-a": "no-fencing", "node-b": "no-fencing", "witness": "no-fencing"}
SAYS = "A flaw was planted in this system: no-fencing (in node-a, node-b, witness)."


def shown(facts):
    """The three reports as a person reads them."""
    sample = samples.passing()
    page = Look(render_html(sample.result, sample.timelines, facts)).text
    suite = ET.fromstring(render_junit(sample.result, facts)).find("testsuite")
    properties = {p.get("name"): p.get("value") for p in suite.find("properties")}
    return page, render_markdown(sample.result, facts), properties.get("planted", "")


def test_every_report_says_that_a_flaw_was_planted():
    page, summary, attribute = shown(samples.facts(planted=FLAW))
    assert SAYS in page
    assert page.index(SAYS) < page.index("Thresholds"), "it stands beneath the verdict"
    assert f"**{SAYS}" in summary.replace("\\", "")
    assert SAYS in attribute


def test_the_system_as_it_is_meant_to_be_has_no_such_note():
    assert not any("planted" in text for text in shown(samples.facts()))


def test_the_last_line_of_the_run_says_so_too():
    result = samples.passing().result
    said = Outcome(result, None, samples.facts(planted=FLAW).warning()).line()
    assert SAYS in said
    assert said.startswith(f"PASS {result.experiment}: {result.sentence} ")
    assert "planted" not in Outcome(result, None, samples.facts().warning()).line()


def test_what_a_stack_names_as_its_flaw_is_no_markup():
    page, summary, _ = shown(samples.facts(planted={"<b>a</b>": "<script>x</script>"}))
    assert "<script>x</script>" in page, "shown as text"
    assert "<script>" not in summary


@pytest.mark.parametrize("file", ["compose.yaml", "haproxy.yaml"])
def test_the_flaw_is_read_from_what_the_services_are_told(monkeypatch, file):
    monkeypatch.delenv("CHAOSKIT_DEFECT", raising=False)
    path = ROOT / "compose" / "active-active" / file
    assert planted(load_stack(path)) == {}
    monkeypatch.setenv("CHAOSKIT_DEFECT", "acks-alone")
    stack = load_stack(path)
    assert planted(stack) == dict.fromkeys(stack.services, "acks-alone")
