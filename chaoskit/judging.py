"""From a stored run to its verdict and reports: the same road at the end of a run and years later.

Nothing here looks at a lab: the run's directory is the only input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from chaoskit.clock import NS
from chaoskit.errors import BadInput, ChaoskitError, Halted, Interrupted
from chaoskit.experiment.grammar import ThresholdError, parse_threshold
from chaoskit.experiment.threshold import Threshold
from chaoskit.history.history import Stream
from chaoskit.history.reader import read_trial
from chaoskit.judge.result import Interval, RunResult, TrialResult, Verdict
from chaoskit.judge.validity import Gates
from chaoskit.judge.verdict import (
    Band,
    Case,
    Ending,
    JudgedTrial,
    TrialInput,
    judge_run,
    judge_view,
)
from chaoskit.measure.timeline import Timeline, timeline_of
from chaoskit.measure.view import View
from chaoskit.report.facts import RunFacts
from chaoskit.report.sharing_words import sharing_lines
from chaoskit.rundir import read_json, trial_folder, trial_folders
from chaoskit.runfile import RunFile, ThresholdFact, read_run_file

__all__ = [
    "Outcome",
    "case_of",
    "judge_dir",
    "judge_folder",
    "judge_one",
    "replaced",
    "stored_ending",
    "stored_trials",
    "trial_line",
]


@dataclass(frozen=True)
class Outcome:
    """A judged run: its result, and where its reports stand; None: nothing was written."""

    result: RunResult
    folder: Path | None
    warning: str = ""  # that this is not the system as it is meant to be

    def line(self) -> str:
        """The last line of a run: verdict, name, what was seen, and the report's path."""
        result = self.result
        where = "nothing written" if self.folder is None else self._report(self.folder)
        said = " ".join(filter(None, (result.sentence, self.warning)))
        return f"{result.verdict} {result.experiment}: {said} -> {where}"

    @staticmethod
    def _report(folder: Path) -> Path:
        path = folder / "report.html"
        try:
            return path.relative_to(Path.cwd())
        except ValueError:
            return path


def judge_one(run_dir: Path, n: int) -> JudgedTrial:
    """Judge one trial of a stored run; writes nothing. Raises ``BadInput``."""
    return judge_folder(case_of(read_run_file(run_dir)), trial_folder(run_dir, n))


def judge_dir(
    run_dir: Path,
    *,
    ended: ChaoskitError | None = None,
    thresholds: Sequence[Threshold] = (),
    out: Path | None = None,
) -> Outcome:
    """Judge a stored run from its records alone and write its reports.

    ``ended`` says how a run ended early: its finished trials are judged, and the verdict says how
    it ended. ``thresholds`` are added to the stored ones or replace them (see ``replaced``); the
    run's own reports keep the meaning they have: they are written to ``out`` or nowhere.
    Raises ``BadInput`` with one sentence where the folder holds no run.
    """
    from chaoskit.report.write import write_reports

    facts = read_run_file(run_dir)
    case = case_of(facts)
    case = replace(case, thresholds=replaced(case.thresholds, thresholds))
    shown = _facts(facts, run_dir)
    target = _report_folder(out) if out or thresholds else run_dir
    ending = _ending(ended) if ended else stored_ending(run_dir)
    judged: list[JudgedTrial] = []
    timelines: dict[int, Timeline] = {}
    for folder in stored_trials(run_dir, early=ending is not None):
        one, timelines[int(folder.name)] = _judge_and_draw(case, folder)
        judged.append(one)
    result = judge_run(case, judged, ending)
    if target is not None:
        told = {"thresholds": "; ".join(t.text for t in thresholds)} if thresholds else {}
        told_too = replace(shown, overrides={**shown.overrides, **told})
        write_reports(target, result, timelines, told_too)
    return Outcome(result, target, shown.warning())


def _report_folder(out: Path | None) -> Path | None:
    """A folder for reports that are not the run's own. Raises ``BadInput``."""
    if out is None:
        return None
    if (out / "run.json").exists():
        raise BadInput(f"{out} holds a stored run, whose reports stay as they are: name another")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"cannot write reports to {out}: {error.strerror}") from error
    return out


def replaced(stored: Sequence[Threshold], more: Sequence[Threshold]) -> tuple[Threshold, ...]:
    """``stored`` and ``more``; one on the same metric, statistic, phase and direction replaces.

    The one that replaces takes the other's place. ``P(...)`` bounds replace each other where
    their limits are the same.
    """
    found = list(stored)
    for threshold in more:
        same = [i for i, known in enumerate(found) if _key(known) == _key(threshold)]
        if same:
            found[same[0]] = threshold
            found = [t for i, t in enumerate(found) if i not in same[1:]]
        else:
            found.append(threshold)
    return tuple(found)


def _key(threshold: Threshold) -> tuple[object, ...]:
    limit = None if threshold.exceedance is None else (threshold.value, threshold.unit)
    direction = threshold.op if threshold.op in ("==", "!=") else threshold.op[0]
    return threshold.metric, threshold.stat, threshold.phase, direction, limit


def stored_trials(run_dir: Path, *, early: bool | None = None) -> tuple[Path, ...]:
    """The trials to judge, in order: of a run that ended early those that were finished.

    ``early`` None: as the stored result says. Raises ``BadInput`` where there are none at all.
    """
    if not (run_dir / "trials").is_dir():
        raise BadInput(f"{run_dir} holds no trials: its records are needed to judge it")
    if early is None:
        early = stored_ending(run_dir) is not None
    return tuple(f for f in trial_folders(run_dir) if not early or _finished(f))


