"""The summary for a pull request's comment or a job's page. Always below 50 kB."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from chaoskit.judge.result import RunResult, TrialResult, Verdict
from chaoskit.report.facts import RunFacts
from chaoskit.report.figures import by_severity, figure, reasons, worst_first
from chaoskit.report.format import NONE, clean, over_trials, seconds
from chaoskit.report.sharing import build_sharing

__all__ = ["LIMIT", "SIGNS", "as_text", "render_markdown"]

LIMIT = 50_000
"""Bytes; GitHub drops a job's whole summary above its own, larger limit."""

SIGNS = {
    Verdict.PASS: "✅",
    Verdict.FAIL: "❌",
    Verdict.INCONCLUSIVE: "❔",
    Verdict.INVALID: "🚫",
    Verdict.INTERRUPTED: "⏸️",
    Verdict.ABORTED: "⏹️",
    Verdict.ERROR: "❗",
}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~@$])")
_COLUMNS = (
    ("client_outage", "client outage"),
    ("failover_time", "failover time"),
    ("dropped_requests", "dropped"),
    ("lost_writes", "lost"),
)


def render_markdown(result: RunResult, facts: RunFacts) -> str:
    """GitHub's flavour; no HTML in it, and no string of the run can add any."""
    rows, text = 60, ""
    while rows:
        text = "\n".join(_lines(result, facts, rows)) + "\n"
        if len(text.encode()) < LIMIT:
            return text
        rows //= 2
    return text.encode()[: LIMIT - 100].decode(errors="ignore") + "\n\n(cut: see report.html)\n"


def as_text(text: str, limit: int = 300) -> str:
    """Foreign words as plain text: nothing in them is markup, a link, a mention or a cell's end."""
    escaped = _SPECIAL.sub(r"\\\1", clean(text, limit).replace("&", "&amp;"))
    escaped = escaped.replace(r"\<", "&lt;").replace(r"\>", "&gt;").replace(r"\@", "&#64;")
    return escaped.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")


def _code(text: str, limit: int = 300) -> str:
    """Foreign words as code. A bar would end a table's cell even there."""
    inner = clean(text, limit).replace("`", "'").replace("|", "\N{DIVIDES}")
    return f"`{inner}`" if inner else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(head) + " |",
        "|" + " --- |" * len(head),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]


def _lines(result: RunResult, facts: RunFacts, most: int) -> list[str]:
    lines = [
        f"## {SIGNS[result.verdict]} {result.verdict.value} {as_text(result.experiment)}",
        "",
        f"**{as_text(result.sentence, 1_000)}**",
        "",
    ]
    if facts.planted:
        lines += [f"**{as_text(facts.warning(), 1_000)}**", ""]
    if result.question:
        lines += [f"Question: {as_text(result.question, 1_000)}", ""]
    for reason, trials in reasons(result, most):
        lines.append(f"- invalid ({_which(trials)}): {as_text(reason)}")
    if lines[-1]:
        lines.append("")
    if result.expectations:
        lines += _thresholds(result, most)
    if result.trials:
        lines += _trials(result, most)
        lines += _sharing(result, most)
    lines += [f"- {as_text(claim)}" for claim in result.claims[:most]]
    lines += [f"- not checked: {as_text(one)}" for one in result.not_checked[:most]]
    started, version = as_text(facts.started()), as_text(facts.version)
    took, software = seconds(facts.took_s), f"chaoskit {version}."
    lines += [
        "",
        f"Lab {as_text(result.lab)}, seed {result.seed}, {started}, took {took}, " + software,
        "",
        "Full report: [report.html](report.html). Repeat it:",
        "",
        "```sh",
        clean(facts.command(), 2_000).replace("`", "'"),
        "```",
    ]
    return lines


def _which(trials: Sequence[int]) -> str:
    shown = ", ".join(str(n) for n in trials[:8])
    more = f" and {len(trials) - 8} more" if len(trials) > 8 else ""
    return f"trial{'s' if len(trials) > 1 else ''} {shown}{more}"


def _thresholds(result: RunResult, most: int) -> list[str]:
    return _table(
        ("", "threshold", "observed", "margin", "verdict"),
        (
            (
                SIGNS[e.verdict],
                _code(e.expression),
                as_text(e.observed),
                as_text(e.margin or NONE),
                e.verdict.value + (f": {as_text(e.reason)}" if e.reason else ""),
            )
            for e in worst_first(result.expectations)[:most]
        ),
    )


def _trials(result: RunResult, most: int) -> list[str]:
    """Every trial where there is room; else the worst of them first."""
    shown = list(result.trials)
    if len(shown) > most:
        shown = sorted(shown, key=lambda t: (by_severity(t.verdict), -_outage(t), t.n))[:most]
    lines = _table(
        ("trial", "verdict", *(label for _, label in _COLUMNS)),
        (
            (str(t.n), t.verdict.value, *(as_text(figure(t.metrics, key)) for key, _ in _COLUMNS))
            for t in shown
        ),
    )
    if len(shown) < len(result.trials):
        left = len(result.trials) - len(shown)
        lines.insert(-1, f"\n{left} more trials stand in the full report.")
    over = [(label, result.summary[key]) for key, label in _COLUMNS if key in result.summary]
    if len(result.trials) > 1 and over:
        said = "; ".join(f"{label} {over_trials(found)}" for label, found in over)
        lines += [
            f"Median over valid trials (95 % interval; of fewer than six the extremes): {said}.",
            "",
        ]
    return lines


def _sharing(result: RunResult, most: int) -> list[str]:
    """Where several nodes serve: up to three trials, those in which most went wrong."""
    found = build_sharing(result, most, few=3)
    if found is None:
        return []
    lines: list[str] = []
    if found.nodes:
        head = ("trial", "node", "share before", "under the fault", "after", "what became of it")
        lines += _table(
            head,
            (
                (str(r.trial), as_text(r.node), *(text for text, _ in r.bars), r.became)
                for r in found.nodes
            ),
        )
    if found.impacts:
        words = ("bad in the second of the fault", "answered", "p50", "p99")
        lines += _table(
            ("trial", *words),
            (
                (str(r.trial), *(f"{now}; before: {before}" for now, before in r.cells))
                for r in found.impacts
            ),
        )
    if found.shards:
        lines += _table(
            ("shard", "longest outage"), ((as_text(r.shard), r.worst) for r in found.shards)
        )
    if len(found.trials) < found.of:
        lines += [f"The worst {len(found.trials)} of {found.of} trials in that second.", ""]
    return lines


def _outage(trial: TrialResult) -> float:
    if trial.metrics is None or trial.metrics.client_outage.value_s is None:
        return 0.0
    return trial.metrics.client_outage.value_s
