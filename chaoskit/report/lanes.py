"""Swim-lanes of one trial: faults, what clients felt, and what every node said it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chaoskit.measure.timeline import Band, RoleSpan, Timeline
from chaoskit.report.format import clean, seconds
from chaoskit.report.scale import Range

__all__ = ["Lane", "Span", "build_lanes"]

MOST_CLIENTS = 12
_ROLES = ("primary", "backup", "witness")


@dataclass(frozen=True)
class Span:
    """A stretch of a lane. ``size`` says on which screens its text fits: s, m, l, or none."""

    kind: str
    x: str
    w: str
    text: str
    size: str
    end: str = "100"
    beside: str = ""  # "start" or "end": the text stands outside, anchored there


@dataclass(frozen=True)
class Lane:
    """One row of the swim-lanes. ``empty`` is said where there is nothing to draw."""

    label: str
    spans: tuple[Span, ...]
    empty: str = ""


def build_lanes(
    timeline: Timeline, scale: Range, poll_s: float, *, several: bool = False, most_nodes: int = 12
) -> tuple[Lane, ...]:
    """Faults, what clients felt, each of them where there are several, then one lane a node.

    Two that say primary at once are an alarm, unless ``several`` are meant to serve.
    """
    found = []
    if timeline.faults:
        found.append(_band_lane("fault", "fault", timeline.faults, scale))
    by_stream: dict[str, list[Band]] = {}
    for band in timeline.outages:
        by_stream.setdefault(band.label, []).append(band)
    for stream, bands in list(by_stream.items())[:6]:
        found.append(_band_lane(_outage_label(stream), "outage", bands, scale))
    if not by_stream:
        found.append(Lane("outage", (), "none"))
    found += _client_lanes(timeline.clients, scale)
    by_node: dict[str, list[RoleSpan]] = {}
    for span in timeline.roles:
        by_node.setdefault(span.node, []).append(span)
    found += [_role_lane(n, by_node[n], scale) for n in sorted(by_node)[:most_nodes]]
    double = None if several else _double(timeline, scale, 2 * poll_s)
    if double is not None:
        found.append(double)
    return tuple(found)


def _client_lanes(clients: Mapping[str, Sequence[Band]], scale: Range) -> list[Lane]:
    """One lane a client; of many, those that were out longest. In their own order."""
    spent = {name: sum(b.to_s - b.from_s for b in bands) for name, bands in clients.items()}
    most = set(sorted(spent, key=lambda name: -spent[name])[:MOST_CLIENTS])
    lanes = [
        _band_lane(clean(name, 24), "outage", bands, scale)
        for name, bands in clients.items()
        if name in most
    ]
    left = len(clients) - len(lanes)
    return [*lanes, Lane(f"{left} more", (), "out no longer than these")] if left else lanes


def _outage_label(stream: str) -> str:
    return "outage" if stream == "outage" else f"outage {clean(stream, 24)}"


def _band_lane(label: str, kind: str, bands: Sequence[Band], scale: Range) -> Lane:
    """How long it lasted stands in the band, or beside it where that is too short for it."""
    spans = []
    for band in bands[:40]:
        lasted = seconds(band.to_s - band.from_s)
        text = f"{clean(band.label, 60)} · {lasted}" if kind == "fault" else lasted
        span = _span(kind, scale, band.from_s, band.to_s, text)
        if span.size not in {"s", "m"} and len(bands) <= 3:
            side = "start" if scale.at(band.to_s) < 70 else "end"
            span = replace(span, text=text, end=scale.x(band.to_s), beside=side)
        spans.append(span)
    return Lane(label, tuple(spans))


def _role_lane(node: str, spans: Sequence[RoleSpan], scale: Range) -> Lane:
    """A node's roles over time; stretches too short to be drawn are put together."""
    drawn: list[Span] = []
    narrow: list[RoleSpan] = []

    def flush() -> None:
        if len(narrow) == 1:
            only = narrow[0]
            drawn.append(_span(_role_kind(only.role), scale, only.from_s, only.to_s, ""))
        elif narrow:
            drawn.append(_span("other", scale, narrow[0].from_s, narrow[-1].to_s, "changing"))
        narrow.clear()

    for span in sorted(spans, key=lambda s: s.from_s):
        if scale.at(span.to_s) - scale.at(span.from_s) < 0.25:
            narrow.append(span)
            continue
        flush()
        text = "no answer" if span.role is None else clean(span.role, 24)
        drawn.append(_span(_role_kind(span.role), scale, span.from_s, span.to_s, text))
    flush()
    return Lane(clean(node, 40), tuple(drawn))


def _role_kind(role: str | None) -> str:
    """The look of a role; what a node may say is not ours, so it is never used as it is."""
    if role is None:
        return "silent"
    return role if role in _ROLES else "other"


def _double(timeline: Timeline, scale: Range, least_s: float) -> Lane | None:
    """When two nodes said at once that they were primary, for longer than polling can blur."""
    primaries = sorted(
        (s for s in timeline.roles if s.role == "primary"), key=lambda s: (s.from_s, s.to_s)
    )
    found: list[Span] = []
    last: RoleSpan | None = None
    for span in primaries:
        if last is not None and last.node != span.node:
            until = min(last.to_s, span.to_s)
            if until - span.from_s > least_s:
                lasted = seconds(until - span.from_s)
                found.append(_span("double", scale, span.from_s, until, lasted))
        if last is None or span.to_s > last.to_s:
            last = span
    return Lane("two primaries", tuple(found[:40])) if found else None


def _span(kind: str, scale: Range, from_s: float, to_s: float, text: str) -> Span:
    share = scale.at(to_s) - scale.at(from_s)
    size = _size(share, text)
    return Span(kind, scale.x(from_s), scale.width(from_s, to_s, 0.2), text if size else "", size)


def _size(share: float, text: str) -> str:
    """The smallest screen on which the text fits: plots are about 250, 600 and 1000 px wide."""
    need = 6.2 * len(text) + 8
    for size, width in (("s", 250.0), ("m", 600.0), ("l", 980.0)):
        if share / 100 * width >= need:
            return size
    return ""
