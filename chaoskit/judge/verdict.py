"""From a trial's history to its verdict, and from trials to the run's.

Assumptions come first: bounds on time and rate are not judged in a trial whose assumptions are
broken. A proven safety violation is a failure whatever else is broken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chaoskit.experiment.catalogue import PROVEN
from chaoskit.experiment.threshold import Threshold
from chaoskit.history.history import FaultRecord, History
from chaoskit.judge.bounds import Bounded
from chaoskit.judge.claims import claims
from chaoskit.judge.findings import FINDINGS, findings
from chaoskit.judge.noted import noted
from chaoskit.judge.over_trials import summary
from chaoskit.judge.result import (
    ExpectationResult,
    FaultResult,
    Interval,
    Metrics,
    RunResult,
    TrialResult,
    Verdict,
)
from chaoskit.judge.sentences import not_checked, sentence, trial_notes
from chaoskit.judge.several import corrected, judge_looks, said
from chaoskit.judge.soaking import soaked
from chaoskit.judge.thresholds import expectation, measure, over_trials
from chaoskit.judge.validity import Gates, reasons
from chaoskit.judge.wording import joined, plural, seconds
from chaoskit.measure.metrics import measure_view
from chaoskit.measure.view import View

__all__ = [
    "EXIT_CODES",
    "Band",
    "Case",
    "Ending",
    "JudgedTrial",
    "TrialInput",
    "enough",
    "judge_histories",
    "judge_run",
    "judge_trial",
    "judge_view",
]

EXIT_CODES: Mapping[Verdict, int] = {
    Verdict.PASS: 0,
    Verdict.FAIL: 1,
    Verdict.INCONCLUSIVE: 3,
    Verdict.INVALID: 3,
    Verdict.ABORTED: 4,
    Verdict.ERROR: 4,
    Verdict.INTERRUPTED: 130,
}


@dataclass(frozen=True)
class Band:
    """The failover time that the stack's own constants imply, seconds."""

    low_s: float
    high_s: float
    formula: str


@dataclass(frozen=True)
class Case:
    """What is to be judged: the facts of the experiment as it was run."""

    name: str
    thresholds: tuple[Threshold, ...] = ()
    trials_wanted: int = 1  # with ``looks`` the most there may be
    looks: tuple[int, ...] = ()  # the plan of a run that stops when it knows enough
    gates: Gates = field(default_factory=Gates)
    question: str = ""
    seed: int = 0
    lab: str = ""
    band: Band | None = None
    planted: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialInput:
    """One trial as it was recorded."""

    n: int
    history: History
    notes: tuple[str, ...] = ()
    overhead_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class JudgedTrial:
    """A trial's result, and what the thresholds over all trials need of it.

    ``valid``: no assumption is broken. It is about the trial, not its verdict: a proven
    violation fails an invalid trial too.
    """

    result: TrialResult
    valid: bool
    bounded: tuple[Bounded, ...]  # one for each threshold of the case, in order


@dataclass(frozen=True)
class Ending:
    """A run that did not get to its end: interrupted, aborted, or broken."""

    verdict: Verdict
    exit_code: int
    sentence: str


# ---------------------------------------------------------------- one trial


def judge_trial(case: Case, trial: TrialInput) -> JudgedTrial:
    """Measure and judge one trial; pure."""
    return judge_view(case, trial, View(trial.history))


def judge_view(case: Case, trial: TrialInput, view: View) -> JudgedTrial:
    """The same, with a view of the trial's history that is kept for more."""
    wanted = {t.metric for t in case.thresholds}
    metrics = measure_view(view, case.gates.steady_s, wanted)
    bounded = tuple(measure(t, trial.n, view, metrics) for t in case.thresholds)
    each = [
        expectation(t, b)
        for t, b in zip(case.thresholds, bounded, strict=True)
        if not over_trials(t) or not b.reading.applicable
    ]
    found = [
        ExpectationResult(
            expression=expected, observed=observed, verdict=Verdict.FAIL, trial=trial.n
        )
        for expected, observed in findings(view)
    ]
    timed = {t.phase for t in case.thresholds if t.metric == "latency" and t.phase}
    broken = [*reasons(view, case.gates, timed)]
    broken += [
        f"{e.expression} cannot be judged: {e.observed}"
        for e in each
        if e.verdict is Verdict.INVALID
    ]
    verdict = _trial_verdict(case, each, found, invalid=bool(broken))
    return JudgedTrial(
        result=TrialResult(
            n=trial.n,
            verdict=verdict,
            invalid_because=tuple(dict.fromkeys(broken)),
            faults=tuple(_fault(f) for f in trial.history.faults),
            metrics=metrics,
            expectations=(*_judged(case, each, invalid=bool(broken)), *found),
            notes=(
                *trial.notes,
                *trial_notes(view, metrics),
                *noted(metrics, case.thresholds, bounded),
            ),
            overhead_s=trial.overhead_s or _overhead(trial.history),
        ),
        valid=not broken,
        bounded=bounded,
    )


