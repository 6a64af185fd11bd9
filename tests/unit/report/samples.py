"""Runs as they could have been: results, timelines and facts that fit together, by seed.

The figures are synthetic, their relations are not: every request of a timeline is in the tally,
outages lie inside their brackets, phases sum to the failover time.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from chaoskit.judge.result import (
    Example,
    ExpectationResult,
    OverTrials,
    RunResult,
    TrialResult,
    Verdict,
)
from chaoskit.measure.timeline import Timeline
from chaoskit.report import RunFacts
from tests.unit.report.parts import NS, STREAMS, fault, metrics, sharing, timeline

SOURCE = """\
chaoskit: 1
name: active-passive-kill
question: When the primary is killed, are clients served again within two seconds?
stack: ../compose/active-passive/compose.yaml
load:
  user: http-kv
  rate: 200/s
  deadline: 100ms
steps:
  - {at: 3s, fault: kill, target: primary, for: 5s}
run_for: 12s
thresholds:
  - client_outage < 2s
  - failover_time < 2s
  - dropped_requests < 15%
  - lost_writes == 0
repeat: {trials: 3}
"""


@dataclass(frozen=True)
class Sample:
    result: RunResult
    timelines: dict[int, Timeline]
    facts: RunFacts


def facts(**changes: object) -> RunFacts:
    base = RunFacts(
        run="20260131T235959Z-42",
        started_utc="20260131T235959Z",
        took_s=61.4,
        seed=42,
        version="0.1.0",
        argv=("/somewhere/bin/chaoskit", "run", "experiments/active-passive-kill.yaml"),
        source=SOURCE,
        source_path="experiments/active-passive-kill.yaml",
        stack="active-passive",
        profile="smoke",
        streams=STREAMS,
        host={"kernel": "6.1.0", "cpus": "2", "python": "3.11.2"},
        lab={"engine": "namespaces", "kernel": "6.1.0"},
        lab_why="no Docker engine answers",
        detectors={"node-a": "interval=100ms misses=3 timeout=50ms promotion=50ms"},
        retries={"haproxy": "connections that fail, twice"},
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def trial(
    n: int,
    outage: float,
    *,
    verdict: Verdict = Verdict.PASS,
    invalid: tuple[str, ...] = (),
    censored: bool = False,
    lost: tuple[Example, ...] = (),
) -> TrialResult:
    return TrialResult(
        n=n,
        verdict=Verdict.INVALID if invalid else verdict,
        invalid_because=invalid,
        faults=(fault(n, bitten=not invalid),),
        metrics=metrics(outage, censored=censored, lost=lost),
        notes=("generator lag p99 0.4 ms, worst 3.1 ms", "observer: 4 812 polls, 0 late"),
        overhead_s={"lab up": 1.62, "heal": 0.04, "final reads": 0.21},
    )


def expect(expression: str, observed: str, verdict: Verdict, **more: object) -> ExpectationResult:
    return ExpectationResult(expression=expression, observed=observed, verdict=verdict, **more)


def _timelines(trials: tuple[TrialResult, ...], seed: int = 1) -> dict[int, Timeline]:
    rng = random.Random(seed)
    found = {}
    for one in trials:
        assert one.metrics is not None
        outage = one.metrics.client_outage
        found[one.n] = timeline(
            rng,
            outage_s=outage.value_s or 0.0,
            censored=outage.censored,
            faulty=bool(one.faults) and one.faults[0].fault != "noop",
        )
    return found


def _over(trials: tuple[TrialResult, ...], key: str) -> OverTrials:
    valid = [t for t in trials if not t.invalid_because and t.metrics is not None]
    values = sorted(v for t in valid if (v := getattr(t.metrics, key).value_s) is not None)
    if not values:
        return OverTrials(applicable=False)
    return OverTrials(
        value_s=values[len(values) // 2], low_s=values[0], high_s=values[-1], n=len(values)
    )


def _run(trials: tuple[TrialResult, ...], **more: object) -> RunResult:
    base: dict[str, object] = {
        "experiment": "active-passive-kill",
        "question": "When the primary is killed, are clients served again within two seconds?",
        "verdict": Verdict.PASS,
        "exit_code": 0,
        "sentence": "Clients were unserved for 0.45 s at worst; the threshold is 2 s.",
        "lab": "sandbox",
        "seed": 42,
        "trials": trials,
        "expectations": (),
        "summary": {
            "client_outage": _over(trials, "client_outage"),
            "failover_time": _over(trials, "failover_time"),
        },
        "claims": (
            f"{len(trials)} trials, 0 over 2 s: at most 63 % of failovers exceed 2 s (95 %).",
        ),
        "band": {
            "low_s": 0.25,
            "high_s": 0.45,
            "formula": "(3 - 1) x 100 ms + 50 ms to 3 x 100 ms + 50 ms + 50 ms + reroute",
            "verdict": "every valid trial touches it",
        },
        "not_checked": ("stale reads: no reader compared versions",),
    }
    return RunResult(**{**base, **more})  # type: ignore[arg-type]


def passing() -> Sample:
    trials = (trial(1, 0.412), trial(2, 0.447), trial(3, 0.381))
    result = _run(
        trials,
        expectations=(
            expect(
                "client_outage < 2s",
                "0.45 s (0.44 s to 0.46 s)",
                Verdict.PASS,
                margin="1.54 s to spare",
                trial=2,
            ),
            expect(
                "failover_time < 2s",
                "0.47 s (0.45 s to 0.49 s)",
                Verdict.PASS,
                margin="1.51 s to spare",
                trial=2,
            ),
            expect("dropped_requests < 95%", "64 %", Verdict.PASS, margin="31 %", trial=1),
            expect("lost_writes == 0", "0", Verdict.PASS),
        ),
    )
    return Sample(result, _timelines(trials), facts())


def failing() -> Sample:
    """The backup never takes over, and two acknowledged writes are gone."""
    lost = (
        Example(
            token=4_294_967_311,
            sent_ns=1_000_000 * NS + 20 * NS - 4_000_000,
            acknowledged_ns=1_000_000 * NS + 20 * NS - 2_000_000,
            server="node-a",
            after_fault_s=-0.002,
            detail="acknowledged by node-a, in no final read",
        ),
        Example(token=4_294_967_312, server="node-a", after_fault_s=0.0011),
    )
    trials = (
        trial(1, 8.97, verdict=Verdict.FAIL, censored=True, lost=lost),
        trial(2, 8.98, verdict=Verdict.FAIL, censored=True),
        trial(3, 0.47),
    )
    result = _run(
        trials,
        verdict=Verdict.FAIL,
        exit_code=1,
        sentence="Service did not come back within 8.97 s of observation in 2 of 3 trials, and 2"
        " acknowledged writes were lost.",
        expectations=(
            expect("client_outage < 2s", "≥ 8.98 s", Verdict.FAIL, margin="-6.98 s", trial=2,
                   reason="censored: the outage had not ended when observation did"),
            expect("failover_time < 2s", "≥ 9.00 s", Verdict.FAIL, margin="-7.00 s", trial=2),
            expect("dropped_requests < 99.9%", "68 %", Verdict.PASS, margin="32 %", trial=1),
            expect("lost_writes == 0", "2", Verdict.FAIL, margin="-2", trial=1,
                   reason="2 acknowledged writes are in no final read"),
        ),
    )  # fmt: skip
    return Sample(result, _timelines(trials), facts())


def invalid() -> Sample:
    why = ("generator lag p99 was 31 ms, above 5 ms: lower load.rate, or run on a quieter machine",)
    trials = (
        trial(1, 0.41),
        trial(2, 0.93, invalid=why),
        trial(3, 0.44, invalid=(*why, "the fault was not seen to bite: check target")),
    )
    result = _run(
        trials,
        verdict=Verdict.INVALID,
        exit_code=3,
        sentence="Only 1 of 3 trials is valid: the load generator was late in the others.",
        expectations=(
            expect("client_outage < 2s", "0.41 s (0.40 s to 0.42 s)", Verdict.INVALID, trial=1,
                   reason="1 valid trial of 3"),
            expect("lost_writes == 0", "0", Verdict.INVALID, reason="1 valid trial of 3"),
        ),
    )  # fmt: skip
    return Sample(result, _timelines(trials), facts())


def inconclusive() -> Sample:
    trials = (trial(1, 1.994, verdict=Verdict.INCONCLUSIVE), trial(2, 1.71), trial(3, 1.62))
    result = _run(
        trials,
        verdict=Verdict.INCONCLUSIVE,
        exit_code=3,
        sentence="Trial 1's bracket straddles the threshold of 2 s; a higher rate would tell.",
        expectations=(
            expect("client_outage < 2s", "1.994 s (1.984 to 2.006)", Verdict.INCONCLUSIVE,
                   margin="-6 ms to 16 ms", trial=1, reason="the bracket straddles the bound"),
            expect("lost_writes == 0", "0", Verdict.PASS),
        ),
    )  # fmt: skip
    return Sample(result, _timelines(trials), facts())


def noop() -> Sample:
    calm = tuple(
        trial(n, 0.0).model_copy(update={"faults": (fault(n, kind="noop"),)}) for n in (1, 2, 3)
    )
    result = _run(
        calm,
        experiment="noop",
        question="When nothing is broken, do clients notice nothing?",
        sentence="Nothing was broken, and no request was bad in 3 trials.",
        expectations=(
            expect("client_outage == 0s", "0 s", Verdict.PASS),
            expect("lost_writes == 0", "0", Verdict.PASS),
        ),
        band=None,
    )
    return Sample(result, _timelines(calm), facts())


def several() -> Sample:
    """One of three nodes that all serve is killed; in the last trial a shard stays without owner."""
    calm = tuple(
        one.model_copy(
            update={"metrics": one.metrics.model_copy(update={"sharing": sharing(one.n == 3)})}
        )
        for one in (trial(n, 0.0) for n in (1, 2, 3))
        if one.metrics is not None
    )
    result = _run(
        calm,
        experiment="active-active-kill",
        expectations=(expect("error_rate@impact < 1.5%", "0.67 %", Verdict.PASS),),
        band=None,
    )
    return Sample(result, _timelines(calm), facts(stack="active-active"))


def unfinished(verdict: Verdict) -> Sample:
    """Interrupted, aborted or crashed: few trials or none."""
    trials = () if verdict is Verdict.ERROR else (trial(1, 0.41),)
    sentence = {
        Verdict.INTERRUPTED: "Interrupted by SIGINT after 1 of 3 trials; everything is healed.",
        Verdict.ABORTED: "Stopped by abort_when after 1 of 3 trials; everything is healed.",
        Verdict.ERROR: "The lab did not come up: node-b was not healthy within 10 s.",
    }[verdict]
    result = _run(
        trials, verdict=verdict, exit_code=4, sentence=sentence, claims=(), summary={}, band=None
    )
    return Sample(result, _timelines(trials), facts())


def many(n: int = 59, seed: int = 7, *, drawn: bool = True) -> Sample:
    rng = random.Random(seed)
    trials = tuple(
        trial(i, round(rng.gammavariate(30, 0.014), 4), invalid=("lost",) if i in {5, 40} else ())
        for i in range(1, n + 1)
    )
    result = _run(
        trials,
        sentence="Clients were unserved for 0.63 s at worst in 57 valid trials of 59.",
        expectations=(
            expect("failover_time.p95 < 2s", "0.55 s", Verdict.PASS, margin="1.45 s"),
            expect("client_outage < 2s", "0.63 s", Verdict.PASS, margin="1.37 s", trial=4),
            expect("P(failover_time > 2s) <= 10%", "at most 5.1 % (95 %)", Verdict.PASS),
        ),
    )
    return Sample(result, _timelines(trials) if drawn else {}, facts(profile="certificate"))


ALL: dict[str, Callable[[], Sample]] = {
    "pass": passing,
    "fail": failing,
    "invalid": invalid,
    "inconclusive": inconclusive,
    "noop": noop,
    "several": several,
    "interrupted": lambda: unfinished(Verdict.INTERRUPTED),
    "aborted": lambda: unfinished(Verdict.ABORTED),
    "error": lambda: unfinished(Verdict.ERROR),
    "many": many,
}
