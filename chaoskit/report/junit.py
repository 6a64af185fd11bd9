"""JUnit XML: the experiment is a suite, each threshold a test case.

What a CI shows as red must be what the verdict says, so a suite whose thresholds do not tell
the whole story gets one more test case, named "verdict".
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from chaoskit.judge.result import ExpectationResult, Interval, RunResult, TrialResult, Verdict
from chaoskit.report.facts import RunFacts
from chaoskit.report.format import block, clean

__all__ = ["ELEMENT", "render_junit"]

ELEMENT = {
    Verdict.FAIL: ("failure", "ThresholdMissed"),
    Verdict.INVALID: ("error", "Invalid"),
    Verdict.INCONCLUSIVE: ("error", "Inconclusive"),
    Verdict.ABORTED: ("error", "Aborted"),
    Verdict.ERROR: ("error", "Error"),
    Verdict.INTERRUPTED: ("skipped", "Interrupted"),
}
"""Verdict → element and its type; PASS has none."""


def render_junit(result: RunResult, facts: RunFacts) -> str:
    """One ``testsuites`` document, well-formed XML 1.0 whatever the strings hold."""
    name = clean(result.experiment)
    suite = ET.Element("testsuite", {"name": name})
    _properties(suite, result, facts)
    outcomes: list[str | None] = []
    for found in result.expectations:
        seconds = _observed_s(found, result)
        message = f"{found.expression}: {found.observed}" + (
            f" ({found.reason})" if found.reason else ""
        )
        outcomes.append(
            _case(suite, found.expression, found.verdict, message=message, seconds=seconds)
        )
    wanted = ELEMENT.get(result.verdict, (None, ""))[0]
    if not outcomes or (wanted is not None and wanted not in outcomes):
        message = " ".join((result.sentence, *_reasons(result)))
        outcomes.append(_case(suite, "verdict", result.verdict, message=message, seconds=0.0))
    ET.SubElement(suite, "system-out").text = _story(result, facts)
    totals = {
        "tests": str(len(outcomes)),
        "failures": str(outcomes.count("failure")),
        "errors": str(outcomes.count("error")),
        "skipped": str(outcomes.count("skipped")),
        "time": f"{facts.took_s:.3f}",
    }
    suite.attrib.update(totals)
    moment = re.fullmatch(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", facts.started_utc)
    if moment:
        year, month, day, hour, minute, second = moment.groups()
        suite.set("timestamp", f"{year}-{month}-{day}T{hour}:{minute}:{second}")
    root = ET.Element("testsuites", {"name": "chaoskit", **totals})
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _properties(suite: ET.Element, result: RunResult, facts: RunFacts) -> None:
    properties = ET.SubElement(suite, "properties")
    for key, value in (
        ("verdict", result.verdict.value),
        ("exit_code", str(result.exit_code)),
        ("seed", str(result.seed)),
        ("run", facts.run),
        ("lab", result.lab),
        ("stack", facts.stack),
        ("profile", facts.profile),
        ("trials", str(len(result.trials))),
        ("chaoskit", facts.version),
        *((("planted", facts.warning()),) if facts.planted else ()),
    ):
        ET.SubElement(properties, "property", {"name": key, "value": clean(value)})


def _case(
    suite: ET.Element, name: str, verdict: Verdict, *, message: str, seconds: float
) -> str | None:
    """Append one test case; the name of the element that says it did not pass, or None."""
    case = ET.SubElement(
        suite,
        "testcase",
        {"classname": suite.get("name", ""), "name": clean(name, 300), "time": f"{seconds:.3f}"},
    )
    if verdict is Verdict.PASS:
        return None
    element, kind = ELEMENT[verdict]
    told = ET.SubElement(case, element, {"message": clean(message), "type": kind})
    if element != "skipped":
        told.text = clean(message, 4_000)
    return element


def _observed_s(found: ExpectationResult, result: RunResult) -> float:
    """The observed seconds where the threshold bounds a time: of the trial that decided it."""
    match = re.match(r"[a-z_]+", found.expression)
    metric = match.group() if match else ""
    values = [
        value
        for trial in result.trials
        if found.trial is None or trial.n == found.trial
        if (value := _value_s(trial, metric)) is not None
    ]
    return max(values, default=0.0)


def _value_s(trial: TrialResult, metric: str) -> float | None:
    found = getattr(trial.metrics, metric, None)
    return found.value_s if isinstance(found, Interval) else None


def _reasons(result: RunResult) -> list[str]:
    return [f"Trial {t.n}: {reason}." for t in result.trials for reason in t.invalid_because]


def _story(result: RunResult, facts: RunFacts) -> str:
    """What a person who opens the test case reads: the sentence, and how to repeat it."""
    lines = [
        f"{result.verdict.value} {clean(result.experiment)}",
        clean(result.sentence),
        *((clean(facts.warning()),) if facts.planted else ()),
        *(clean(line) for line in _reasons(result)[:100]),
        *(clean(line) for line in result.claims),
        *(f"not checked: {clean(line)}" for line in result.not_checked),
        f"repeat: {clean(facts.command())}",
    ]
    return block("\n".join(lines), 20_000)
