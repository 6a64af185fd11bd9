"""Timelines, metrics and faults of one trial, synthetic but consistent with each other."""

from __future__ import annotations

import random

from chaoskit.history.history import Stream
from chaoskit.judge.result import Count, Dropped, Example, FaultResult, Interval, Metrics, Safety
from chaoskit.measure.model import Impact, Share, Sharing
from chaoskit.measure.timeline import Band, Dot, RoleSpan, Timeline

NS = 1_000_000_000
STREAMS = (
    Stream("write", "write", 200.0, "kept", 100_000_000, 200_000_000),
    Stream("read", "read", 200.0, "kept", 100_000_000, 200_000_000),
    Stream("write/new", "write", 20.0, "new", 100_000_000, 200_000_000),
    Stream("read/new", "read", 20.0, "new", 100_000_000, 200_000_000),
)


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
        out = faulty and outage_s > 0 and at > 0.02 and at + bin_s < over_s
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
        client_outage_by_stream={
            "write": around(outage, 0.012),
            "read": around(outage * 0.4, 0.012),
        },
        resurrected_writes=Safety(count=0),
        tally_impact={"write": {"due": 301, "ok": 9}},
        spans_s={"baseline": (-4.0, 0.0), "outage": (0.02, 0.02 + outage)},
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


def sharing(orphaned: bool) -> Sharing:
    """Three nodes of unequal weight and three shards, of which the last stays out or does not."""
    return Sharing(
        shares={
            "node-a": Share(before=0.6, fault=0.857, after=0.6),
            "node-b": Share(before=0.3, fault=0.0, after=0.0 if orphaned else 0.3),
            "node-c": Share(before=0.1, fault=0.143, after=0.1),
        },
        impact=Impact(
            due=300, bad=2, bad_before=0, rate=297.0, rate_before=300.0,
            p50_s=0.0062, p50_before_s=0.0059, p99_s=0.0311, p99_before_s=0.0083,
        ),
        outage_by_shard={
            "1": zero(),
            "2": around(0.312, 0.011),
            "3": Interval(value_s=8.97, low_s=8.95, censored=True) if orphaned else zero(),
        },
    )  # fmt: skip


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
