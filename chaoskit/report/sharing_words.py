"""What losing one of several nodes that serve came to, in words: for tables and terminals."""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.measure.model import Impact, Share, Sharing
from chaoskit.report.format import MINUS, NONE, clean, count, interval, percent, seconds

__all__ = ["became", "impact_cells", "share_cells", "sharing_figures", "sharing_lines"]

_POINT = 0.01  # a share that changed by less is as before


def share_cells(found: Share) -> tuple[str, str, str]:
    """A node's share before, under and after the fault; a dash where nobody answered at all."""
    before, fault, after = (
        NONE if part is None else percent(part) for part in (found.before, found.fault, found.after)
    )
    return before, fault, after


def became(found: Share) -> str:
    """What became of the node while the fault was on, and afterwards."""
    if found.gone:
        back = "" if found.after is None else ", not back" if found.not_back else ", back"
        return f"gone{back}"
    if found.not_back:
        return "gone since the heal"
    if found.before is None or found.fault is None:
        return NONE
    if not found.before and not found.fault:
        return "only afterwards"
    points = 100 * (found.fault - found.before)
    if abs(points) < 100 * _POINT:
        return "as before"
    return f"{'+' if points > 0 else MINUS}{abs(points):.1f} points"


def impact_cells(found: Impact) -> tuple[tuple[str, str], ...]:
    """Bad requests, answers a second, p50, p99: each in the second of the fault, then before it."""
    bad = f"{count(found.bad)} of {count(found.due)}"
    if found.due:
        bad += f" ({percent(found.bad / found.due)})"
    rate, usual = (f"{count(round(of))}/s" for of in (found.rate, found.rate_before))
    if found.rate_before:
        rate += f" ({_change(found.rate / found.rate_before)})"
    return (
        (bad, count(found.bad_before)),
        (rate, usual),
        _latency(found.p50_s, found.p50_before_s),
        _latency(found.p99_s, found.p99_before_s),
    )


def _change(factor: float) -> str:
    points = round(100 * (factor - 1), 1)
    return "as before" if not points else f"{'+' if points > 0 else MINUS}{abs(points):.1f} %"


def _latency(now: float | None, before: float | None) -> tuple[str, str]:
    usual = NONE if before is None else seconds(before)
    if now is None:
        return NONE, usual
    return seconds(now) + (f" ({now / before:.1f} x)" if before else ""), usual


def sharing_figures(found: Sharing | None) -> Iterator[tuple[str, str]]:
    """Each figure by itself, for the table of every figure of every trial."""
    if found is None:
        return
    for node, share in found.shares.items():
        before, fault, after = share_cells(share)
        yield f"share of {clean(node, 60)}", f"{before} before, {fault} under, {after} after"
    if found.impact is not None:
        names = ("bad", "answered", "p50", "p99")
        for name, (now, before) in zip(names, impact_cells(found.impact), strict=True):
            yield f"second of the fault, {name}", f"{now}; {before} before"
    for shard, outage in found.outage_by_shard.items():
        yield f"client outage, shard {clean(shard, 20)}", interval(outage)


def sharing_lines(found: Sharing | None) -> tuple[str, ...]:
    """The same in at most three lines, for a terminal."""
    if found is None:
        return ()
    lines = []
    if found.shares:
        each = [
            f"{clean(node, 60)} {' -> '.join(share_cells(share))}"
            for node, share in found.shares.items()
        ]
        lines.append(f"shares before -> under -> after the fault: {'; '.join(each)}")
    if found.impact is not None:
        (bad, bad0), (rate, rate0), (p50, p50_0), (p99, p99_0) = impact_cells(found.impact)
        lines.append(
            f"second of the fault: {bad} bad, {rate}, p50 {p50}, p99 {p99}; "
            f"before: {bad0} bad in the worst, {rate0}, p50 {p50_0}, p99 {p99_0}"
        )
    out = {s: o for s, o in found.outage_by_shard.items() if o.censored or o.value_s}
    if found.outage_by_shard:
        each = [f"shard {clean(shard, 20)} out {interval(outage)}" for shard, outage in out.items()]
        rest = len(found.outage_by_shard) - len(out)
        others = [f"{rest} of {len(found.outage_by_shard)} shards never out"] if rest else []
        lines.append("; ".join([*each, *others]))
    return tuple(lines)
