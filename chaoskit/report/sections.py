"""The tables of the page: dropped requests, errors, safety, faults, method, facts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from chaoskit.judge.result import Example, FaultResult, Metrics, RunResult, Safety, TrialResult
from chaoskit.measure.model import DualPrimary
from chaoskit.report.cards import valid_trials
from chaoskit.report.detail import Detail
from chaoskit.report.facts import RunFacts
from chaoskit.report.figures import CLASSES, metric_of
from chaoskit.report.format import NONE, clean, count, percent, seconds, short, signed
from chaoskit.report.scale import place

__all__ = [
    "DroppedRow",
    "ErrorRow",
    "FaultRow",
    "SafetyRow",
    "build_dropped",
    "build_errors",
    "build_fact_rows",
    "build_faults",
    "build_safety",
    "build_streams",
]


@dataclass(frozen=True)
class DroppedRow:
    """One class of dropped requests over all trials that count."""

    kind: str
    label: str
    meaning: str
    number: str
    share: str
    width: str
    by_trial: tuple[str, ...]


@dataclass(frozen=True)
class ErrorRow:
    """One kind of error that dropped requests ended with."""

    error: str
    number: str
    share: str
    trials: str


@dataclass(frozen=True)
class SafetyRow:
    """A count that must be 0, over all trials. ``holds`` None: not checked, or not judged."""

    label: str
    total: str
    holds: bool | None
    where: str
    notes: tuple[str, ...]
    examples: tuple[tuple[str, ...], ...]
    left_out: int


@dataclass(frozen=True)
class FaultRow:
    """One fault as it was."""

    trial: int
    fault: str
    target: str
    node: str
    at_load: str  # acknowledged, counted from the load's first slot
    moments: tuple[str, ...]  # commanded, verified, bitten, healed, felt healed; from acknowledged
    detail: str


def build_dropped(result: RunResult) -> tuple[tuple[DroppedRow, ...], tuple[int, ...]]:
    """Rows by class, and the trials that have a column of their own (of a few, all)."""
    trials = [t for t in valid_trials(result) if t.metrics is not None]
    columns = tuple(trials) if len(trials) <= 6 else ()
    total: Counter[str] = Counter()
    for trial in trials:
        total.update(_by_class(trial))
    everything = sum(total[kind] for kind, _, _ in CLASSES if kind != "ok")
    rows = tuple(
        DroppedRow(
            kind,
            label,
            meaning,
            count(total[kind]),
            percent(total[kind] / everything) if everything else NONE,
            place(100 * total[kind] / everything) if everything else "0",
            tuple(count(_by_class(t).get(kind, 0)) for t in columns),
        )
        for kind, label, meaning in CLASSES
        if kind != "ok"
    )
    return rows, tuple(t.n for t in columns)


def _by_class(trial: TrialResult) -> dict[str, int]:
    return {} if trial.metrics is None else dict(trial.metrics.dropped_requests.by_class)


def build_errors(result: RunResult, detail: Detail) -> tuple[tuple[ErrorRow, ...], int]:
    """Errors of the dropped requests, most frequent first, and how many kinds are not shown."""
    total: Counter[str] = Counter()
    trials: Counter[str] = Counter()
    measured = [t for t in valid_trials(result) if t.metrics is not None]
    for trial in measured:
        found = {} if trial.metrics is None else trial.metrics.dropped_requests.by_error
        for error, number in found.items():
            total[error] += number
            trials[error] += 1
    everything = sum(total.values())
    rows = tuple(
        ErrorRow(
            clean(error, 300) or "(no message)",
            count(number),
            percent(number / everything) if everything else NONE,
            f"{trials[error]} of {len(measured)}",
        )
        for error, number in total.most_common(detail.items)
    )
    return rows, len(total) - len(rows)


_OF_THE_LOST = ("split_brain_loss", "post_heal_loss")


def build_safety(result: RunResult, detail: Detail) -> tuple[SafetyRow, ...]:
    """Writes lost, duplicate or unexpected, reads out of order; the first offenders of each."""
    measured = [t.metrics for t in result.trials if t.metrics]
    return tuple(
        _safety(result, detail, key, label)
        for key, label in (
            ("lost_writes", "lost writes"),
            ("split_brain_loss", "of them, under the fault"),
            ("post_heal_loss", "of them, after the heal"),
            ("duplicate_writes", "duplicate writes"),
            ("unexpected_writes", "unexpected writes"),
            ("resurrected_writes", "resurrected writes"),
            ("divergent_writes", "divergent writes"),
            ("stale_reads", "stale reads"),
            ("stale_leader_reads", "stale reads of a claimed primary"),
            ("session_violations", "session violations"),
            ("linearizability_violations", "linearizability violations"),
            ("dual_primary", "writes to two primaries"),
        )
        if key in ("lost_writes", "duplicate_writes", "unexpected_writes")
        or (key in _OF_THE_LOST and any(s.count for m in measured if (s := _counted(m, key))))
        or (key not in _OF_THE_LOST and any(_counted(m, key) for m in measured))
    )


def _counted(metrics: Metrics, key: str) -> Safety | None:
    """What is counted under that name; of two primaries, the writes that prove them."""
    found: Safety | DualPrimary | None = getattr(metrics, key)
    if not isinstance(found, DualPrimary):
        return found
    if not found.applicable:
        return None
    checked = found.writes is not None
    return Safety(count=found.writes, examples=found.examples, checked=checked, note=found.note)


def _safety(result: RunResult, detail: Detail, key: str, label: str) -> SafetyRow:
    found: list[tuple[TrialResult, Safety]] = [
        (t, safety)
        for t in result.trials
        if t.metrics is not None and (safety := _counted(t.metrics, key)) is not None
    ]
    checked = [(t, s) for t, s in found if s.checked and s.count is not None]
    total = sum(s.count or 0 for _, s in checked)
    maybe = sum(s.unknown for _, s in checked)
    struck = [f"trial {t.n}: {count(s.count or 0)}" for t, s in checked if s.count]
    examples = [_example(t, example) for t, s in checked for example in s.examples]
    where = "; ".join(struck[: detail.items]) or (
        f"checked in {len(checked)} of {len(result.trials)} trials"
    )
    judged = any(metric_of(e.expression) == key for e in result.expectations)
    meant = judged or key != "divergent_writes"  # nodes that hold parts of a whole may differ
    return SafetyRow(
        label=label,
        total=(f"{count(total)} to {count(total + maybe)}" if maybe else count(total))
        if checked
        else NONE,
        holds=(total == 0) if checked and (meant if total else not maybe) else None,
        where=where if checked else "not checked",
        notes=tuple(dict.fromkeys(clean(s.note, 400) for _, s in found if s.note))[: detail.items],
        examples=tuple(examples[: detail.items]),
        left_out=max(0, total - len(examples[: detail.items])) if examples else 0,
    )


def _example(trial: TrialResult, example: Example) -> tuple[str, ...]:
    """Trial, token, sent, acknowledged (both from the fault), who acknowledged it, in words."""
    zero = trial.faults[0].acknowledged_ns if trial.faults else None
    if example.after_fault_s is not None and example.acknowledged_ns is not None:
        zero = example.acknowledged_ns - round(
            example.after_fault_s * 1e9
        )  # the fault it counts from
    sent = None if zero is None or example.sent_ns is None else (example.sent_ns - zero) / 1e9
    acknowledged = example.after_fault_s
    if acknowledged is None and zero is not None and example.acknowledged_ns is not None:
        acknowledged = (example.acknowledged_ns - zero) / 1e9
    return (
        str(trial.n),
        str(example.token),
        signed(sent),
        signed(acknowledged),
        clean(example.server or NONE, 60),
        clean(example.detail, 300),
    )


def build_faults(
    result: RunResult, starts: dict[int, float], detail: Detail
) -> tuple[tuple[FaultRow, ...], int]:
    """Every fault of every trial, and how many are not shown.

    ``starts``: trial number → seconds from the first fault's acknowledgement back to the load's
    first slot (a timeline's ``start_s``).
    """
    rows = [
        _fault(trial, fault, starts.get(trial.n))
        for trial in result.trials
        for fault in trial.faults
    ]
    return tuple(rows[: detail.trials]), max(0, len(rows) - detail.trials)


def _fault(trial: TrialResult, fault: FaultResult, start_s: float | None) -> FaultRow:
    zero = fault.acknowledged_ns
    first = trial.faults[0].acknowledged_ns

    def since(moment: int | None, missing: str) -> str:
        return missing if moment is None else signed((moment - zero) / 1e9)

    return FaultRow(
        trial=trial.n,
        fault=clean(fault.fault, 60),
        target=clean(fault.target, 80),
        node=clean(fault.node, 120),
        at_load=NONE if start_s is None else seconds((zero - first) / 1e9 - start_s),
        moments=(
            since(fault.commanded_ns, NONE),
            since(fault.verified_ns, "not verified"),
            since(fault.bitten_ns, "not felt" if trial.invalid_because else NONE),
            since(fault.healed_ns, "not healed"),
            since(fault.felt_healed_ns, NONE),
        ),
        detail=clean(fault.detail, 300),
    )


def build_streams(facts: RunFacts) -> tuple[tuple[str, ...], ...]:
    """The load as declared: one row a comb."""
    return tuple(
        (
            clean(s.name, 60),
            clean(s.op, 20),
            f"{s.rate:g}/s",
            short(1 / s.rate) if s.rate > 0 else NONE,
            short(s.deadline_ns / 1e9),
            short(s.timeout_ns / 1e9),
            clean(s.connections, 20),
        )
        for s in facts.streams[:20]
    )


def build_fact_rows(
    result: RunResult, facts: RunFacts, detail: Detail
) -> tuple[tuple[str, str], ...]:
    """Where, when, with what: everything that identifies the run."""
    rows = [
        ("run", facts.run),
        ("started", facts.started()),
        ("took", seconds(facts.took_s)),
        ("chaoskit", facts.version),
        ("stack", facts.stack),
        ("lab", result.lab + (f" ({facts.lab_why})" if facts.lab_why else "")),
        ("profile", facts.profile),
        ("seed", str(result.seed)),
        ("experiment file", facts.source_path),
        ("roles asked every", short(facts.poll_every_s)),
    ]
    for prefix, mapping in (
        ("host: ", facts.host),
        ("lab: ", facts.lab),
        ("set: ", facts.overrides),
        ("detector: ", facts.detectors),
        ("planted in ", facts.planted),
        ("tries again: ", facts.retries),
    ):
        rows += [(prefix + key, str(value)) for key, value in list(mapping.items())[: detail.items]]
    return tuple((clean(key, 80), clean(value, 400)) for key, value in rows if value)
