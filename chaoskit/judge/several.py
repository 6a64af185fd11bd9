"""Thresholds over trials where there are several of them, or several looks at a growing run.

Pure, and the same while a run decides whether to stop as when its records are judged again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chaoskit.experiment.threshold import Threshold
from chaoskit.judge.bounds import AT_MOST, ORDERED, Bounded
from chaoskit.judge.result import ExpectationResult, Verdict
from chaoskit.judge.thresholds import exceedances, judge_all, judge_statistic, over_trials
from chaoskit.judge.wording import plural
from chaoskit.measure.holm import holm
from chaoskit.measure.looks import ERROR, Boundary, boundaries, describe
from chaoskit.measure.reading import quantile_of
from chaoskit.measure.statistics import binomial_cdf

__all__ = ["corrected", "judge_looks", "percentile", "said"]

_DECIDED = (Verdict.PASS, Verdict.FAIL)
_SPANS = ("max", "min")  # what was seen, not a bound on what was not
_MEDIANS = ("median", "p50")
_FLIPPED = {Verdict.PASS: Verdict.FAIL, Verdict.FAIL: Verdict.PASS}


def _statistical(threshold: Threshold) -> bool:
    return over_trials(threshold) and (
        threshold.exceedance is not None or threshold.stat not in _SPANS
    )


def percentile(threshold: Threshold) -> float | None:
    """The quantile over trials that the threshold is about; the median has its own interval."""
    if not _statistical(threshold) or threshold.stat in _MEDIANS:
        return None
    return quantile_of(threshold.stat or "")


def _allowed(threshold: Threshold) -> float | None:
    """The share of failovers that the threshold allows to be beyond its bound, where it counts.

    ``P(m > 5s) <= 10%`` says it. ``m.p95 < 5s`` is the same as: at most 5 % are not below 5 s.
    """
    q = percentile(threshold)
    if q is None:
        return threshold.exceedance
    return 1 - q if threshold.op in AT_MOST else q


def judge_looks(
    threshold: Threshold, seen: Sequence[Bounded], looks: tuple[int, ...], family: int
) -> ExpectationResult:
    """One threshold over the valid trials of a run with a plan of looks.

    What a look decided stands. The ``family`` of ``P(...)`` bounds shares the error evenly
    (Bonferroni), since each spends it by its own boundaries; any other has all of it. A bound on
    every trial needs no plan: it speaks of the trials that there are.
    """
    if not looks or not _statistical(threshold) or not seen:
        return judge_all(threshold, seen)
    if threshold.op not in ORDERED and percentile(threshold) is not None:
        return _both_sides(threshold, seen, looks, family)
    error = ERROR if threshold.exceedance is None else ERROR / max(1, family)
    allowed = _allowed(threshold)
    for look in boundaries(looks, 0.5 if allowed is None else allowed, error):
        if look.n > len(seen):
            break
        first = seen[: look.n]
        if allowed is None:
            found = judge_statistic(threshold, first, look.level)
            if found.verdict in _DECIDED:
                return found.model_copy(update={"observed": f"{found.observed}, look {look.n}"})
        elif (decided := _at_look(threshold, first, look)) is not None:
            return decided
    last = judge_all(threshold, seen)
    reason = (
        f"no look decided in {plural(len(seen), 'trial')}: more trials, under a higher cap, would"
    )
    return last.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "reason": reason})


def _at_look(
    threshold: Threshold, first: Sequence[Bounded], look: Boundary
) -> ExpectationResult | None:
    """What a look decides by the number of trials that exceed, or miss a percentile's bound."""
    sure, possible = exceedances(threshold, first)
    if threshold.exceedance is None:  # what keeps the bound is counted there, what misses it here
        sure, possible = look.n - possible, look.n - sure
    if possible <= look.pass_at:
        verdict = Verdict.PASS
    elif sure >= look.fail_at:
        verdict = Verdict.FAIL
    else:
        return None
    count = f"{possible if possible == sure else f'{sure} to {possible}'} of {look.n}"
    count += "" if threshold.exceedance is not None else " beyond the bound"
    return ExpectationResult(
        expression=threshold.text,
        observed=f"{count}, decided at look {look.n} of the plan",
        verdict=verdict,
        line=threshold.line,
        reason=threshold.because if verdict is Verdict.FAIL else None,
    )


def _both_sides(
    threshold: Threshold, seen: Sequence[Bounded], looks: tuple[int, ...], family: int
) -> ExpectationResult:
    """A percentile that is to equal a value, or not to: neither above nor below it."""
    sides = [judge_looks(replace(threshold, op=op), seen, looks, family) for op in ("<=", ">=")]
    order = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS)
    found = min(sides, key=lambda side: order.index(side.verdict))
    if threshold.op == "==":
        return found
    verdict = _FLIPPED.get(found.verdict, found.verdict)
    reason = found.reason if verdict is Verdict.INCONCLUSIVE else None
    reason = threshold.because if verdict is Verdict.FAIL else reason
    return found.model_copy(update={"verdict": verdict, "reason": reason})


def corrected(
    thresholds: Sequence[Threshold],
    seen: Sequence[Sequence[Bounded]],
    found: Sequence[ExpectationResult],
) -> list[ExpectationResult]:
    """Holm's correction of several ``P(...)`` bounds in one run, all judged after the last trial.

    ``seen`` holds for each threshold what the valid trials say. A verdict that its adjusted p does
    not carry becomes INCONCLUSIVE.
    """
    family = [i for i, t in enumerate(thresholds) if t.exceedance is not None and seen[i]]
    kept = list(found)
    if len(family) < 2:
        return kept
    p_values = [_p(thresholds[i], seen[i], found[i].verdict) for i in family]
    for i, p in zip(family, holm(p_values), strict=True):
        if found[i].verdict in _DECIDED and p > ERROR + 1e-12:
            reason = (
                f"one of {len(family)} such bounds: p is {p:.2g} after Holm's correction, above "
                f"{ERROR:g}; more trials would tell"
            )
            kept[i] = found[i].model_copy(
                update={"verdict": Verdict.INCONCLUSIVE, "reason": reason}
            )
    return kept


def _p(threshold: Threshold, seen: Sequence[Bounded], verdict: Verdict) -> float:
    """How likely so few (PASS) or so many (FAIL) would be at a share that is just allowed."""
    sure, possible = exceedances(threshold, seen)
    allowed, n = threshold.exceedance or 0.0, len(seen)
    if verdict is Verdict.PASS:
        return binomial_cdf(possible, n, allowed)
    if verdict is Verdict.FAIL:
        return 1 - binomial_cdf(sure - 1, n, allowed)
    return 1.0


def said(thresholds: Sequence[Threshold], looks: Sequence[int]) -> list[str]:
    """What the reader must know of how several bounds or looks were judged."""
    family = sum(t.exceedance is not None for t in thresholds)
    lines = []
    if looks:
        lines.append(
            f"Planned before the run: {describe(looks)}. Intervals of medians, bounds of p95 and "
            "rates beside the verdicts are those of one look."
        )
    if family > 1:
        how = "share the error of the plan evenly" if looks else "were corrected by Holm's method"
        lines.append(f"{family} bounds of the form P(...) {how}: 5 % error for all together.")
    return lines
