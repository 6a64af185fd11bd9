"""How much worse than a baseline is too much: one line of text → ``Margin``.

::

    margin := metric ["." stat] ["@" phase] ["+" amount]       failover_time +10%
    amount := percent (of the baseline's median) | duration | number
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from chaoskit.experiment.catalogue import METRICS, SAFETY
from chaoskit.experiment.grammar import ThresholdError, parse_name
from chaoskit.units import UnitError, parse_duration
from chaoskit.wording import quoted

__all__ = ["Margin", "parse_compared", "parse_margin"]

_LONGEST = 200
_EXAMPLE = "write it like failover_time +10%"
_MORE_IS_BETTER = {
    "availability": "error_rate",
    "user_uptime": "client_outage_union",
    "query_accuracy": "mistake_duration",
}
"""What is to be compared in their place: a shift upwards is judged as worse."""
_AMOUNT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(%?)")


@dataclass(frozen=True)
class Margin:
    """A metric to compare, and the shift that is allowed; ``unit`` None: the usual one.

    ``value`` is a share of the baseline's median, seconds, or a count.
    """

    text: str  # as written, blanks normalised
    metric: str
    stat: str | None = None
    phase: str | None = None
    value: float = math.nan
    unit: Literal["ratio", "s", "count"] | None = None

    @property
    def name(self) -> str:
        """``latency.p99@recovered``."""
        stat = f".{self.stat}" if self.stat else ""
        return self.metric + stat + (f"@{self.phase}" if self.phase else "")


def parse_compared(text: str) -> Margin:
    """A metric without an amount, as ``--metric`` takes it. Raises ``ThresholdError``."""
    margin, at = _begin(text)
    if at < len(text):
        raise ThresholdError(at, "a metric stands alone here; amounts belong to --fail-if")
    return margin


def parse_margin(text: str) -> Margin:
    """A metric and its amount. Raises ``ThresholdError`` with a column from 0."""
    margin, at = _begin(text)
    if not text.startswith("+", at):
        raise ThresholdError(at, f"a + and an amount are missing here; {_EXAMPLE}")
    column = at + 1 + len(text[at + 1 :]) - len(text[at + 1 :].lstrip(" \t"))
    raw = text[column:].rstrip()
    kinds = METRICS[margin.metric].kinds - ({"count"} if margin.stat == "rate" else set())
    what = margin.metric + (".rate" if margin.stat == "rate" else "")
    value, unit = _amount(raw, column, what, kinds)
    tight = re.sub(r"\s+", "", raw)
    return Margin(f"{margin.name} +{tight}", margin.metric, margin.stat, margin.phase, value, unit)


def _begin(text: str) -> tuple[Margin, int]:
    if len(text) > _LONGEST:
        raise ThresholdError(0, f"a margin has at most {_LONGEST} characters")
    if not text.strip():
        raise ThresholdError(0, f"a metric is missing; {_EXAMPLE}")
    metric, stat, phase, at = parse_name(text)
    column = len(text) - len(text.lstrip())
    if metric in SAFETY:
        raise ThresholdError(
            column, f"{metric} has no margin: what BASE has none of, NEW may have none of"
        )
    if (other := _MORE_IS_BETTER.get(metric)) is not None:
        raise ThresholdError(column, f"compare {other}: more of it is worse, as of the others")
    if stat is not None and METRICS[metric].over == "trials" and stat != "rate":
        raise ThresholdError(
            column + len(metric), "the values of all trials are compared, not a statistic of them"
        )
    margin = Margin(text.strip(), metric, stat, phase)
    return Margin(margin.name, metric, stat, phase), at


def _amount(
    raw: str, column: int, metric: str, kinds: Collection[str]
) -> tuple[float, Literal["ratio", "s", "count"]]:
    if not raw:
        raise ThresholdError(column, f"an amount is missing after +; {_EXAMPLE}")
    found = _AMOUNT.fullmatch(raw)
    if found is not None and found[2]:
        return float(found[1]) / 100, "ratio"
    if "count" in kinds:
        if found is None:
            raise ThresholdError(
                column, f"{quoted(raw)} is no amount of {metric}; e.g. +20 or +10%"
            )
        return float(found[1]), "count"
    if "s" not in kinds:
        raise ThresholdError(column, f"{quoted(raw)} is no amount of {metric}; write e.g. +10%")
    try:
        return parse_duration(raw), "s"
    except UnitError as error:
        raise ThresholdError(column, str(error)) from None
