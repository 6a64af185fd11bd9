"""Runs as they could have been: results, timelines and facts that fit together, by seed.

The figures are synthetic, their relations are not: every request of a timeline is in the tally,
outages lie inside their brackets, phases sum to the failover time.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from chaoskit.history.history import Stream
from chaoskit.judge.result import (
    Count,
    Dropped,
    Example,
    ExpectationResult,
    FaultResult,
    Interval,
    Metrics,
    RunResult,
    Safety,
    TrialResult,
    Verdict,
)
from chaoskit.measure.timeline import Band, Dot, RoleSpan, Timeline
from chaoskit.report import RunFacts

NS = 1_000_000_000
STREAMS = (
    Stream("write", "write", 200.0, "kept", 100_000_000, 200_000_000),
    Stream("read", "read", 200.0, "kept", 100_000_000, 200_000_000),
    Stream("write/new", "write", 20.0, "new", 100_000_000, 200_000_000),
    Stream("read/new", "read", 20.0, "new", 100_000_000, 200_000_000),
)
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
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def timeline(
    rng: random.Random,
    *,
    outage_s: float,
    censored: bool = False,
    faulty: bool = True,
    start_s: float = -4.0,
    end_s: float = 9.0,
    bin_s: float = 0.1,
) -> Timeline:
    """A kill at 0 (``faulty``), an outage from 20 ms on, healed after five seconds."""
    over_s = end_s if censored else 0.02 + outage_s
    bins = round((end_s - start_s) / bin_s)
    streams: dict[str, dict[str, list[int]]] = {}
    latency: dict[str, list[float | None]] = {"p50": [], "p99": [], "max": []}
    for stream in STREAMS:
        due = max(1, round(stream.rate * bin_s))
        by = {o: [0] * bins for o in ("ok", "ok_late", "fail_definite", "ambiguous", "not_sent")}
        for i in range(bins):
            at = start_s + i * bin_s
            share = _overlap(at, at + bin_s, 0.02, over_s) if faulty and outage_s else 0.0
            if stream.op == "read":
                share *= 0.4
            bad = round(due * share)
            by["ok"][i] = due - bad
            early = at < 0.4
            by["ambiguous" if early else "fail_definite"][i] = bad
            if bad and at + bin_s > over_s > 0 and not censored:
                by["ok_late"][i], by["fail_definite"][i] = 1, bad - 1 if not early else 0
        if faulty and stream.name == "write" and not censored:
            by["not_sent"][min(bins - 1, round((over_s - start_s) / bin_s) + 4)] = 1
        streams[stream.name] = by
    for i in range(bins):
        at = start_s + i * bin_s
        out = faulty and outage_s > 0 and 0.02 < at and at + bin_s < over_s
        base = 0.0011 * rng.lognormvariate(0, 0.12) * (1.6 if 0 < at - over_s < 1 else 1)
        latency["p50"].append(None if out else base)
        latency["p99"].append(None if out else base * rng.uniform(2.2, 5))
        latency["max"].append(None if out else base * rng.uniform(5, 30))
    return Timeline(
        start_s=start_s,
        bin_s=bin_s,
        outcomes={s: {o: tuple(c) for o, c in by.items()} for s, by in streams.items()},
        latency={k: tuple(v) for k, v in latency.items()},
        roles=_roles(start_s, end_s, over_s, censored=censored, faulty=faulty),
        faults=(Band("kill node-a", 0.0, 5.0),) if faulty else (Band("noop", 0.0, 5.0),),
        outages=(Band("outage", 0.02, over_s),) if faulty and outage_s else (),
        dots=_dots(rng, over_s if faulty and outage_s else 0.0, censored=censored),
    )


def _overlap(a: float, b: float, c: float, d: float) -> float:
    return max(0.0, min(b, d) - max(a, c)) / (b - a)


def _roles(
    start_s: float, end_s: float, over_s: float, *, censored: bool, faulty: bool
) -> tuple[RoleSpan, ...]:
    if not faulty:
        return (
            RoleSpan("node-a", start_s, end_s, "primary"),
            RoleSpan("node-b", start_s, end_s, "backup"),
            RoleSpan("witness", start_s, end_s, "witness"),
        )
    b = [RoleSpan("node-b", start_s, end_s, "backup")]
    if not censored:
        b = [
            RoleSpan("node-b", start_s, over_s - 0.05, "backup"),
            RoleSpan("node-b", over_s - 0.05, end_s, "primary"),
        ]
    return (
        RoleSpan("node-a", start_s, 0.03, "primary"),
        RoleSpan("node-a", 0.03, 5.3, None),
        RoleSpan("node-a", 5.3, 5.6, "joining"),
        RoleSpan("node-a", 5.6, end_s, "primary" if censored else "backup"),
        *b,
        RoleSpan("witness", start_s, end_s, "witness"),
    )


def _dots(rng: random.Random, over_s: float, *, censored: bool) -> tuple[Dot, ...]:
    dots: list[Dot] = []
    end = min(over_s, 3.0) + 0.8
    for stream, every in (("write", 0.005), ("write/new", 0.05)):
        due = -0.6
        while due < end:
            if 0.02 < due < over_s:
                if due < 0.3:
                    dots.append(Dot(due, 0.2, "ambiguous", stream))
                elif due > over_s - 0.03 and not censored:
                    dots.append(Dot(due, over_s - due + 0.12, "ok_late", stream))
                else:
                    kind = rng.random() < 0.9
                    dots.append(Dot(due, 0.0006 if kind else None, "fail_definite", stream))
            else:
                dots.append(Dot(due, 0.0012 * rng.lognormvariate(0, 0.5), "ok", stream))
            due += every
    if over_s:
        dots.append(Dot(over_s + 0.31, None, "not_sent", "write"))
    return tuple(dots)


def zero(note: str | None = None) -> Interval:
    return Interval(value_s=0.0, low_s=0.0, high_s=0.0, note=note)


def around(value: float, half: float) -> Interval:
    return Interval(value_s=value, low_s=max(0.0, value - half * 0.8), high_s=value + half)


def metrics(outage: float, *, censored: bool = False, lost: tuple[Example, ...] = ()) -> Metrics:
    if not outage:
        return _calm()
    bad = round(outage * 220) + round(outage * 80)
    detect, elect, promote = 0.32 * outage, 0.21 * outage, 0.3 * outage
    failover = outage + 0.021
    sides = {"censored": censored}
    return Metrics(
        client_outage=around(outage, 0.012).model_copy(update=sides),
        client_outage_read=around(outage * 0.4, 0.012),
        failover_time=around(failover, 0.019).model_copy(update=sides),
        time_to_detect=around(detect + 0.02, 0.025),
        bad_time=around(outage * 1.01, 0.0),
        goodput_gap=around(outage * 0.99, 0.004),
        max_stall=Interval(value_s=0.2, low_s=0.2, high_s=0.2, censored=True, note="timeout"),
        dropped_requests=Dropped(
            count=bad,
            due=round((outage + 0.03) * 440),
            ratio=bad / round((outage + 0.03) * 440),
            by_class={
                "ok_late": 8,
                "fail_definite": bad - 8 - 61 - 1,
                "ambiguous": 61,
                "not_sent": 1,
            },
            by_error={
                "connection refused (198.18.0.2:8080)": bad - 80,
                "503 not primary": 19,
                "timed out after 200 ms": 61,
            },
        ),
        lost_writes=Safety(count=len(lost), examples=lost),
        duplicate_writes=Safety(count=0),
        unexpected_writes=Safety(count=0),
        flaps=Count(count=1),
        recovery="failed" if censored else "failover",
        phases={}
        if censored
        else {
            "mask": around(0.021, 0.005),
            "detect": around(detect, 0.025),
            "elect": around(elect, 0.03),
            "promote": around(promote, 0.03),
            "reroute": around(failover - 0.021 - detect - elect - promote, 0.03),
        },
        values={
            "error_rate@outage": 0.978,
            "availability@run": 0.9731,
            "latency.p99@baseline": 0.0042,
            "latency.p99@recovered": 0.0051,
            "dual_primary": 0.0,
        },
        tally={
            "write": {"due": 2600, "ok": 2600 - bad, "fail_definite": bad - 61, "ambiguous": 61},
            "read": {"due": 2600, "ok": 2520, "fail_definite": 80},
        },
    )


def _calm() -> Metrics:
    return Metrics(
        client_outage=zero(),
        client_outage_read=zero(),
        failover_time=Interval(applicable=False),
        bad_time=zero(),
        goodput_gap=around(0.0031, 0.001),
        max_stall=around(0.0192, 0.0),
        dropped_requests=Dropped(
            count=0,
            due=1320,
            ratio=0.0,
            by_class={"ok_late": 0, "fail_definite": 0, "ambiguous": 0, "not_sent": 0},
        ),
        lost_writes=Safety(count=0),
        duplicate_writes=Safety(count=0),
        unexpected_writes=Safety(count=0),
        flaps=Count(count=0),
        recovery="none",
        values={"error_rate@run": 0.0, "availability@run": 1.0},
        tally={"write": {"due": 2600, "ok": 2600}, "read": {"due": 2600, "ok": 2600}},
    )


def fault(n: int, *, kind: str = "kill", bitten: bool = True) -> FaultResult:
    zero_ns = 1_000_000 * NS + n * 20 * NS
    return FaultResult(
        fault=kind,
        target="primary",
        node="node-a",
        commanded_ns=zero_ns - 2_400_000,
        acknowledged_ns=zero_ns,
        verified_ns=zero_ns + 1_100_000,
        bitten_ns=zero_ns + 17_300_000 if bitten else None,
        healed_ns=zero_ns + 5_004_000_000,
        felt_healed_ns=zero_ns + 5_310_000_000,
        detail="node-a (198.18.0.2), SIGKILL to 2 processes",
    )


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


def _over(trials: tuple[TrialResult, ...], key: str) -> Interval:
    valid = [t for t in trials if not t.invalid_because and t.metrics is not None]
    values = sorted(
        v for t in valid if (v := getattr(t.metrics, key).value_s) is not None
    )
    if not values:
        return Interval(applicable=False)
    return Interval(value_s=values[len(values) // 2], low_s=values[0], high_s=values[-1])


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
            "formula": "(3 − 1) × 100 ms + 50 ms to 3 × 100 ms + 50 ms + 50 ms + reroute",
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
            expect("client_outage < 2s", "447 ms (437 to 459)", Verdict.PASS, margin="1.54 s", trial=2),
            expect("failover_time < 2s", "468 ms (452 to 487)", Verdict.PASS, margin="1.51 s", trial=2),
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
            expect("client_outage < 2s", "≥ 8.98 s", Verdict.FAIL, margin="−6.98 s", trial=2,
                   reason="censored: the outage had not ended when observation did"),
            expect("failover_time < 2s", "≥ 9.00 s", Verdict.FAIL, margin="−7.00 s", trial=2),
            expect("dropped_requests < 99.9%", "68 %", Verdict.PASS, margin="32 %", trial=1),
            expect("lost_writes == 0", "2", Verdict.FAIL, margin="−2", trial=1,
                   reason="2 acknowledged writes are in no final read"),
        ),
    )  # fmt: skip
    return Sample(result, _timelines(trials), facts())


def invalid() -> Sample:
    why = (
        "generator lag p99 was 31 ms, above 5 ms: lower load.rate, or run on a quieter machine",
    )
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
            expect("client_outage < 2s", "412 ms (402 to 424)", Verdict.INVALID, trial=1,
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
                   margin="−6 ms to 16 ms", trial=1, reason="the bracket straddles the bound"),
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


def many(n: int = 59, seed: int = 7) -> Sample:
    rng = random.Random(seed)
    trials = tuple(
        trial(i, round(rng.gammavariate(30, 0.014), 4), invalid=("lost",) if i in {13, 40} else ())
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
    return Sample(result, _timelines(trials), facts(profile="certificate"))


ALL: dict[str, Callable[[], Sample]] = {
    "pass": passing,
    "fail": failing,
    "invalid": invalid,
    "inconclusive": inconclusive,
    "noop": noop,
    "interrupted": lambda: unfinished(Verdict.INTERRUPTED),
    "aborted": lambda: unfinished(Verdict.ABORTED),
    "error": lambda: unfinished(Verdict.ERROR),
    "many": many,
}
