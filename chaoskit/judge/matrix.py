"""What the cells of a matrix came to, side by side: ``matrix.json``. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaoskit.errors import worst_code
from chaoskit.judge.result import OverTrials, RunResult, TrialResult, Verdict
from chaoskit.measure.model import Frozen
from chaoskit.measure.statistics import exceedance_lower, exceedance_upper

__all__ = ["CellResult", "MatrixResult", "Share", "judge_cell", "judge_matrix", "share"]

SCHEMA_VERSION = 1
_ONE_SIDE = 0.975  # of a two-sided interval of 95 %


class Share(Frozen):
    """``k`` of ``n`` trials, and the Clopper-Pearson interval (95 %) of their probability."""

    k: int
    n: int
    low: float
    high: float


class CellResult(Frozen):
    """One cell: a run of its own."""

    n: int  # from 1, in the order of the file
    at: Mapping[str, str]  # axis → value, in words
    scale: Mapping[str, float] = {}  # axis → value as a number, where it is one; seconds if a time
    folder: str  # of the run, from the matrix's folder
    verdict: Verdict
    exit_code: int
    sentence: str
    trials: int
    failed_over: Share  # of the valid trials, in how many somebody else served afterwards
    summary: Mapping[str, OverTrials] = {}
    lost_writes: int = 0  # most in any trial
    thresholds: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()  # thresholds that are not PASS


class MatrixResult(Frozen):
    """All cells of a matrix."""

    schema_version: int = SCHEMA_VERSION
    experiment: str
    question: str = ""
    lab: str
    seed: int
    verdict: Verdict
    exit_code: int
    sentence: str
    axes: Mapping[str, tuple[str, ...]]
    cells: tuple[CellResult, ...]
    left_out: int = 0  # cells that were not run: the matrix was ended early, or --cell chose some


def judge_cell(
    n: int, at: Mapping[str, str], scale: Mapping[str, float], folder: str, result: RunResult
) -> CellResult:
    """What the table keeps of a cell's run."""
    valid = [t for t in result.trials if not t.invalid_because and t.metrics is not None]
    moved = sum(1 for t in valid if t.metrics is not None and t.metrics.recovery == "failover")
    return CellResult(
        n=n,
        at=dict(at),
        scale=dict(scale),
        folder=folder,
        verdict=result.verdict,
        exit_code=result.exit_code,
        sentence=result.sentence,
        trials=len(valid),
        failed_over=share(moved, len(valid)),
        summary=result.summary,
        lost_writes=max((_lost(t) for t in result.trials), default=0),
        thresholds=tuple(e.expression for e in result.expectations),
        missed=tuple(e.expression for e in result.expectations if e.verdict is not Verdict.PASS),
    )


def share(k: int, n: int) -> Share:
    """``k`` of ``n`` with its Clopper-Pearson interval; without trials it may be anything."""
    if n == 0:
        return Share(k=0, n=0, low=0.0, high=1.0)
    low, high = exceedance_lower(k, n, _ONE_SIDE), exceedance_upper(k, n, _ONE_SIDE)
    return Share(k=k, n=n, low=low, high=high)


def judge_matrix(
    experiment: str,
    question: str,
    axes: Mapping[str, Sequence[str]],
    cells: Sequence[CellResult],
    *,
    lab: str,
    seed: int,
    left_out: int = 0,
) -> MatrixResult:
    """The worst of the cells is the matrix's own exit code and verdict."""
    code = worst_code([cell.exit_code for cell in cells])
    verdict = next((c.verdict for c in cells if c.exit_code == code), Verdict.ERROR)
    if code == 3 and any(c.verdict is Verdict.INVALID for c in cells):
        verdict = Verdict.INVALID
    return MatrixResult(
        experiment=experiment,
        question=question,
        lab=lab,
        seed=seed,
        verdict=verdict,
        exit_code=code,
        sentence=_sentence(cells, left_out),
        axes={axis: tuple(values) for axis, values in axes.items()},
        cells=tuple(cells),
        left_out=left_out,
    )


def _sentence(cells: Sequence[CellResult], left_out: int) -> str:
    counted: dict[str, int] = {}
    for cell in cells:
        counted[cell.verdict.value] = counted.get(cell.verdict.value, 0) + 1
    said = ", ".join(f"{count} {verdict}" for verdict, count in counted.items()) or "none was run"
    text = f"Of {len(cells)} cell{'s' * (len(cells) != 1)}: {said}."
    bad = [cell for cell in cells if cell.exit_code]
    if bad:
        names = "; ".join(", ".join(cell.at.values()) for cell in bad[:3])
        text += f" Not PASS: {names}{f' and {len(bad) - 3} more' if len(bad) > 3 else ''}."
    if left_out:
        text += f" {left_out} more {'were' if left_out > 1 else 'was'} not run."
    return text


def _lost(trial: TrialResult) -> int:
    return (trial.metrics.lost_writes.count or 0) if trial.metrics is not None else 0
