"""The threshold grammar: one line of text → ``Threshold``, or a sentence and a column.

::

    threshold  := metric ["." stat] ["@" phase] op value       failover_time < 5s
                | "P(" metric op value ")" "<=" share           P(failover_time > 5s) <= 10%
    op         := "<" | "<=" | ">" | ">=" | "==" | "!="
    value      := number | duration | percent | rate | N "x baseline"
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from typing import Literal, cast

from chaoskit.experiment.catalogue import METRICS, PHASES, is_stat, kinds_of, within_trial
from chaoskit.experiment.threshold import Threshold
from chaoskit.units import UnitError, parse_duration, parse_rate, parse_ratio
from chaoskit.wording import did_you_mean, listed, quoted

__all__ = ["ThresholdError", "parse_name", "parse_threshold", "threshold_text"]

Op = Literal["<", "<=", ">", ">=", "==", "!="]
Unit = Literal["s", "ratio", "count", "rate", "baseline"]

_LONGEST = 200
_EXAMPLE = "write it like failover_time < 5s"
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OP = re.compile(r"<=|>=|==|!=|<|>|=")
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,12})?")
_BASELINE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,12})?)\s*x\s*baseline")
_STAT = re.compile(r"[A-Za-z0-9_]+(?:\.[0-9]+)?")


class ThresholdError(ValueError):
    """``column`` counts from 0 inside the text; ``str()`` is the sentence."""

    def __init__(self, column: int, sentence: str) -> None:
        self.column = column
        super().__init__(sentence)


def parse_threshold(
    text: str, *, line: int = 0, because: str | None = None, others: Collection[str] = ()
) -> Threshold:
    """Parse and check one threshold. ``others`` are metrics that third parties installed.

    Raises ``ThresholdError``. ``parse_threshold(t.text)`` gives ``t`` again, up to line and reason.
    """
    if len(text) > _LONGEST:
        raise ThresholdError(0, f"a threshold has at most {_LONGEST} characters")
    parser = _Parser(text, others)
    found = parser.exceedance() if parser.peek("P(") else parser.comparison()
    parser.end()
    return replace(found, text=threshold_text(found, parser.value_text), line=line, because=because)


def parse_name(text: str, others: Collection[str] = ()) -> tuple[str, str | None, str | None, int]:
    """The ``metric[.stat][@phase]`` that ``text`` begins with, and the column of what follows.

    Raises ``ThresholdError``.
    """
    return _Parser(text, others).name()


def threshold_text(threshold: Threshold, value: str) -> str:
    """The canonical line; ``value`` as its author wrote it."""
    name = threshold.metric
    name += f".{threshold.stat}" if threshold.stat else ""
    name += f"@{threshold.phase}" if threshold.phase else ""
    if threshold.exceedance is None:
        return f"{name} {threshold.op} {value}"
    bound, _, share = value.partition("|")
    return f"P({name} {threshold.op} {bound}) <= {share}"


class _Parser:
    """Reads from left to right; every complaint knows its column."""

    def __init__(self, text: str, others: Collection[str]) -> None:
        self._text = text
        self._at = 0
        self._others = others
        self.value_text = ""

    # ------------------------------------------------------------ the two forms

    def comparison(self) -> Threshold:
        metric, stat, phase = self._name()
        op = self._op()
        column = self._blanks()
        raw = self._text[self._at :].rstrip()
        self._at = len(self._text)
        return self._threshold(Threshold("", metric, op, 0.0, "count", stat, phase), raw, column)

    def name(self) -> tuple[str, str | None, str | None, int]:
        return *self._name(), self._blanks()

    def exceedance(self) -> Threshold:
        self._at += 2
        column = self._blanks()
        metric, stat, phase = self._name()
        if stat is not None or phase is not None:
            raise ThresholdError(column, "inside P(...) a metric stands alone: it is one per trial")
        if metric in METRICS and METRICS[metric].over != "trials":
            raise ThresholdError(
                column, f"P(...) is about trials, and {metric} has no time per trial"
            )
        at = self._at
        op = self._op()
        if op not in (">", ">="):
            raise ThresholdError(
                at, "P(...) bounds how often a limit is exceeded; write > inside it"
            )
        column = self._blanks()
        close = self._text.find(")", self._at)
        if close < 0:
            raise ThresholdError(len(self._text), "the ')' of P(...) is missing")
        raw = self._text[self._at : close].rstrip()
        self._at = close + 1
        found = self._threshold(Threshold("", metric, op, 0.0, "count"), raw, column)
        if found.unit == "baseline":
            raise ThresholdError(column, "inside P(...) a bound in units is needed, e.g. 5s")
        inner = self.value_text
        at = self._blanks()
        if self._op() != "<=":
            raise ThresholdError(at, "after P(...) comes <= and a share, e.g. <= 10%")
        column = self._blanks()
        share = self._text[self._at :].rstrip()
        self._at = len(self._text)
        try:
            q = parse_ratio(share)
        except UnitError as error:
            raise ThresholdError(column, str(error)) from None
        if not 0 < q < 1:
            raise ThresholdError(column, "a share between 0% and 100% is needed, both excluded")
        self.value_text = f"{inner}|{_tight(share)}"
        return replace(found, exceedance=q)

    # ------------------------------------------------------------ parts

    def peek(self, word: str) -> bool:
        self._blanks()
        return self._text.startswith(word, self._at)

    def end(self) -> None:
        if self._text[self._at :].strip():
            raise ThresholdError(self._at, f"nothing can follow here; {_EXAMPLE}")

    def _blanks(self) -> int:
        while self._at < len(self._text) and self._text[self._at] in " \t":
            self._at += 1
        return self._at

    def _name(self) -> tuple[str, str | None, str | None]:
        column = self._blanks()
        word = _WORD.match(self._text, self._at)
        if word is None:
            raise ThresholdError(column, f"a threshold begins with a metric; {_EXAMPLE}")
        metric = word[0]
        self._at = word.end()
        if metric not in METRICS and metric not in self._others:
            hint = did_you_mean(metric, [*METRICS, *self._others])
            raise ThresholdError(column, f"unknown metric {quoted(metric)}{hint}")
        stat = phase = None
        if self._text.startswith(".", self._at):
            stat = self._stat(metric)
        if self._text.startswith("@", self._at):
            phase = self._phase(metric)
        facts = METRICS.get(metric)
        if facts is not None and facts.over == "requests" and stat is None:
            raise ThresholdError(
                column, f"{metric} needs a statistic, e.g. {metric}.p99@recovered < 250ms"
            )
        return metric, stat, phase

    def _stat(self, metric: str) -> str:
        self._at += 1
        word = _STAT.match(self._text, self._at)
        column = self._at
        stat = word[0] if word else ""
        if not is_stat(stat):
            known = ["min", "max", "mean", "count", "rate", "p50", "p95", "p99"]
            raise ThresholdError(
                column, f"unknown statistic {quoted(stat)}{did_you_mean(stat, known)}"
            )
        self._at += len(stat)
        facts = METRICS.get(metric)
        both = facts is not None and facts.kinds >= {"count", "ratio"}  # it says which is meant
        if (facts is not None and facts.over == "nothing") or (
            stat in ("count", "rate") and not both
        ):
            raise ThresholdError(column, f"{metric} has no statistic {quoted(stat)}")
        if stat == "mean" and (facts is None or facts.over != "requests"):
            raise ThresholdError(
                column,
                f"a mean over trials hides how they scatter; use {metric}.p50, with its interval "
                f"from six trials on, or {metric}.max",
            )
        return stat

    def _phase(self, metric: str) -> str:
        self._at += 1
        column = self._at
        word = _WORD.match(self._text, self._at)
        phase = word[0] if word else ""
        if phase not in PHASES:
            raise ThresholdError(
                column, f"unknown phase {quoted(phase)}{did_you_mean(phase, PHASES)}"
            )
        self._at += len(phase)
        facts = METRICS.get(metric)
        if facts is not None and not facts.phased:
            phased = listed([n for n, f in METRICS.items() if f.phased])
            raise ThresholdError(column - 1, f"{metric} takes no @phase; {phased} do")
        return phase

    def _op(self) -> Op:
        column = self._blanks()
        found = _OP.match(self._text, self._at)
        if found is None:
            raise ThresholdError(column, "a comparison is missing here: <, <=, >, >=, == or !=")
        if found[0] == "=":
            raise ThresholdError(column, "write == for 'is equal to'")
        self._at = found.end()
        return cast("Op", found[0])

    # ------------------------------------------------------------ the value

    def _threshold(self, begun: Threshold, raw: str, column: int) -> Threshold:
        """``begun`` with the value that ``raw`` says, if metric, statistic and value agree."""
        metric, op = begun.metric, begun.op
        value, unit = self._value(raw, column, metric)
        self.value_text = _tight(raw)
        facts = METRICS.get(metric)
        if unit == "baseline":
            if facts is not None and not facts.phased:
                raise ThresholdError(column, f"{metric} has no baseline to compare with")
            if begun.phase == "baseline":
                raise ThresholdError(column, "the baseline cannot be compared with itself")
            if op in ("==", "!="):
                raise ThresholdError(column, "compare with the baseline by <, <=, > or >=")
            if begun.stat is not None and not within_trial(metric, begun.stat):
                raise ThresholdError(
                    column, f"each trial has a baseline of its own; leave out .{begun.stat}"
                )
            if begun.stat == "count":
                raise ThresholdError(column, "a count of another length of time; compare .rate")
        elif unit in ("s", "rate") and value != 0 and op in ("==", "!="):
            raise ThresholdError(column, "a measured time is an interval; use <, <=, > or >=")
        if begun.stat == "rate" and unit == "count":
            raise ThresholdError(column, f"{metric}.rate is a share of requests; write e.g. 2%")
        if begun.stat == "count" and unit == "ratio":
            raise ThresholdError(column, f"{metric}.count is a number; write e.g. 20")
        return replace(begun, value=value, unit=unit)

    def _value(self, raw: str, column: int, metric: str) -> tuple[float, Unit]:
        if not raw:
            raise ThresholdError(column, f"a value is missing; {_EXAMPLE}")
        times = _BASELINE.fullmatch(raw)
        if times is not None:
            if float(times[1]) == 0:
                raise ThresholdError(column, "0 x baseline is 0; write the bound itself")
            return float(times[1]), "baseline"
        kinds = kinds_of(metric, self._others)
        try:
            if _NUMBER.fullmatch(raw):
                return self._bare(raw, column, metric, kinds)
            return self._with_unit(raw, column, metric, kinds)
        except UnitError as error:
            raise ThresholdError(column, str(error)) from None

    def _bare(
        self, raw: str, column: int, metric: str, kinds: Collection[str] | None
    ) -> tuple[float, Unit]:
        """A number without a unit: a count, a share, or 0 of anything."""
        number = float(raw)
        if kinds is None:
            return number, "count"
        if "count" in kinds:
            if not number.is_integer():
                hint = f"; write '{raw}%' for a share" if "ratio" in kinds else ""
                raise ThresholdError(column, f"{metric} is counted in whole numbers{hint}")
            return number, "count"
        if "ratio" in kinds:
            return parse_ratio(raw), "ratio"
        return parse_duration(raw), "s"  # 0, or the sentence that asks for a unit

    def _with_unit(
        self, raw: str, column: int, metric: str, kinds: Collection[str] | None
    ) -> tuple[float, Unit]:
        unit: Unit
        if raw.endswith("%"):
            value, unit = parse_ratio(raw), "ratio"
        elif "/" in raw:
            value, unit = parse_rate(raw), "rate"
        elif "x" in raw:
            raise ThresholdError(
                column, f"{quoted(raw)} is not understood; write e.g. 2 x baseline"
            )
        elif kinds is not None and "s" not in kinds and not raw[0].isdigit():
            raise UnitError(f"{quoted(raw)} is not a value; write e.g. {_example(kinds)}")
        else:
            value, unit = parse_duration(raw), "s"
        if kinds is not None and unit not in kinds:
            raise ThresholdError(
                column, f"{metric} is not measured like {quoted(raw)}; write e.g. {_example(kinds)}"
            )
        return value, unit


def _example(kinds: Collection[str]) -> str:
    return listed([{"s": "5s", "ratio": "2%", "count": "0"}[kind] for kind in sorted(kinds)])


def _tight(raw: str) -> str:
    """Blanks as we write them: none inside a quantity, one around the x of a baseline."""
    times = _BASELINE.fullmatch(raw)
    return f"{times[1]} x baseline" if times else re.sub(r"\s+", "", raw)