def judge_folder(case: Case, folder: Path) -> JudgedTrial:
    """Judge the trial that is stored in ``folder``; writes nothing."""
    view, trial = _look(folder)
    return judge_view(case, trial, view)


def _judge_and_draw(case: Case, folder: Path) -> tuple[JudgedTrial, Timeline]:
    """Both from one look at the records; the trial's memory is free again afterwards."""
    view, trial = _look(folder)
    return judge_view(case, trial, view), timeline_of(view)


def _look(folder: Path) -> tuple[View, TrialInput]:
    """The records of a stored trial, taken apart once for judging and drawing."""
    history = read_trial(folder)
    return View(history), TrialInput(int(folder.name), history, tuple(_notes(history.notes)))


def _notes(notes: Mapping[str, object]) -> list[str]:
    """The engine's notes that are sentences for a reader."""
    return [f"{key}: {value}" for key, value in notes.items() if isinstance(value, str)]


def trial_line(trial: TrialResult) -> str:
    """One finished trial in one line, for the progress display."""
    found = trial.metrics
    if found is None:
        return f"trial {trial.n}: {trial.verdict}"
    parts = [f"trial {trial.n}: {trial.verdict}", f"outage {_said(found.client_outage)}"]
    if found.failover_time.applicable:
        said = _said(found.failover_time)
        same = found.same_node_served
        parts.append(f"no failover, writes again after {said}" if same else f"failover {said}")
    parts.append(f"dropped {found.dropped_requests.count} of {found.dropped_requests.due}")
    if found.lost_writes.checked:
        maybe = found.lost_writes.unknown
        parts.append(f"lost {found.lost_writes.count}{f', perhaps {maybe}' if maybe else ''}")
    text = ", ".join(parts)
    text += "".join(f"\n          {line}" for line in sharing_lines(found.sharing))
    if trial.invalid_because:
        more = len(trial.invalid_because) - 1
        text += f"\n          because {trial.invalid_because[0]}"
        text += f" (and {more} more)" if more else ""
    return text


def _said(interval: Interval) -> str:
    if interval.value_s is None:
        return "not measured"
    if interval.censored:
        return f">= {interval.value_s:.2f} s"
    half = ((interval.high_s or 0.0) - (interval.low_s or 0.0)) / 2
    return f"{interval.value_s:.3f} s (within {half:.3f})"


def _ending(ended: ChaoskitError) -> Ending:
    first = str(ended).splitlines()[0]
    if isinstance(ended, Interrupted):
        text = f"Interrupted by signal {ended.signum}; everything is healed."
        return Ending(Verdict.INTERRUPTED, ended.exit_code, text)
    if isinstance(ended, Halted):
        text = f"Stopped by chaoskit halt ({ended.reason}); everything is healed."
        return Ending(Verdict.ABORTED, ended.exit_code, text)
    return Ending(Verdict.ERROR, ended.exit_code, first if first.endswith(".") else f"{first}.")


def stored_ending(run_dir: Path) -> Ending | None:
    """How a stored run ended early: that cannot be told from its records, so it is kept."""
    path = run_dir / "result.json"
    if not path.exists():
        return None
    stored = read_json(path)
    verdict = str(stored.get("verdict", ""))
    if verdict not in (Verdict.INTERRUPTED, Verdict.ERROR, Verdict.ABORTED):
        return None
    code = stored.get("exit_code")
    text = str(stored.get("ending", ""))
    return Ending(Verdict(verdict), code if isinstance(code, int) else 4, text)


def _finished(folder: Path) -> bool:
    """The engine marks a trial's windows when it reaches its end."""
    marks = folder / "marks.jsonl"
    return marks.exists() and any(
        line.startswith('{"kind": "window"') for line in marks.read_text("utf-8").splitlines()
    )


def case_of(facts: RunFile) -> Case:
    """What is to be judged, as it was stored. Raises ``BadInput``."""
    gates = Gates(
        facts.baseline_s, facts.baseline_requests, facts.stable_s, steady_s=facts.steady_s
    )
    band = None
    if facts.band is not None:
        band = Band(facts.band.low_s, facts.band.high_s, facts.band.formula)
    return Case(
        name=facts.experiment,
        thresholds=tuple(_threshold(t) for t in facts.thresholds),
        trials_wanted=facts.trials,
        looks=facts.looks,
        gates=gates,
        question=facts.question,
        seed=facts.seed,
        lab=facts.lab,
        band=band,
        planted=facts.planted,
    )


def _threshold(fact: ThresholdFact) -> Threshold:
    try:
        return parse_threshold(fact.text, line=fact.line, because=fact.because)
    except ThresholdError as error:
        raise BadInput(f"run.json: threshold '{fact.text}': {error}") from error


def _facts(facts: RunFile, run_dir: Path) -> RunFacts:
    return RunFacts(
        run=run_dir.name,
        started_utc=facts.started_utc,
        took_s=facts.took_s,
        seed=facts.seed,
        version=facts.version,
        argv=facts.argv,
        source=facts.source,
        source_path=facts.source_path,
        stack=facts.stack,
        profile=facts.profile,
        streams=tuple(Stream(**stream) for stream in facts.streams),
        poll_every_s=facts.poll_every_ns / NS,
        host=facts.host,
        lab=facts.lab_facts,
        lab_why=facts.lab_why,
        overrides=facts.overrides,
        detectors=facts.detectors,
        planted=facts.planted,
        retries=facts.retries,
    )
