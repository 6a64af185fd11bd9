"""Safety of one run against another's: what BASE had none of, NEW may have none of.

Zero tolerance, no statistics. Only where BASE violates it too is "more often" a question of chance:
Fisher's exact test then says whether NEW does, and what looks worse and is not shown to be is
undecided. So is what was looked at in a smaller share of trials: it is not known to be clean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chaoskit.judge.result import Verdict
from chaoskit.judge.wording import plural
from chaoskit.measure.model import Frozen
from chaoskit.measure.statistics import more_often

__all__ = ["SafetyCompared", "SafetySeen", "compare_safety"]

_ERROR = 0.05


@dataclass(frozen=True)
class SafetySeen:
    """Violations in a run: ``amount`` in sum, ``trials`` had any, of ``of`` in which it was told.

    ``unchecked``: valid trials in which it could not be told. ``unit``: of the amount, a count or
    seconds (two primaries are seconds).
    """

    amount: float
    trials: int
    of: int
    unchecked: int = 0
    unit: str = "count"


class SafetyCompared(Frozen):
    """One kind of violation in both runs. PASS with a sentence: both have it, NEW no more of it."""

    metric: str
    verdict: Verdict
    sentence: str
    base_trials: int
    base_of: int
    new_trials: int
    new_of: int
    new_unchecked: int
    p: float | None = None  # Fisher's, one-sided; None where no chance is involved


def compare_safety(
    safety: Mapping[str, tuple[SafetySeen, SafetySeen]],
) -> tuple[SafetyCompared, ...]:
    """Each kind of violation by itself, in the order given; pure."""
    return tuple(_one(metric, base, new) for metric, (base, new) in safety.items())


def _one(metric: str, base: SafetySeen, new: SafetySeen) -> SafetyCompared:
    what = metric.replace("_", " ")
    p = None
    if new.trials:
        verdict, sentence, p = _violated(what, base, new)
    else:
        verdict, sentence = _none_seen(what, base, new)
    return SafetyCompared(
        metric=metric,
        verdict=verdict,
        sentence=sentence,
        base_trials=base.trials,
        base_of=base.of,
        new_trials=new.trials,
        new_of=new.of,
        new_unchecked=new.unchecked,
        p=p,
    )


def _violated(what: str, base: SafetySeen, new: SafetySeen) -> tuple[Verdict, str, float | None]:
    """NEW has some."""
    text = f"{_amount(what, new)} in {new.trials} of {plural(new.of, 'trial')} of NEW"
    if not base.trials:
        none = f", none in {plural(base.of, 'trial')} of BASE" if base.of else ""
        return Verdict.FAIL, f"{text}{none or '; not checked in BASE'}", None
    text += f", {_amount('', base)} in {base.trials} of {base.of} of BASE"
    if new.trials * base.of > base.trials * new.of:
        p = more_often(new.trials, new.of, base.trials, base.of)
        if p <= _ERROR:
            return Verdict.FAIL, f"{text}: more often (Fisher's p is {p:.2g})", p
        may = f"more often, which may be chance (Fisher's p is {p:.2g}); more trials would tell"
        return Verdict.INCONCLUSIVE, f"{text}: {may}", p
    if new.amount * base.of > base.amount * new.of:
        return Verdict.INCONCLUSIVE, f"{text}: not more often, but more of it in a trial", None
    if _less_checked(base, new):
        return Verdict.INCONCLUSIVE, f"{text}: no more, but {_not_told(base, new)}", None
    return Verdict.PASS, f"{text}: no more than before, and safe in neither", None


def _none_seen(what: str, base: SafetySeen, new: SafetySeen) -> tuple[Verdict, str]:
    if _less_checked(base, new):
        return Verdict.INCONCLUSIVE, f"{what}: {_not_told(base, new)}"
    return Verdict.PASS, ""


def _less_checked(base: SafetySeen, new: SafetySeen) -> bool:
    """Whether a larger share of NEW's trials could not be told than of BASE's.

    Where neither has any trial there is nothing to compare; where NEW has none, BASE has more.
    """
    if not new.of:
        return base.of > 0
    return new.unchecked * (base.of + base.unchecked) > base.unchecked * (new.of + new.unchecked)


def _not_told(base: SafetySeen, new: SafetySeen) -> str:
    if not new.of:
        return "checked in BASE, not in NEW"
    total, before = new.of + new.unchecked, base.of + base.unchecked
    return (
        f"not checked in {new.unchecked} of {plural(total, 'trial')} of NEW "
        f"({base.unchecked} of {before} of BASE)"
    )


def _amount(what: str, seen: SafetySeen) -> str:
    """``3 lost writes``, ``0.42 s of dual primary``; without a word the number alone."""
    if seen.unit == "s":
        return f"{seen.amount:.3g} s of {what}" if what else f"{seen.amount:.3g} s"
    return f"{seen.amount:,.0f} {what}".rstrip()
