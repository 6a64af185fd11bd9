"""N trials of an experiment: seeds, phases, repeats of invalid ones, and the way out."""

from __future__ import annotations

import os
import platform
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chaoskit import __version__
from chaoskit.choosing import Choice, build_lab, choose_lab, refuse_unmet
from chaoskit.clock import NS, now_ns, utc_label
from chaoskit.contracts import FaultModel, Lab
from chaoskit.errors import ChaoskitError, HealFailed
from chaoskit.experiment.load_options import refuse_unknown_options
from chaoskit.experiment.model import AUTO_CAP, Experiment
from chaoskit.halting import refuse_if_halted
from chaoskit.judge.verdict import JudgedTrial, enough
from chaoskit.judging import Outcome, case_of, judge_dir, judge_one, trial_line
from chaoskit.lab.guardian import Guardian
from chaoskit.lab.heal import heal
from chaoskit.lab.journal import Journal
from chaoskit.measure.looks import describe, looks_up_to
from chaoskit.phases import longest_period_s, open_phases_s, phases_s
from chaoskit.planning import plan_hash
from chaoskit.rundir import create_run_dir, trial_folder
from chaoskit.runfile import RunFile, read_run_file, write_run_file
from chaoskit.signals import Signals
from chaoskit.stack.compose import load_stack
from chaoskit.stack.model import Stack
from chaoskit.trial import TrialSetup, run_trial

__all__ = ["RunRequest", "faults_of", "run_experiment"]

Say = Callable[[str, Mapping[str, object]], None]


@dataclass(frozen=True)
class RunRequest:
    """What the command line asked for, on top of the experiment."""

    experiment: Experiment
    lab: str = "auto"
    trials: int | None = None
    seed: int | None = None
    out: Path = Path("reports")
    argv: tuple[str, ...] = ()
    say: Say = lambda _event, _facts: None
    folder: Path | None = None  # of the run, where it is a cell of a matrix; made by this run
    auto: bool = False  # stop when enough is known; ``trials`` is then the cap


@dataclass
class _Campaign:
    request: RunRequest
    stack: Stack
    choice: Choice
    seed: int
    trials: int
    run_id: str
    run_dir: Path
    journal: Journal
    signals: Signals
    facts: dict[str, str] = field(default_factory=dict)
    began_ns: int = field(default_factory=now_ns)
    looks: tuple[int, ...] = ()
    plan: str = ""
    judged: list[JudgedTrial] = field(default_factory=list)

    def run(self) -> None:
        """All trials, and as many again for those that came out invalid."""
        varied = "at" in self.request.experiment.repeat.vary
        period_s = longest_period_s(self.stack) if varied else 0.0
        spread = open_phases_s if self.looks else phases_s
        phases = spread(period_s, self.trials, self.seed)
        waiting = [(n, phase_s, 0) for n, phase_s in enumerate(phases, start=1)]
        spare = self.trials
        while waiting:
            n, phase_s, instead_of = waiting.pop(0)
            facts = {"n": n, "of": self.trials} | ({"for": instead_of} if instead_of else {})
            self.request.say("trial", facts)
            self._trial(n, phase_s)
            if self._invalid(n) and spare:
                spare -= 1
                again = (self.trials + self.trials - spare, phase_s, instead_of or n)
                waiting.insert(0 if self.looks else len(waiting), again)
            if self.looks and enough(case_of(read_run_file(self.run_dir)), self.judged):
                return

    def _trial(self, n: int, phase_s: float) -> None:
        lab = build_lab(self.choice, self.stack, self.run_id, self.run_dir, self.journal)
        experiment = self.request.experiment
        folder = trial_folder(self.run_dir, n)
        setup = TrialSetup(n, folder, experiment, self.stack, phase_s, self.seed, self.request.say)
        if not self.facts:
            self._prepare(lab)
        run_trial(setup, lab, self.signals)

    def _prepare(self, lab: Lab) -> None:
        """What may take long and must not be timed: images are built, facts are gathered."""
        prepare = getattr(lab, "prepare", None)
        if prepare is not None:
            self.request.say("phase", {"name": "preparing images"})
            prepare()
        self.facts = lab.facts()
        self.write_run_file()

    def write_run_file(self) -> None:
        """``run.json``: everything needed to judge the run again without the lab."""
        experiment = self.request.experiment
        write_run_file(
            self.run_dir,
            RunFile.of(
                experiment,
                self.stack,
                lab=self.choice.name,
                lab_why=self.choice.why,
                lab_facts=self.facts,
                seed=self.seed,
                trials=self.trials,
                looks=self.looks,
                argv=self.request.argv,
                version=__version__,
                host={"kernel": platform.release(), "cpus": str(os.cpu_count() or 1)},
                took_s=(now_ns() - self.began_ns) / NS,
                plan=self.plan,
            ),
        )

    def _invalid(self, n: int) -> bool:
        """Is the trial just run invalid? Judged from its folder, as it will be at the end."""
        trial = judge_one(self.run_dir, n)
        self.request.say("judged", {"n": n, "line": trial_line(trial.result)})
        if self.looks:
            self.judged.append(trial)
        return not trial.valid


