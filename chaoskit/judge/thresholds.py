"""One threshold against one trial, and against all of them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from chaoskit.experiment.catalogue import SAFETY, within_trial
from chaoskit.experiment.threshold import Threshold
from chaoskit.judge.bounds import AT_MOST, ORDERED, Bound, Bounded, holds, slack
from chaoskit.judge.result import ExpectationResult, Verdict
from chaoskit.judge.wording import plural, quantity, reading
from chaoskit.measure.model import Metrics
from chaoskit.measure.reading import Reading, read
from chaoskit.measure.sampling import sampled
from chaoskit.measure.statistics import (
    exceedance_lower,
    exceedance_upper,
    median,
    median_interval,
    quantile_lower,
    quantile_upper,
    trials_needed,
)
from chaoskit.measure.view import View

__all__ = [
    "SAFETY",
    "exceedances",
    "expectation",
    "judge_all",
    "judge_statistic",
    "measure",
    "over_trials",
]


def over_trials(threshold: Threshold) -> bool:
    """Does it speak of a statistic over trials, rather than of every trial?"""
    return threshold.exceedance is not None or (
        threshold.stat is not None and not within_trial(threshold.metric, threshold.stat)
    )


def measure(threshold: Threshold, n: int, view: View, metrics: Metrics) -> Bounded:
    """What the threshold is about, in trial ``n``."""
    if threshold.unit == "baseline":
        return _against_baseline(threshold, n, view, metrics)
    found = read(
        view,
        metrics,
        threshold.metric,
        stat=_within(threshold),
        phase=threshold.phase,
        unit=threshold.unit,
    )
    return Bounded(n, found, Bound.exact(threshold.value))


def _within(threshold: Threshold) -> str | None:
    """The statistic within the trial; one over trials is not asked of a trial."""
    stat = threshold.stat
    return stat if stat is not None and within_trial(threshold.metric, stat) else None


def _against_baseline(threshold: Threshold, n: int, view: View, metrics: Metrics) -> Bounded:
    """``N x baseline``: both are samples, and what another sample might have shown is no miss.

    The end that meets the bound stays what clients met.
    """
    metric, stat, phase = threshold.metric, _within(threshold), threshold.phase
    found = read(view, metrics, metric, stat=stat, phase=phase, unit="ratio")
    base = sampled(view, metrics, metric, stat, "baseline")
    if not (found.applicable and base.applicable) or base.censored:  # nothing was answered there
        return Bounded(n, found, Bound.exact(math.nan))
    maybe = sampled(view, metrics, metric, stat, phase)
    if threshold.op in AT_MOST:
        found = replace(found, low=min(found.low, maybe.low))
    else:
        found = replace(found, high=max(found.high, maybe.high))
    times = threshold.value
    return Bounded(n, found, Bound(times * base.low, times * base.value, times * base.high))


def expectation(threshold: Threshold, seen: Bounded) -> ExpectationResult:
    """The threshold in one trial."""
    if not seen.reading.applicable:
        return ExpectationResult(
            expression=threshold.text,
            observed=reading(seen.reading),
            verdict=Verdict.INVALID,
            trial=seen.n,
            line=threshold.line,
            reason="a bound on something that did not happen proves nothing",
        )
    verdict = holds(threshold.op, seen.bound, seen.reading)
    return ExpectationResult(
        expression=threshold.text,
        observed=_observed(threshold, seen),
        verdict=verdict,
        margin=_margin(threshold, seen),
        trial=seen.n,
        line=threshold.line,
        reason=_why(threshold, seen, verdict),
    )


def _observed(threshold: Threshold, seen: Bounded) -> str:
    text = reading(seen.reading)
    if threshold.unit != "baseline" or math.isnan(seen.bound.value):
        return text
    return f"{text}; {threshold.value:g} x baseline is {_bound(seen)}"


def _bound(seen: Bounded) -> str:
    found = seen.bound
    return reading(Reading(found.low, found.value, found.high, seen.reading.unit))


def _why(threshold: Threshold, seen: Bounded, verdict: Verdict) -> str | None:
    if verdict is Verdict.FAIL:
        return threshold.because
    return _untold(threshold, seen) if verdict is Verdict.INCONCLUSIVE else None


def _untold(threshold: Threshold, seen: Bounded) -> str:
    """What would tell."""
    if not seen.reading.enough:
        return f"{seen.reading.note}: observe longer or raise the rate"
    if math.isnan(seen.bound.value):
        return "there is nothing to compare with in the baseline"
    if threshold.unit == "baseline":
        return "a longer baseline, by a later fault, or a higher rate would make that narrower"
    if seen.reading.hint is not None:
        return seen.reading.hint
    if seen.reading.censored:
        return f"observation ended before {_bound(seen)} was reached: observe longer"
    return f"the interval contains {_bound(seen)}: a higher rate would make it narrower"


def _margin(threshold: Threshold, seen: Bounded) -> str | None:
    """How far the end that counts is from the bound."""
    if threshold.op not in ORDERED or math.isnan(seen.bound.value):
        return None
    left = slack(threshold.op, seen.bound, seen.reading)
    if math.isinf(left):
        return None
    return f"{quantity(abs(left), seen.reading.unit)} {'to spare' if left >= 0 else 'too much'}"


# ---------------------------------------------------------------- over all trials


def judge_all(threshold: Threshold, seen: Sequence[Bounded]) -> ExpectationResult:
    """The threshold over the valid trials, in all of which it is applicable."""
    if not seen:
        return _over(threshold, "no valid trial", Verdict.INCONCLUSIVE, "nothing to judge")
    if threshold.exceedance is not None:
        return _exceedance(threshold, seen, threshold.exceedance)
    if over_trials(threshold):
        return judge_statistic(threshold, seen)
    each = [expectation(threshold, one) for one in seen]
    order = {Verdict.FAIL: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASS: 2}
    worst = min(
        range(len(seen)),
        key=lambda i: (
            order.get(each[i].verdict, 0),
            slack(threshold.op, seen[i].bound, seen[i].reading),
        ),
    )
    count = f", the worst of {len(seen)}" if len(seen) > 1 else ""
    return each[worst].model_copy(update={"observed": each[worst].observed + count})


def _over(
    threshold: Threshold, observed: str, verdict: Verdict, reason: str | None
) -> ExpectationResult:
    return ExpectationResult(
        expression=threshold.text,
        observed=observed,
        verdict=verdict,
        line=threshold.line,
        reason=reason,
    )


def exceedances(threshold: Threshold, seen: Sequence[Bounded]) -> tuple[int, int]:
    """In how many trials what ``P(...)`` speaks of surely, and possibly, happened."""
    verdicts = [holds(threshold.op, s.bound, s.reading) for s in seen]
    return verdicts.count(Verdict.PASS), len(verdicts) - verdicts.count(Verdict.FAIL)


def _exceedance(threshold: Threshold, seen: Sequence[Bounded], allowed: float) -> ExpectationResult:
    """``P(metric op value) <= q`` by the one-sided Clopper-Pearson bounds, 95 %."""
    sure, possible = exceedances(threshold, seen)
    high = exceedance_upper(possible, len(seen))
    low = exceedance_lower(sure, len(seen))
    observed = (
        f"{possible if possible == sure else f'{sure} to {possible}'} of {len(seen)}; "
        f"at most {high * 100:.2g} % (95 %)"
    )
    if high <= allowed:
        return _over(threshold, observed, Verdict.PASS, None)
    if low > allowed:
        return _over(threshold, observed, Verdict.FAIL, threshold.because)
    needed = trials_needed(allowed, possible) if 0 < allowed < 1 else 0
    hint = f"{plural(needed, 'trial')} with no more of them would show it" if needed else None
    return _over(threshold, observed, Verdict.INCONCLUSIVE, hint)


def judge_statistic(
    threshold: Threshold, seen: Sequence[Bounded], error: float = 0.05 / 2
) -> ExpectationResult:
    """``.median``, ``.pN``, ``.max``, ``.min`` over trials.

    ``error`` on either side of the median's interval; a percentile's may be 5 % at each end, or
    ``error`` where that is less.
    """
    stat, n = threshold.stat or "max", len(seen)
    lows = [s.reading.low for s in seen]
    highs = [s.reading.high for s in seen]
    unit, bound = seen[0].reading.unit, seen[0].bound
    ends = _ends(stat, lows, highs, unit, error)
    if isinstance(ends, str):
        return _over(threshold, f"{plural(n, 'trial')}", Verdict.INCONCLUSIVE, ends)
    if ends is None:
        text = f"there is no statistic {stat!r} over trials"
        return _over(threshold, f"{plural(n, 'trial')}", Verdict.INCONCLUSIVE, text)
    low, high, how = ends
    found = Reading(low, (low + high) / 2, high, unit)
    verdict = holds(threshold.op, bound, found)
    observed = f"{quantity(low, unit)} to {quantity(high, unit)} {how}"
    why = "more trials would narrow it" if verdict is Verdict.INCONCLUSIVE else None
    if verdict is Verdict.FAIL:
        why = threshold.because
    return _over(threshold, observed, verdict, why)


def _ends(
    stat: str, lows: Sequence[float], highs: Sequence[float], unit: str, error: float
) -> tuple[float, float, str] | str | None:
    """Low and high end of a statistic over trials and how they came about; or what is missing."""
    n = len(lows)
    if stat in ("max", "min"):
        pick = max if stat == "max" else min
        return pick(lows), pick(highs), f"({stat} of {n})"
    if stat in ("median", "p50"):
        sure = 1 - 2 * error
        low, high = median_interval(lows, sure), median_interval(highs, sure)
        if low is None or high is None:
            return f"the median needs 6 trials for a 95 % interval and there are {n}"
        return low.low, high.high, f"(median {_mid(lows, highs, unit)}, {low.coverage * 100:.3g} %)"
    match = re.fullmatch(r"p(\d+(?:\.\d+)?)", stat)
    if match is None or not 0 < float(match[1]) < 100:
        return None
    q = float(match[1]) / 100
    side = 1 - (0.05 if error == 0.05 / 2 else error)
    upper, lower = quantile_upper(highs, q, side), quantile_lower(lows, q, side)
    if upper is None or lower is None:
        needed = trials_needed(1 - q) if q > 0.5 else trials_needed(q)
        return f"{stat} over trials needs {needed} of them and there are {n}"
    return lower, upper, f"({stat} over {n}, 95 % each side)"


def _mid(lows: Sequence[float], highs: Sequence[float], unit: str) -> str:
    return quantity((median(lows) + median(highs)) / 2, unit)
