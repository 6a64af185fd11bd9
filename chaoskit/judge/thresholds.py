"""One threshold against one trial, and against all of them."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chaoskit.experiment.catalogue import SAFETY
from chaoskit.experiment.threshold import Threshold
from chaoskit.judge.result import ExpectationResult, Verdict
from chaoskit.judge.wording import plural, quantity, reading, seconds
from chaoskit.measure.model import Metrics
from chaoskit.measure.reading import Reading, read
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
    "Bounded",
    "bound_of",
    "exceedances",
    "expectation",
    "holds",
    "judge_all",
    "judge_statistic",
    "measure",
    "over_trials",
]

_WITHIN_TRIAL = frozenset({"latency", "dropped_requests", "error_rate", "availability"})
_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Bounded:
    """A reading and the bound it has to meet in its trial (a factor of that trial's baseline)."""

    n: int
    reading: Reading
    bound: float


def over_trials(threshold: Threshold) -> bool:
    """Does it speak of a statistic over trials, rather than of every trial?"""
    return threshold.exceedance is not None or (
        threshold.stat is not None and threshold.metric not in _WITHIN_TRIAL
    )


def measure(threshold: Threshold, n: int, view: View, metrics: Metrics) -> Bounded:
    """What the threshold is about, in trial ``n``."""
    stat = threshold.stat if threshold.metric in _WITHIN_TRIAL else None
    found = read(
        view, metrics, threshold.metric, stat=stat, phase=threshold.phase, unit=threshold.unit
    )
    return Bounded(n, found, bound_of(threshold, view, metrics))


def bound_of(threshold: Threshold, view: View, metrics: Metrics) -> float:
    """The bound as a number; for ``N x baseline`` N times the metric over the baseline."""
    if threshold.unit != "baseline":
        return threshold.value
    stat = threshold.stat if threshold.metric in _WITHIN_TRIAL else None
    base = read(view, metrics, threshold.metric, stat=stat, phase="baseline", unit="ratio")
    return threshold.value * base.value if base.applicable else math.nan


def holds(op: str, bound: float, found: Reading) -> Verdict:
    """PASS: the whole interval meets the bound. FAIL: none of it does."""
    if not found.enough or math.isnan(bound):
        return Verdict.INCONCLUSIVE
    if op in _OPERATORS:
        meets = _OPERATORS[op]
        ends = meets(found.low, bound), meets(found.high, bound)
        if all(ends):
            return Verdict.PASS
        return Verdict.INCONCLUSIVE if any(ends) else Verdict.FAIL
    surely = found.low == found.high == bound
    possibly = found.low <= bound <= found.high
    if op == "!=":
        surely, possibly = not possibly, not surely
    if surely:
        return Verdict.PASS
    return Verdict.INCONCLUSIVE if possibly else Verdict.FAIL


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
        observed=reading(seen.reading),
        verdict=verdict,
        margin=_margin(threshold, seen),
        trial=seen.n,
        line=threshold.line,
        reason=_why(threshold, seen, verdict),
    )


def _why(threshold: Threshold, seen: Bounded, verdict: Verdict) -> str | None:
    if verdict is not Verdict.INCONCLUSIVE:
        return threshold.because if verdict is Verdict.FAIL else None
    if not seen.reading.enough:
        return f"{seen.reading.note}: observe longer or raise the rate"
    if seen.reading.hint is not None:
        return seen.reading.hint
    if math.isnan(seen.bound):
        return "there is nothing to compare with in the baseline"
    bound = quantity(seen.bound, seen.reading.unit)
    if seen.reading.censored:
        return f"observation ended before {bound} was reached: observe longer"
    return f"the interval contains {bound}: a higher rate would make it narrower"


def _margin(threshold: Threshold, seen: Bounded) -> str | None:
    """How far the end that counts is from the bound."""
    if threshold.op not in _OPERATORS or math.isnan(seen.bound):
        return None
    at_most = threshold.op in ("<", "<=")
    end = seen.reading.high if at_most else seen.reading.low
    if math.isinf(end):
        return None
    left = seen.bound - end if at_most else end - seen.bound
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
        range(len(seen)), key=lambda i: (order.get(each[i].verdict, 0), _slack(threshold, seen[i]))
    )
    count = f", the worst of {len(seen)}" if len(seen) > 1 else ""
    return each[worst].model_copy(update={"observed": each[worst].observed + count})


def _slack(threshold: Threshold, seen: Bounded) -> float:
    """Smaller is worse; orders trials that have the same verdict."""
    if threshold.op in ("<", "<="):
        return seen.bound - seen.reading.high
    if threshold.op in (">", ">="):
        return seen.reading.low - seen.bound
    return -abs(seen.reading.value - seen.bound)


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
    ends = _ends(stat, lows, highs, error)
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
    stat: str, lows: Sequence[float], highs: Sequence[float], error: float
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
        return low.low, high.high, f"(median {_mid(lows, highs)}, {low.coverage * 100:.3g} %)"
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


def _mid(lows: Sequence[float], highs: Sequence[float]) -> str:
    return seconds((median(lows) + median(highs)) / 2)
