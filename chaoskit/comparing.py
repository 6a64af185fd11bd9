"""From two stored runs to one comparison; their directories are the only input."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaoskit.errors import BadInput
from chaoskit.experiment.catalogue import METRICS, PROVEN, ZERO
from chaoskit.experiment.grammar import ThresholdError
from chaoskit.experiment.margin import Margin, parse_compared, parse_margin
from chaoskit.history.reader import read_trial
from chaoskit.judge.compare import (
    Compared,
    Comparison,
    Measured,
    allowance,
    compare_all,
    compare_one,
)
from chaoskit.judge.compare_safety import SafetySeen
from chaoskit.judge.result import Interval, Metrics
from chaoskit.judge.wording import plural
from chaoskit.judging import case_of, judge_folder, stored_ending, stored_trials
from chaoskit.measure.reading import Reading, Unit, read
from chaoskit.measure.shift import Observed
from chaoskit.measure.slots import slots_per_second
from chaoskit.measure.view import View
from chaoskit.runfile import RunFile, read_run_file

__all__ = ["compare_dirs", "margins_of"]

_USUAL = ("client_outage", "failover_time")
_MUST_AGREE: Mapping[str, Callable[[RunFile], object]] = {
    "experiment": lambda run: run.experiment,
    "stack": lambda run: run.stack,
    "steps": lambda run: "; ".join(run.steps),
    "load": lambda run: _load(run.streams),
    "lab": lambda run: run.lab,
}


@dataclass(frozen=True)
class _Stored:
    """What a comparison needs of one run: for each margin the values of its valid trials."""

    facts: RunFile
    trials: int
    valid: int
    readings: Mapping[str, tuple[Reading, ...]]
    safety: Mapping[str, SafetySeen]
    rates: Mapping[str, float]  # requests a second of the comb that the values are taken from


def margins_of(metrics: Iterable[str], fail_if: Iterable[str]) -> tuple[Margin, ...]:
    """The arguments of ``--metric`` and ``--fail-if``, one margin a metric.

    Raises ``BadInput``: every sentence names its flag, its text and the column.
    """
    found: dict[str, Margin] = {}
    sentences: list[str] = []
    for flag, texts, parse in (
        ("--metric", metrics, parse_compared),
        ("--fail-if", fail_if, parse_margin),
    ):
        for text in texts:
            try:
                margin = parse(text)
            except ThresholdError as error:
                sentences.append(f"{flag} '{text}', column {error.column + 1}: {error}")
                continue
            known = found.get(margin.name)
            if known is not None and known.unit is not None:
                sentences.append(f"{flag} '{text}': {margin.name} has a margin already")
            found[margin.name] = margin
    sentences += [
        f"--metric '{margin.name}': say how much worse is too much, "
        f"e.g. --fail-if '{margin.name} +10%'"
        for margin in found.values()
        if margin.unit is None and METRICS[margin.metric].phased and not _counted(margin)
    ]
    if sentences:
        raise BadInput("\n".join(sentences))
    return tuple(found.values())


def _counted(margin: Margin) -> bool:
    return "count" in METRICS[margin.metric].kinds and margin.stat != "rate"


def compare_dirs(
    base: Path, new: Path, margins: Sequence[Margin] = (), *, anyway: bool = False
) -> Comparison:
    """Compare two stored runs; writes nothing. Without margins the usual metrics.

    Raises ``BadInput`` where one is no stored run, or where they are not of the same experiment,
    stack, load and lab (``anyway`` turns that into a note).
    """
    facts = read_run_file(base), read_run_file(new)
    differ = _differences(*facts)
    if differ and not anyway:
        raise BadInput(
            f"these runs cannot be compared: {'; '.join(differ)} (--anyway does it nevertheless)"
        )
    wanted = tuple(margins) or tuple(Margin(name, name) for name in _USUAL)
    old, fresh = (_stored(run, kept, wanted) for run, kept in zip((base, new), facts, strict=True))
    compared: list[Compared] = []
    notes = [f"compared anyway: {text}" for text in differ]
    for margin in wanted:
        measured, rate = _measured(margin, old, fresh), _rate(margin, old, fresh)
        if not margins and not measured.base and not measured.new:
            continue  # nothing failed over in either
        allowed = allowance(margin, measured.unit, measured.base, rate)
        compared.append(compare_one(measured, allowed))
        if measured.unit == "s" and not margin.stat and allowed.value < 1 / rate:
            notes.append(f"{margin.name}: the margin is less than one slot of the load")
    safety = {name: (old.safety[name], fresh.safety[name]) for name in sorted(ZERO)}
    notes += [
        f"{name} ended early, its finished trials count: {ending.sentence}"
        for name, run in (("BASE", base), ("NEW", new))
        if (ending := stored_ending(run)) is not None
    ]
    notes += [
        f"{name}: {plural(run.trials - run.valid, 'trial')} of {run.trials} invalid, left out"
        for name, run in (("BASE", old), ("NEW", fresh))
        if run.valid < run.trials
    ]
    return compare_all((str(base), str(new)), compared, safety, notes)


def _differences(base: RunFile, new: RunFile) -> list[str]:
    found = []
    for name, of in _MUST_AGREE.items():
        was, now = of(base), of(new)
        if was != now:
            found.append(f"{name} '{was}' in BASE, '{now}' in NEW")
    return found


def _load(streams: Sequence[Mapping[str, object]]) -> str:
    """``write 200.0/s kept, deadline 100 ms, timeout 200 ms`` of each stream."""
    return ", ".join(
        f"{s.get('name')} {s.get('rate')}/s ({s.get('op')}, {s.get('connections')}, "
        f"deadline {_ms(s.get('deadline_ns'))}, timeout {_ms(s.get('timeout_ns'))})"
        for s in streams
    )


def _ms(ns: object) -> str:
    return f"{ns / 1e6:g} ms" if isinstance(ns, int | float) else "none"


def _stored(run_dir: Path, facts: RunFile, margins: Sequence[Margin]) -> _Stored:
    case = case_of(facts)
    readings: dict[str, list[Reading]] = {margin.name: [] for margin in margins}
    rates: dict[str, float] = {}
    seen: list[tuple[Metrics, bool]] = []
    trials = valid = 0
    for folder in stored_trials(run_dir):
        judged = judge_folder(case, folder)
        metrics = judged.result.metrics
        trials += 1
        if metrics is None:
            continue
        seen.append((metrics, judged.valid))
        if not judged.valid:
            continue
        valid += 1
        view = View(read_trial(folder))
        for margin in margins:
            unit = "count" if _counted(margin) else "ratio"
            readings[margin.name].append(
                read(view, metrics, margin.metric, stat=margin.stat, phase=margin.phase, unit=unit)
            )
            rate = slots_per_second(view, margin.metric)
            rates[margin.name] = min(rate, rates.get(margin.name, rate))
    return _Stored(
        facts,
        trials,
        valid,
        {name: tuple(found) for name, found in readings.items()},
        {name: _violations(name, seen) for name in ZERO},
        rates,
    )


def _violations(name: str, seen: Sequence[tuple[Metrics, bool]]) -> SafetySeen:
    """Of every trial where it is proven by what is stored; else of the valid ones."""
    amounts, unchecked, unit = [], 0, "count"
    for metrics, valid in seen:
        if not valid and name not in PROVEN:
            continue
        found = getattr(metrics, name)
        if isinstance(found, Interval):
            unit, told = "s", found.applicable and found.low_s is not None
            amount = found.low_s or 0.0  # what is proven
        else:
            amount = float(found.count or 0) if found is not None else 0.0
            told = found is not None and found.count is not None
            told = told and (amount > 0 or not found.unknown)
        if told:
            amounts.append(amount)
        else:
            unchecked += valid
    return SafetySeen(
        sum(amounts), sum(amount > 0 for amount in amounts), len(amounts), unchecked, unit
    )


def _measured(margin: Margin, old: _Stored, new: _Stored) -> Measured:
    sides = old.readings[margin.name], new.readings[margin.name]
    base, fresh = (tuple(_observed(r) for r in side if _usable(r)) for side in sides)
    units: list[Unit] = [r.unit for side in sides for r in side if _usable(r)]
    return Measured(
        name=margin.name,
        unit=units[0] if units else "s",
        base=base,
        new=fresh,
        base_absent=len(sides[0]) - len(base),
        new_absent=len(sides[1]) - len(fresh),
    )


def _rate(margin: Margin, old: _Stored, new: _Stored) -> float:
    """The lower one where ``--anyway`` compares different loads; nan if neither has a value."""
    rates = [side.rates[margin.name] for side in (old, new) if margin.name in side.rates]
    return min(rates, default=math.nan)


def _usable(found: Reading) -> bool:
    return found.applicable and found.enough


def _observed(found: Reading) -> Observed:
    """What had not ended is known by its low end; so is a count of which more may be true."""
    more = found.unit == "count" and found.value < found.high
    if found.censored or math.isinf(found.high) or more:
        return Observed(found.low, ended=False)
    return Observed(found.value)
