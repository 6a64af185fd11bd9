"""Is NEW no worse than BASE? Non-inferiority, not "no significant difference".

PASS: the upper end of the shift's 95 % interval is below what is allowed; where nothing is allowed
(no more than 0, or a share of a median of 0), it is not over 0. FAIL: its lower end is over 0 and
the estimate over what is allowed. Else INCONCLUSIVE, and how many trials would tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chaoskit.experiment.margin import Margin
from chaoskit.judge.compare_safety import SafetyCompared, SafetySeen, compare_safety
from chaoskit.judge.result import Verdict
from chaoskit.judge.verdict import EXIT_CODES
from chaoskit.judge.wording import joined, plain, plural, signed
from chaoskit.measure.holm import holm
from chaoskit.measure.model import Frozen
from chaoskit.measure.reading import Unit
from chaoskit.measure.shift import (
    LEAST_TRIALS,
    Observed,
    Shift,
    mann_whitney_p,
    shift,
    trials_to_decide,
)
from chaoskit.measure.statistics import median, median_interval

__all__ = [
    "Allowed",
    "Compared",
    "Comparison",
    "Measured",
    "Side",
    "allowance",
    "compare_all",
    "compare_one",
    "corrected_by_holm",
]

_SHARE = 0.10
_ERROR = 0.05
_SLOTS = 2  # requests: less than the distance of two slots is not resolved by the load
_OF_REQUESTS = ("dropped_requests", "lost_goodput")
"""Counts that the load's slots blur. Of others, such as promotions, one more is one more."""


@dataclass(frozen=True)
class Allowed:
    """The shift that is not worse enough to matter, in the metric's unit; nan if unknown."""

    value: float
    why: str


@dataclass(frozen=True)
class Measured:
    """One metric in the valid trials of both runs; ``*_absent`` trials have no such value."""

    name: str
    unit: Unit
    base: tuple[Observed, ...]
    new: tuple[Observed, ...]
    base_absent: int = 0
    new_absent: int = 0


class Side(Frozen):
    """One run's values; ends are ``None`` if unbounded, all three without values.

    The interval of the median needs six trials: ``coverage`` None.
    """

    n: int
    unended: int
    absent: int
    median: float | None
    low: float | None
    high: float | None
    coverage: float | None


class Compared(Frozen):
    """One metric. ``shift_low`` and ``shift_high`` are ``None`` if unbounded.

    ``coverage`` None: there are too few trials for any interval. ``p`` only supports.
    """

    metric: str
    unit: str
    verdict: Verdict
    sentence: str
    base: Side
    new: Side
    shift: float | None = None
    shift_low: float | None = None
    shift_high: float | None = None
    coverage: float | None = None
    cliffs_delta: float | None = None
    p: float | None = None
    gate_p: float | None = None  # of the test that carries the verdict; Holm corrects this one
    allowed: float | None = None
    allowed_why: str = ""
    trials_needed: int | None = None


class Comparison(Frozen):
    """What ``chaoskit compare --json`` prints. Schema-versioned."""

    schema_version: int = 1
    base: str
    new: str
    verdict: Verdict
    exit_code: int
    sentence: str
    metrics: tuple[Compared, ...]
    safety: tuple[SafetyCompared, ...] = ()
    notes: tuple[str, ...] = ()


# ---------------------------------------------------------------- one metric


def allowance(margin: Margin, unit: Unit, base: Sequence[Observed], rate: float) -> Allowed:
    """What the margin allows; without one 10 % of BASE's median, at least what is not resolved.

    That is two slots of the load, ``rate`` a second, of times; two of a count of requests. A margin
    that was asked for is taken as it is: of a median of 0 a share allows nothing.
    """
    if margin.unit in ("s", "count"):
        return Allowed(margin.value, "as asked")
    middle = _median(base) if base else math.nan
    share = margin.value if margin.unit == "ratio" else _SHARE
    if not math.isfinite(middle):
        return Allowed(math.nan, f"{share * 100:g} % of a median that is unknown")
    of_median = Allowed(share * middle, f"{share * 100:g} % of BASE's median")
    if margin.unit == "ratio":
        return of_median
    least = Allowed(0.0, "")
    if unit == "s":
        least = Allowed(_SLOTS / rate, "two slots of the load")
    elif margin.metric in _OF_REQUESTS:
        least = Allowed(float(_SLOTS), "two requests")
    return least if least.value > of_median.value else of_median