def _safe(case: Case) -> frozenset[str]:
    """Expressions whose violation is proven by what is stored."""
    return frozenset(t.text for t in case.thresholds if t.metric in PROVEN)


def _trial_verdict(
    case: Case,
    each: Sequence[ExpectationResult],
    found: Sequence[ExpectationResult],
    *,
    invalid: bool,
) -> Verdict:
    safe = _safe(case)
    if any(e.verdict is Verdict.FAIL and e.expression in safe for e in each):
        return Verdict.FAIL
    if invalid:
        return Verdict.INVALID
    return _worst(e.verdict for e in (*each, *found))


def _worst(verdicts: Iterable[Verdict]) -> Verdict:
    seen = set(verdicts)
    for verdict in (Verdict.FAIL, Verdict.INVALID, Verdict.INCONCLUSIVE):
        if verdict in seen:
            return verdict
    return Verdict.PASS


def _judged(
    case: Case, each: Sequence[ExpectationResult], *, invalid: bool
) -> list[ExpectationResult]:
    """In an invalid trial only proven violations keep their verdict."""
    if not invalid:
        return list(each)
    safe = _safe(case)
    return [
        e
        if e.verdict is Verdict.FAIL and e.expression in safe
        else e.model_copy(update={"verdict": Verdict.INVALID, "margin": None})
        for e in each
    ]


def _fault(fault: FaultRecord) -> FaultResult:
    return FaultResult(
        fault=fault.fault,
        target=fault.target,
        node=", ".join(fault.nodes),
        commanded_ns=fault.commanded_ns,
        acknowledged_ns=fault.acknowledged_ns,
        verified_ns=fault.verified_ns,
        bitten_ns=fault.bitten_ns,
        healed_ns=fault.healed_ns,
        felt_healed_ns=fault.felt_healed_ns,
        detail=fault.detail,
    )


# ---------------------------------------------------------------- the run


def judge_histories(
    case: Case, trials: Sequence[TrialInput], ending: Ending | None = None
) -> RunResult:
    """``judge_trial`` of each and ``judge_run`` of all; holds every history at once."""
    return judge_run(case, [judge_trial(case, trial) for trial in trials], ending)


def judge_run(case: Case, trials: Sequence[JudgedTrial], ending: Ending | None = None) -> RunResult:
    """The run's verdict from its judged trials; pure. ``ending`` overrides verdict and code."""
    valid = [t for t in trials if t.valid]
    over_all = [_over_all(case, i, trials) for i in range(len(case.thresholds))]
    if not case.looks:
        seen = [[t.bounded[i] for t in valid] for i in range(len(case.thresholds))]
        over_all = corrected(case.thresholds, seen, over_all)
    over_all += _findings_of(valid)
    verdict = _worst(e.verdict for e in over_all)
    wanted = case.trials_wanted
    if case.looks and verdict is Verdict.PASS:  # decided before the cap
        wanted = max((n for n in case.looks if n <= len(valid)), default=case.looks[0])
    if verdict is not Verdict.FAIL and len(valid) < wanted:
        verdict = Verdict.INVALID
    results = tuple(t.result for t in trials)
    measured = [t.result.metrics for t in valid if t.result.metrics is not None]
    band = _band(case.band, measured)
    text = sentence(wanted, results, measured, verdict, over_all)
    if band is not None and band["verdict"] not in ("inside", "not measured"):
        text = f"{text} {band['sentence']}"
    return RunResult(
        experiment=case.name,
        question=case.question,
        verdict=ending.verdict if ending else verdict,
        exit_code=ending.exit_code if ending else EXIT_CODES[verdict],
        sentence=f"{ending.sentence} {text}".strip() if ending else text,
        ending=ending.sentence if ending else "",
        lab=case.lab,
        seed=case.seed,
        trials=results,
        expectations=tuple(over_all),
        summary=summary(measured),
        claims=(
            *claims(case.thresholds, [t.bounded for t in valid], case.looks),
            *soaked(case.thresholds, measured),
            *said(case.thresholds, case.looks),
        ),
        band=band,
        not_checked=not_checked(case.thresholds, results, measured),
        planted=case.planted,
    )


