"""What so many trials prove about each bound on a duration, and about the clean counts.

By the bound of Clopper and Pearson, at 95 %. In a run that looked several times and stopped when it
suited, such a bound is wrong more often than that. There every look's bound is taken at the level
that the plan leaves to this look; all of them together are wrong in 5 % of runs at most, and so is
the one at which the run stopped.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaoskit.experiment.threshold import Threshold
from chaoskit.judge.bounds import Bounded, holds
from chaoskit.judge.result import Verdict
from chaoskit.judge.several import percentile
from chaoskit.judge.thresholds import SAFETY
from chaoskit.judge.wording import plural, quantity
from chaoskit.measure.looks import boundaries
from chaoskit.measure.statistics import exceedance_upper

__all__ = ["claims"]

_ERROR = 0.05
_NOTHING = 0.9995
"""A share that is printed as 100 %: no claim at all."""


def claims(
    thresholds: Sequence[Threshold], trials: Sequence[Sequence[Bounded]], looks: tuple[int, ...]
) -> tuple[str, ...]:
    """One sentence a bound; ``trials`` holds for each valid trial a reading for each threshold.

    ``looks`` is the plan of a run that stops when it knows enough: then the trials up to the last
    look that was reached count. There a percentile has its verdict by the very count that its claim
    would be made of, at the plan's own boundary: a second bound beside it would contradict it.
    """
    error, how = _ERROR, "95 %"
    if looks:
        reached = [look for look in boundaries(looks, 0.5) if look.n <= len(trials)]
        if not reached:
            return ()
        error, how = reached[-1].level, "95 % over all looks"
        trials = trials[: reached[-1].n]
    said = [
        _of_one(threshold, [trial[index] for trial in trials], error, how)
        for index, threshold in enumerate(thresholds)
        if trials and not (looks and percentile(threshold) is not None)
    ]
    return tuple(dict.fromkeys(text for text in said if text))


def _of_one(threshold: Threshold, seen: Sequence[Bounded], error: float, how: str) -> str:
    n = len(seen)
    if threshold.metric in SAFETY:
        if threshold.op in ("==", "<=", "<") and all(b.reading.high == 0 for b in seen):
            what = threshold.metric.replace("_", " ")
            can = _at_most(0, n, error, "have any", how)
            return f"{plural(n, 'trial')} with no {what}: {can}"
        return ""
    timed = seen[0].reading.unit == "s" and threshold.op in ("<", "<=")
    if not timed or threshold.unit != "s" or threshold.exceedance is not None:
        return ""
    over = sum(holds(threshold.op, b.bound, b.reading) is not Verdict.PASS for b in seen)
    name = threshold.text.split(threshold.op)[0].strip()
    bound = quantity(threshold.value, "s")
    can = _at_most(over, n, error, f"exceed {bound}", how)
    return f"{name}: {plural(n, 'trial')}, {over} over {bound}: {can}"


def _at_most(exceeded: int, n: int, error: float, what: str, how: str) -> str:
    share = exceedance_upper(exceeded, n, 1 - error) if exceeded < n else 1.0
    if share >= _NOTHING:
        return f"nothing can be claimed of how many failovers {what} ({how})"
    return f"we can only claim that at most {share * 100:.2g} % of failovers {what} ({how})"