def compare_one(measured: Measured, allowed: Allowed) -> Compared:
    """Shift, interval and verdict of one metric; pure."""
    base, new = measured.base, measured.new
    sides = _side(base, measured.base_absent), _side(new, measured.new_absent)
    if not base or not new:
        lack = joined([n for n, side in (("BASE", base), ("NEW", new)) if not side])
        text = f"{measured.name} was measured in no valid trial of {lack}"
        return Compared(
            metric=measured.name,
            unit=measured.unit,
            verdict=Verdict.INCONCLUSIVE,
            sentence=text,
            base=sides[0],
            new=sides[1],
        )
    found = shift(base, new)
    verdict = _decide(found, allowed.value)
    gate_p = _gate_p(base, new, verdict, allowed.value)
    needed = None
    if verdict is Verdict.INCONCLUSIVE:
        needed = trials_to_decide(base, new, found, allowed.value)
    return Compared(
        metric=measured.name,
        unit=measured.unit,
        verdict=verdict,
        sentence=_sentence(measured, allowed, found, verdict, needed),
        base=sides[0],
        new=sides[1],
        shift=_finite(found.point),
        shift_low=_finite(found.low),
        shift_high=_finite(found.high),
        coverage=found.coverage,
        cliffs_delta=found.delta,
        p=found.p,
        gate_p=gate_p,
        allowed=_finite(allowed.value),
        allowed_why=allowed.why,
        trials_needed=needed,
    )


def _decide(found: Shift, allowed: float) -> Verdict:
    if found.high < allowed or found.high <= 0 == allowed:
        return Verdict.PASS
    if found.low > 0 and found.point > allowed:
        return Verdict.FAIL
    return Verdict.INCONCLUSIVE


def _gate_p(
    base: Sequence[Observed], new: Sequence[Observed], verdict: Verdict, allowed: float
) -> float | None:
    """What the interval says, as a p-value: of Mann and Whitney against the bound it lies beyond.

    PASS: NEW less what is allowed is smaller than BASE; less anything over 0, however little, where
    nothing is allowed, so that what is equal speaks for it. FAIL: NEW is larger. None: undecided.
    """
    if verdict is Verdict.INCONCLUSIVE:
        return None
    by = allowed if verdict is Verdict.PASS else 0.0
    moved = [Observed(o.value - by, o.ended) for o in new]
    if verdict is Verdict.PASS and allowed == 0:
        moved = [Observed(math.nextafter(o.value, -math.inf), o.ended) for o in new]
    return mann_whitney_p(base, moved)


def corrected_by_holm(metrics: Sequence[Compared]) -> tuple[tuple[Compared, ...], list[str]]:
    """Several gates in one comparison: a verdict that its adjusted p does not carry is undecided.

    Returns the metrics and what is to be said. Safety is zero tolerance, not statistics.
    """
    family = [m for m in metrics if m.cliffs_delta is not None]
    if len(family) < 2:
        return tuple(metrics), []
    adjusted = dict(
        zip(
            (m.metric for m in family),
            holm([1.0 if m.gate_p is None else m.gate_p for m in family]),
            strict=True,
        )
    )
    found = []
    for one in metrics:
        p = adjusted.get(one.metric, 0.0)
        if one.verdict is not Verdict.INCONCLUSIVE and p > _ERROR:
            text = (
                f"{one.metric}: {one.verdict} alone, but p is {p:.2g} as one of "
                f"{len(family)} gates (Holm), above {_ERROR:g}; more trials would tell"
            )
            found.append(one.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "sentence": text}))
        else:
            found.append(one)
    note = f"{len(family)} gates: verdicts corrected by Holm's method, 5 % error for all together"
    return tuple(found), [note]


def _sentence(
    measured: Measured, allowed: Allowed, found: Shift, verdict: Verdict, needed: int | None
) -> str:
    name, unit = measured.name, measured.unit
    bound = f"{plain(allowed.value, unit)} allowed ({allowed.why})"
    if verdict is Verdict.PASS:
        if found.high < 0:
            return f"{name} is better by at least {plain(-found.high, unit)} (95 %)"
        if allowed.value == 0:
            return f"{name} is not worse (95 %), and nothing is allowed{_beyond(measured)}"
        most = plain(found.high, unit)
        return f"{name} is worse by at most {most} (95 %), less than the {bound}"
    if verdict is Verdict.FAIL:
        if math.isinf(found.point):
            least = plain(found.low, unit)
            return f"{name} is worse by at least {least} (95 %): most pairs end in BASE only"
        return (
            f"{name} is worse by {signed(found.point, unit)} "
            f"({signed(found.low, unit)} to {signed(found.high, unit)}; 95 %), "
            f"more than the {bound}"
        )
    return f"{name}: {_undecided(measured, allowed, found, needed, bound)}"


