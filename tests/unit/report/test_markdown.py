"""The summary: short, complete, and no string of a run is markup in it."""

import re

import pytest

from chaoskit.report import render_markdown
from chaoskit.report.markdown import LIMIT
from tests.unit.report import samples
from tests.unit.report.hostile import PAYLOADS, twin, with_every_string


def text_of(sample):
    return render_markdown(sample.result, sample.facts)


def test_the_answer_comes_first_then_thresholds_then_trials():
    text = text_of(samples.failing())
    lines = text.splitlines()
    assert "FAIL active-passive-kill" in lines[0].replace("\\", "")
    assert "Service did not come back" in lines[2]
    assert text.index("`client_outage < 2s`") < text.index("| trial | verdict |")
    assert "| 1 | FAIL | ≥ 8.97 s |" in text
    assert "[report.html](report.html)" in text
    assert "--seed 42" in text


def test_failed_thresholds_come_first():
    text = text_of(samples.failing())
    assert text.index("`lost_writes == 0`") < text.index("`dropped_requests < 99.9%`")


def test_reasons_of_invalid_trials_are_named():
    assert "lower load.rate" in text_of(samples.invalid())


@pytest.mark.parametrize("n", [59, 2_000])
def test_many_trials_stay_below_the_limit(n):
    text = text_of(samples.many(n, drawn=False))
    assert len(text.encode()) < LIMIT
    assert ("more trials stand in the full report" in text) == (n > 60)


def test_long_strings_stay_below_the_limit():
    sample = with_every_string(samples.many(59, drawn=False), "ä|*" * 3_000)
    assert len(text_of(sample).encode()) < LIMIT


def cells(text):
    """Unescaped bars of each line that belongs to a table."""
    return [len(re.findall(r"(?<!\\)\|", li)) for li in text.splitlines() if li.startswith("|")]


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_hostile_strings_are_plain_words(payload):
    text = text_of(with_every_string(samples.failing(), payload))
    benign = text_of(with_every_string(samples.failing(), twin(payload)))
    assert cells(text) == cells(benign)
    assert text.count("\n") == benign.count("\n")
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    assert not re.search(r"(?<!\\)<[a-zA-Z/!?]", prose)
    assert "https://" not in prose
    assert not re.search(r"(?<!\\)\]\((?!report\.html\))", prose)
    assert not re.search(r"(?<![\\&])[@#](?=\w)", prose)


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_nor_are_the_names_of_nodes_and_shards(payload):
    text = text_of(with_every_string(samples.several(), payload))
    benign = text_of(with_every_string(samples.several(), twin(payload)))
    assert cells(text) == cells(benign)
    assert "what became of it" in text
    assert not re.search(r"(?<!\\)<[a-zA-Z/!?]", text.split("what became of it")[1].split("```")[0])


def test_code_cannot_be_left():
    text = text_of(with_every_string(samples.failing(), "```\n`x` | y"))
    assert text.count("```") == 2
