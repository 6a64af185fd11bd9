"""A report is inert: no string of a run becomes an element, an attribute or an address."""

import pytest
from jinja2 import Environment, FileSystemLoader

from chaoskit.report import html, render_html
from tests.unit.report import samples
from tests.unit.report.hostile import PAYLOADS, twin, with_every_string
from tests.unit.report.looking import Look, dangers


def page(sample):
    return render_html(sample.result, sample.timelines, sample.facts)


def assert_inert(sample, payload):
    made = Look(page(with_every_string(sample, payload)))
    benign = Look(page(with_every_string(sample, twin(payload))))
    assert dangers(made) == []
    assert made.faults == []
    assert made.shape == benign.shape


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_hostile_strings_add_no_element_and_no_attribute(payload):
    assert_inert(samples.failing(), payload)


@pytest.mark.parametrize(
    "sample",
    [samples.invalid(), samples.many(9), samples.several()],
    ids=["invalid", "many", "several"],
)
def test_nor_do_they_where_other_things_are_shown(sample):
    assert_inert(sample, " ".join(PAYLOADS.values()))


@pytest.mark.parametrize("payload", ["script", "quotes"])
def test_the_payload_is_there_to_be_read(payload):
    made = Look(page(with_every_string(samples.failing(), PAYLOADS[payload])))
    assert made.text.count(" ".join(PAYLOADS[payload].split())) > 50


@pytest.mark.parametrize("kind", samples.ALL)
def test_every_page_is_inert_and_well_nested(kind):
    made = Look(page(samples.ALL[kind]()))
    assert dangers(made) == []
    assert made.faults == []


def test_no_character_that_does_not_show_reaches_the_page():
    made = page(with_every_string(samples.failing(), PAYLOADS["control"] + PAYLOADS["bidi"]))
    assert not [c for c in made if ord(c) < 32 and c not in "\n\t"]
    assert not set(made) & set("\x7f\x9b\u202e\u2066\u200f\ufeff\u2028\u2029")


def test_templates_that_do_not_escape_are_caught(monkeypatch):
    escaping = html.environment()
    planted = Environment(loader=FileSystemLoader(html._HERE / "templates"), autoescape=False)
    planted.globals.update(escaping.globals)
    monkeypatch.setattr(html, "environment", lambda: planted)

    made = Look(page(with_every_string(samples.failing(), PAYLOADS["image"])))
    benign = Look(page(with_every_string(samples.failing(), twin(PAYLOADS["image"]))))

    assert dangers(made) != []
    assert made.shape != benign.shape


@pytest.mark.parametrize(
    "planted",
    [
        "<script>1</script>",
        '<a href="https://evil.example">x</a>',
        '<a href="/etc/passwd">x</a>',
        '<p onclick="x">y</p>',
        '<p style="color:red">y</p>',
        '<svg fill="url(https://evil.example#a)"></svg>',
        '<img alt="x">',
    ],
)
def test_the_checker_sees_what_could_act(planted):
    assert dangers(Look(f"<html><body>{planted}</body></html>")) != []


def test_the_policy_allows_the_style_of_the_page_and_nothing_else():
    made = Look(page(samples.passing()))
    policies = [
        dict(attributes)["content"]
        for tag, attributes in made.elements
        if tag == "meta" and dict(attributes).get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]
    assert html._style_hash() in policies[0]
    assert "unsafe" not in policies[0]