def _beyond(measured: Measured) -> str:
    """The few of NEW that lie above all of BASE: the middle hides them, and none is allowed."""
    most = max(o.rank for o in measured.base)
    above = sum(o.rank > most for o in measured.new)
    of = plural(len(measured.new), "trial")
    return f"; {above} of {of} of NEW above all of BASE" if above else ""


def _undecided(
    measured: Measured, allowed: Allowed, found: Shift, needed: int | None, bound: str
) -> str:
    m, n = len(measured.base), len(measured.new)
    if found.coverage is None:
        text = f"{m} against {n} trials can show nothing at 95 %"
        enough = f"; {LEAST_TRIALS} of each is the least"
        return text + enough + (f", {needed} would likely decide" if needed else "")
    if math.isnan(allowed.value):
        return "half of BASE's trials never ended, so a share of its median means nothing"
    if math.isinf(found.high) or math.isinf(found.low):
        return "trials that never ended leave the shift unbounded; observe longer"
    ends = f"{signed(found.low, measured.unit)} to {signed(found.high, measured.unit)} (95 %)"
    text = f"a shift of {ends} does not tell whether it is under the {bound}"
    if needed is None and allowed.value == 0 and "%" in allowed.why:
        return f"{text}: a share of nothing allows nothing; give the margin as an amount"
    if needed is None:
        return f"{text}; no practical number of trials would: widen the margin"
    return f"{text}; {plural(needed, 'trial')} of each would likely decide"


def _side(values: Sequence[Observed], absent: int) -> Side:
    low = median_interval([o.value for o in values])
    high = median_interval([o.rank for o in values])
    enough = low is not None and high is not None
    return Side(
        n=len(values),
        unended=sum(not o.ended for o in values),
        absent=absent,
        median=_finite(_median(values)) if values else None,
        low=_finite(low.low) if low and enough else None,
        high=_finite(high.high) if high and enough else None,
        coverage=high.coverage if high and enough else None,
    )


def _median(values: Sequence[Observed]) -> float:
    return median([o.rank for o in values])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


# ---------------------------------------------------------------- the whole


def compare_all(
    names: tuple[str, str],
    metrics: Sequence[Compared],
    safety: Mapping[str, tuple[SafetySeen, SafetySeen]],
    notes: Sequence[str] = (),
) -> Comparison:
    """The worst of all, metrics and safety: FAIL, INCONCLUSIVE, PASS."""
    metrics, corrected = corrected_by_holm(metrics)
    kinds = compare_safety(safety)
    seen = {*(m.verdict for m in metrics), *(k.verdict for k in kinds)}
    verdict = Verdict.PASS
    if Verdict.FAIL in seen:
        verdict = Verdict.FAIL
    elif not metrics or seen != {Verdict.PASS}:
        verdict = Verdict.INCONCLUSIVE
    telling = [k for k in kinds if k.verdict is verdict and k.sentence]
    sentences = [
        *(k.sentence for k in telling if k.new_trials or verdict is not Verdict.PASS),
        *(m.sentence for m in metrics if m.verdict is verdict),
    ]
    said = [k.sentence for k in kinds if k.sentence and k.sentence not in sentences]
    if never := [k.metric.replace("_", " ") for k in kinds if not k.base_of and not k.new_of]:
        said.append(f"checked in neither run: {', '.join(never)}")
    text = "; ".join(sentences) or "in no valid trial did anything happen that could be compared"
    left_out = [
        f"{m.metric}: {plural(side.absent, 'valid trial')} of {name} without such a value left out"
        for m in metrics
        for name, side in (("BASE", m.base), ("NEW", m.new))
        if side.absent
    ]
    unended = [
        f"{m.metric}: {m.new.unended} of {plural(m.new.n, 'trial')} of NEW without an end, "
        f"{m.base.unended} of {m.base.n} of BASE; the shift is that of the middle and hides a few"
        for m in metrics
        if m.new.unended * m.base.n > m.base.unended * m.new.n
    ]
    return Comparison(
        base=names[0],
        new=names[1],
        verdict=verdict,
        exit_code=EXIT_CODES[verdict],
        sentence=f"{text}.",
        metrics=tuple(metrics),
        safety=kinds,
        notes=(*notes, *corrected, *left_out, *unended, *said),
    )
