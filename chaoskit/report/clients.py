"""What each client felt, where the load has several: one row a trial, then one a client."""

from __future__ import annotations

from dataclasses import dataclass

from chaoskit.judge.result import RunResult
from chaoskit.measure.model import ClientOutages
from chaoskit.report.cards import valid_trials
from chaoskit.report.detail import Detail
from chaoskit.report.format import NONE, clean, count, interval, percent

__all__ = ["Clients", "build_clients"]


@dataclass(frozen=True)
class Clients:
    """Rows of text. ``each``: client, then its longest outage and bad requests in every trial."""

    rows: tuple[tuple[str, ...], ...]
    trials: tuple[int, ...]
    each: tuple[tuple[str, ...], ...]
    left_out: int


def build_clients(result: RunResult, detail: Detail) -> Clients | None:
    """None where one client asked everything."""
    found = [
        (t.n, t.metrics.clients)
        for t in valid_trials(result)
        if t.metrics is not None and t.metrics.clients is not None and t.metrics.clients.clients > 1
    ]
    if not found:
        return None
    columns = found if len(found) <= 6 else []
    names = list(dict.fromkeys(name for _, one in columns for name in one.by_client))
    return Clients(
        rows=tuple(_row(n, one) for n, one in found[: detail.trials]),
        trials=tuple(n for n, _ in columns),
        each=tuple(
            (clean(name, 60), *(_cell(one, name) for _, one in columns))
            for name in names[: detail.items]
        ),
        left_out=len(names) - len(names[: detail.items]),
    )


def _row(n: int, one: ClientOutages) -> tuple[str, ...]:
    worst = interval(one.worst)
    if one.worst_client is not None:
        worst += f", {clean(one.worst_client, 60)}"
    uptime = one.user_uptime
    share = NONE if uptime.value_s is None else percent(uptime.value_s)
    if uptime.low_s is not None and uptime.high_s is not None and uptime.low_s < uptime.high_s:
        low, high = (percent(end).removesuffix(" %") for end in (uptime.low_s, uptime.high_s))
        share += f" ({low} to {high})"
    return (
        str(n),
        str(one.clients),
        worst,
        interval(one.median),
        interval(one.union),
        interval(one.intersection),
        share,
    )


def _cell(one: ClientOutages, name: str) -> str:
    outage = one.by_client.get(name)
    if outage is None:
        return NONE
    bad, due = one.bad.get(name, 0), one.due.get(name, 0)
    return f"{interval(outage)}, {count(bad)} of {count(due)} bad"