def enough(case: Case, trials: Sequence[JudgedTrial]) -> bool:
    """May a run with a plan stop? At a look, if all is decided; at once, if safety is violated.

    The same function says so while it runs and afterwards: it sees nothing but judged trials.
    """
    safe = _safe(case)
    if any(
        e.verdict is Verdict.FAIL and e.expression in safe
        for t in trials
        for e in t.result.expectations
    ):
        return True
    if sum(t.valid for t in trials) not in case.looks:
        return False
    judged = judge_run(case, trials).expectations
    return all(e.verdict in (Verdict.PASS, Verdict.FAIL) for e in judged)


def _over_all(case: Case, index: int, trials: Sequence[JudgedTrial]) -> ExpectationResult:
    """One threshold over the valid trials; a proven violation counts in any trial."""
    threshold = case.thresholds[index]
    if threshold.metric in PROVEN:
        for trial in trials:
            for one in trial.result.expectations:
                if one.expression == threshold.text and one.verdict is Verdict.FAIL:
                    return one
    seen = [t.bounded[index] for t in trials if t.valid]
    if seen or not trials:
        family = sum(t.exceedance is not None for t in case.thresholds)
        return judge_looks(threshold, seen, case.looks, family)
    first = trials[0].bounded[index]
    return expectation(threshold, first).model_copy(
        update={"verdict": Verdict.INVALID, "margin": None, "reason": "no valid trial"}
    )


def _findings_of(valid: Sequence[JudgedTrial]) -> list[ExpectationResult]:
    """What failed a trial without a threshold, once each, from the first trial that shows it."""
    found: dict[str, ExpectationResult] = {}
    for trial in valid:
        for one in trial.result.expectations[::-1]:
            if one.verdict is Verdict.FAIL and one.expression in FINDINGS:
                found.setdefault(one.expression, one)
    return list(found.values())


def _band(band: Band | None, measured: Sequence[Metrics]) -> Mapping[str, object] | None:
    """The declared band against what was measured: too fast is as suspicious as too slow."""
    if band is None:
        return None
    timed = [m for m in measured if _timed(m.failover_time) and m.recovery != "unknown"]
    shown = [m.failover_time for m in timed]
    text = f"{seconds(band.low_s)} to {seconds(band.high_s)}"
    facts = {"low_s": band.low_s, "high_s": band.high_s, "formula": band.formula}
    if not shown:
        return {**facts, "verdict": "not measured", "sentence": f"Declared: {text}."}
    fast = sum(1 for t in shown if _high(t) < band.low_s)
    slow = sum(1 for t in shown if (t.low_s or 0.0) > band.high_s)
    verdict = "faster than possible" if fast else "slower than declared" if slow else "inside"
    back = all(m.same_node_served and not m.failover_time.censored for m in timed)
    if back and not (fast and slow):
        how = "inside" if verdict == "inside" else f"{verdict.partition(' ')[0]} than"
        return {
            **facts,
            "verdict": verdict,
            "sentence": f"Nobody took over: service came back in place, {how} the {text} "
            "that a failover is declared to take.",
        }
    if verdict == "inside":
        return {
            **facts,
            "verdict": verdict,
            "sentence": f"Every failover was inside the declared {text}.",
        }
    parts = []
    if fast:
        parts.append(
            f"{fast} faster than possible (a restart in place? a fault that did not bite?)"
        )
    if slow:
        parts.append(f"{slow} slower than declared")
    return {
        **facts,
        "verdict": verdict,
        "sentence": f"Of {plural(len(shown), 'failover')}, {joined(parts)}; declared: {text}.",
    }


def _timed(found: Interval) -> bool:
    return found.applicable and found.value_s is not None


def _high(found: Interval) -> float:
    return float("inf") if found.high_s is None else found.high_s


def _overhead(history: History) -> Mapping[str, float]:
    """The engine's own account of its time, where the history has one."""
    held = history.notes.get("overhead_s")
    if not isinstance(held, dict):
        return {}
    return {str(k): float(v) for k, v in held.items() if isinstance(v, (int, float))}