def run_experiment(request: RunRequest, signals: Signals) -> Outcome:
    """Run an experiment and judge it; the reports stand in the run's directory.

    Raises ``BadInput`` or ``Refused`` with nothing started. A run that a signal ended, or a lab
    that broke, has an outcome too: it holds the trials that were finished, and says INTERRUPTED
    or ERROR, with the exit code that says whether everything is healed. After a second signal
    nothing more is written and ``Interrupted`` is raised.
    """
    experiment = request.experiment
    stack = load_stack(experiment.stack)
    choice = choose_lab(request.lab, stack)
    refuse_if_halted()
    refuse_unmet(choice, faults_of(experiment))
    refuse_unknown_options(experiment)
    for healed in heal():  # a run that died on this machine must not disturb this one
        request.say("incident", {"sentence": f"left by an earlier run: {healed}"})
    seed = request.seed if request.seed is not None else experiment.seed
    seed = seed if seed is not None else secrets.randbelow(1_000_000)
    auto = request.auto or (request.trials is None and experiment.repeat.cap is not None)
    trials = request.trials or experiment.repeat.trials
    if request.auto and request.trials is None:
        trials = experiment.repeat.cap or AUTO_CAP
    looks = looks_up_to(trials) if auto else ()
    run_dir = request.folder
    if run_dir is None:
        run_dir = create_run_dir(request.out, experiment.name, f"{utc_label()}-{seed}")
    else:
        (run_dir / "trials").mkdir(parents=True)
    run_id = secrets.token_hex(4)
    os.environ["CHAOSKIT_RUN"] = run_id  # every process of the run carries its mark
    journal = Journal.create(run_id)
    request.say(
        "start",
        {
            "experiment": experiment.name,
            "question": experiment.question,
            "lab": choice.name,
            "why": choice.why,
            "seed": seed,
            "trials": trials,
            "plan": describe(looks) if looks else "",
            "folder": str(run_dir),
        },
    )
    guardian = Guardian.start(journal)
    campaign = _Campaign(
        request, stack, choice, seed, trials, run_id, run_dir, journal, signals, looks=looks
    )
    campaign.plan = plan_hash(experiment, stack, choice.name, trials)
    ended: ChaoskitError | None = None
    try:
        campaign.write_run_file()
        campaign.run()
    except ChaoskitError as error:  # what was finished is judged, and says how the run ended
        ended = error
    finally:
        with signals.shield():
            ended = _close(journal, guardian, run_dir) or ended
    campaign.write_run_file()
    if ended is not None and signals.skip_report:
        raise ended
    return judge_dir(run_dir, ended=ended)


def faults_of(experiment: Experiment) -> Iterator[FaultModel]:
    """Every fault that a run may inject, those that the seed may choose included."""
    for step in experiment.steps:
        yield from (one.fault for one in step.alternatives())


def _close(journal: Journal, guardian: Guardian, run_dir: Path) -> HealFailed | None:
    """Say goodbye to the guardian, but only when the journal holds nothing that is still broken."""
    left = journal.open_entries()
    if left:
        return HealFailed(
            f"{len(left)} undo(s) of this run are still open (journal {journal.path}); "
            "the guardian goes on trying; then run: chaoskit heal"
        )
    journal.archive(run_dir / "journal.jsonl")
    guardian.goodbye()
    return None
