"""Faults going in and out: who they hit, that they bite, that nobody else heals them.

The undo itself belongs to the lab's primitives and the fault; what is here is the *evidence*.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from chaoskit.blame import blaming
from chaoskit.capabilities import LINK_NEEDS
from chaoskit.clock import now_ns, wait_until
from chaoskit.contracts import CLIENT, OBSERVER, Act, Dial, Fault, Lab, Targets
from chaoskit.errors import ChaoskitError, HealFailed, LabError, NotInjected
from chaoskit.experiment.collisions import clash
from chaoskit.experiment.model import Experiment, Step
from chaoskit.history.history import FaultRecord
from chaoskit.instruments import DialBoard, RoleBoard
from chaoskit.lab.needs import unmet
from chaoskit.running import Running
from chaoskit.selectors import links_of, select

__all__ = ["Injector", "dial_sources"]

_LOOK_EVERY_NS = 500_000_000
_REHEARSAL_S = 0.3  # sound dials take milliseconds; the fault is late by as much
_SHORTEST_NS = 20_000_000  # silence for less is no evidence: a sound node may take as long


def dial_sources(steps: Sequence[Step], lab: Lab) -> list[str]:
    """Every node that a dial could start from, so that none is started while time counts."""
    if not any(step.fault.needs for step in steps):
        return []
    sources = [OBSERVER]
    if any(step.fault.needs & LINK_NEEDS for step in steps):
        sources += [CLIENT, *(node.name for node in lab.nodes())]
    return sources


def _only_read_back(run: Running) -> bool:
    """Nobody outside feels it: what was read back when it was put on is all there is to see."""
    return not run.hold.outside and run.hold.felt is None


class Injector:
    """Everything about the faults of one trial."""

    def __init__(
        self,
        experiment: Experiment,
        lab: Lab,
        roles: RoleBoard,
        dials: DialBoard,
        rng: random.Random,
        incident: Callable[[str], None],
        say: Callable[[str, Mapping[str, object]], None],
    ) -> None:
        self._experiment, self._lab, self._roles, self._dials = experiment, lab, roles, dials
        self._rng, self._incident, self._say = rng, incident, say
        self._running: list[Running] = []
        self._next_look_ns = 0

    def prepare(self) -> None:
        """Let every fault start what it will need; to be called before anything is timed."""
        for step in self._experiment.steps:
            step.fault.prepare(self._lab)

    def add(self, step: Step) -> int:
        """One more step, for somebody who decides as he goes; its index."""
        steps = (*self._experiment.steps, step)
        self._experiment = self._experiment.model_copy(update={"steps": steps})
        return len(steps) - 1

    def inject(self, index: int) -> None:
        """Resolve the targets of step ``index`` now, and put its fault in force."""
        step = self._experiment.steps[index]
        drawn = step.fault.drawn(self._rng)
        fault: Fault = drawn  # type: ignore[assignment]  # every registered one has inject
        lacking = unmet(step.fault, self._lab)
        if lacking is not None:
            raise LabError(lacking)
        gone = self._gone()
        targets = self._resolve(step, gone)
        names = tuple(node.name for node in targets.nodes)
        self._refuse_collision(step, names)
        _refuse_gone(step, names, gone)
        self._say("fault", {"fault": fault.kind, "nodes": list(names)})
        self._look_at_others(names)
        with blaming(_called(step), LabError), self._down_before(step, targets):
            worked = self._rehearse(step, targets, gone)
            context = fault.inject(self._lab, targets)
            hold = context.__enter__()
        self._adopt(names)
        now_running = {node.name: self._lab.identity(node) for node in targets.nodes}
        params = drawn.model_dump(mode="json", by_alias=True)
        run = Running(index, step, context, hold, names, now_running, params=params)
        self._running.append(run)
        # What did not work before proves nothing by working or not working now.
        run.spared = self._try([dial for dial in hold.spared if dial in worked], gone)
        meant, hold.dials = hold.dials, self._try(hold.dials, gone)
        self._dials.restart((*hold.dials, *run.spared))
        if meant and not hold.dials:
            ends = dict.fromkeys(end for dial in meant for end in (dial.source, dial.target))
            idle = ", ".join(end for end in ends if end in gone) or "one end of each connection"
            run.problem = f"{fault.kind} cannot be seen to bite: {idle} does not run"
        if hold.verified_ns is None:
            run.problem = f"{fault.kind} could not be verified: {hold.detail}"

    def _resolve(self, step: Step, gone: frozenset[str]) -> Targets:
        """Whom the words of the step mean now. Raises ``NotInjected``."""
        roles = self._roles.roles()
        limit = self._experiment.max_targets
        nodes = select(step.target, self._lab, roles, self._rng, max_targets=limit, gone=gone)
        others = {
            name: select(words, self._lab, roles, self._rng, gone=gone)
            for name, words in step.fault.selectors().items()
        }
        return Targets(nodes, others, links_of(step.target))

    def _gone(self) -> frozenset[str]:
        """Services that no step has struck and that do not run: they have ended by themselves."""
        ours = {name for run in self._running for name in run.nodes}
        others = [node for node in self._lab.nodes() if node.name not in ours]
        return frozenset(node.name for node in others if self._lab.identity(node) is None)

    @contextmanager
    def _down_before(self, step: Step, targets: Targets) -> Iterator[None]:
        """A fault that fails on a node that did not run was not injected; it is no failed lab."""
        down = [node.name for node in targets.nodes if self._lab.identity(node) is None]
        try:
            yield
        except NotInjected:
            raise
        except LabError as error:
            idle = [name for name in down if name not in (CLIENT, OBSERVER)]
            if not idle:
                raise
            raise NotInjected(
                f"{', '.join(idle)} did not run when {step.fault.kind} was due: {error}"
            ) from error

    def _try(self, dials: Sequence[Dial], gone: frozenset[str]) -> tuple[Dial, ...]:
        """Repeat those of the dials that can be tried and could work."""
        able = [dial for dial in dials if not {dial.source, dial.target} & gone]
        return self._dials.watch(able)

    def _rehearse(self, step: Step, targets: Targets, gone: frozenset[str]) -> frozenset[Dial]:
        """Try the dials that must work beforehand; those that did, none of them tried for long."""
        dials = self._try(step.fault.rehearse(self._lab, targets), gone)
        if not dials:
            return frozenset()
        self._dials.restart(dials)

        def look() -> bool:
            self._dials.pump()
            return self._dials.spared_ns(dials) is not None

        wait_until(look, within_s=_REHEARSAL_S, every_s=0.001)
        return frozenset(d for d in dials if self._dials.spared_ns([d]) is not None)

    def heal(self, index: int) -> None:
        """End the fault of step ``index`` if it is on. Raises ``HealFailed``."""
        for run in reversed(self._running):
            if run.index == index and run.active:
                self._end(run)

    def news(self) -> Iterator[tuple[int, str, int]]:
        """Of every fault so far: its step, what happened to it, when it was seen."""
        for run in self._running:
            if run.bitten_ns is not None:
                yield run.index, "bitten", run.bitten_ns

    def heal_all(self) -> None:
        """End every fault that is on, going on past one that fails. Raises ``HealFailed``."""
        problems = []
        for run in reversed(self._running):
            if run.active:
                try:
                    self._end(run)
                except ChaoskitError as error:
                    problems.append(str(error))
        if problems:
            raise HealFailed("; ".join(problems))

    def feel(self) -> None:
        """Note when a fault bit and when its heal was felt: no time limit on either.

        What a fault goes on doing while it is on is done here, too.
        """
        for run in self._running:
            self._feel(run)
            if run.active and run.hold.tend is not None and run.hold.tend():
                self._adopt(run.nodes)
            self._tell(run)

    def thinking_ns(self) -> int:
        """How long persons took to answer so far, a question that is open now included."""
        now, holds = now_ns(), [run.hold for run in self._running]
        return sum(h.thought_ns + (now - h.asked_ns if h.asked_ns else 0) for h in holds)

    def acts(self) -> list[Act]:
        """What operators saw and did, in order of time."""
        return sorted((act for run in self._running for act in run.hold.acts), key=lambda a: a.t_ns)

    def look(self) -> None:
        """Twice a second: is each target still what the fault made of it?"""
        if now_ns() < self._next_look_ns:
            return
        self._next_look_ns = now_ns() + _LOOK_EVERY_NS
        for run in self._running:
            if run.active:
                self._look_at(run)

    def all_felt(self) -> bool:
        """Every heal has been felt by the dials of its fault."""
        return all(run.felt_healed_ns is not None for run in self._running if run.hold.dials)

    def records(self) -> tuple[FaultRecord, ...]:
        """What the history keeps of every fault."""
        return tuple(run.record() for run in self._running)

    def _tell(self, run: Running) -> None:
        for act in run.hold.acts[run.acts_said :]:
            self._say("operator", {"event": act.event, "node": act.node, "detail": act.detail})
        run.acts_said = len(run.hold.acts)

    def _feel(self, run: Running) -> None:
        dials = run.hold.dials
        met = run.hold.felt if run.active and run.bitten_ns is None else None
        if met is not None and met():
            run.bitten_ns = now_ns()
        if run.active and run.bitten_ns is None and _only_read_back(run):
            run.bitten_ns = run.hold.verified_ns
        if not dials:
            return
        if run.active and run.bitten_ns is None:
            failed_ns = self._dials.failed_ns(dials, run.hold.commanded_ns)
            spared = not run.spared or self._dials.spared_ns(run.spared) is not None
            run.bitten_ns = failed_ns if spared else None
        if not run.active and run.felt_healed_ns is None:
            since = run.hold.heal_commanded_ns or run.hold.commanded_ns
            run.felt_healed_ns = self._dials.opened_ns(dials, since)
            if run.felt_healed_ns is not None:
                self._let_go(run)

    def _let_go(self, run: Running) -> None:
        """Forget its dials, but for those that another fault still needs as evidence."""
        others = [one for one in self._running if one is not run]
        needed = {
            dial
            for one in others
            if one.active or one.felt_healed_ns is None
            for dial in (*one.hold.dials, *one.spared)
        }
        mine = (*run.hold.dials, *run.spared)
        self._dials.forget([dial for dial in mine if dial not in needed])

    def _refuse_collision(self, step: Step, names: tuple[str, ...]) -> None:
        """Two faults that want the same of one node: known for certain only now."""
        for run in self._running:
            links = step.fault.strikes == "link"  # two links may lead through one node
            mine, theirs = (step.target, run.step.target) if links else (names, run.nodes)
            shared = [name for name in mine if name in theirs]
            taken = clash(step.fault, run.step.fault) if run.active and shared else None
            if taken is not None:
                raise NotInjected(
                    f"{step.fault.kind} cannot strike {shared[0]} now: {run.step.fault.kind} of "
                    f"step {run.index + 1} is on it, and both need its '{taken}' for themselves"
                )

    def _look_at_others(self, names: tuple[str, ...]) -> None:
        """See what became of these nodes so far, before what we do to them ourselves."""
        for run in self._running:
            if run.active and set(names) & set(run.nodes):
                self._look_at(run)

    def _adopt(self, names: tuple[str, ...]) -> None:
        """What runs on these nodes now is our own doing; what is on them must hold all the same."""
        for run in self._running:
            for name in set(names) & set(run.identities) if run.active else ():
                now = self._lab.identity(self._lab.node(name))
                if now == run.identities[name]:
                    continue
                run.identities[name] = now
                if now is not None and run.hold.in_force is not None and not run.hold.in_force():
                    self._incident(
                        f"{run.step.fault.kind} was not in force again on {name} before {name}, "
                        "which another step had started again, could answer"
                    )

    def _look_at(self, run: Running) -> None:
        for name, before in run.identities.items():
            now = self._lab.identity(self._lab.node(name))
            if now is None and run.hold.may_end:
                run.identities[name] = now
            elif now != before:
                what = "died" if now is None else "was restarted by somebody else"
                self._incident(
                    f"{name} {what} while {run.step.fault.kind} was on it; switch off restart "
                    "policies and supervisors of the target, or heal with 'for:'"
                )
                run.identities[name] = now

    def _end(self, run: Running) -> None:
        self._say("heal", {"fault": run.step.fault.kind, "nodes": list(run.nodes)})
        try:
            self._last_look(run)
        finally:  # whatever became of the evidence: what was done is undone
            run.active = False
            with blaming(f"{_called(run.step)}, when it was healed,", HealFailed):
                run.context.__exit__(None, None, None)
        self._tell(run)
        self._adopt(run.nodes)
        if run.hold.unmet and not run.step.optional:
            self._incident(f"{_called(run.step)} came to nothing: {run.hold.unmet}")
        if run.hold.verified_ns is None and run.problem is None:
            run.problem = f"{run.step.fault.kind} did not hold for its window: {run.hold.detail}"

    def _last_look(self, run: Running) -> None:
        """Whether it was seen to bite, before it is taken away."""
        self._look_at_others(run.nodes)
        self._dials.pump()
        self._feel(run)
        poked = all(dial.poke for dial in run.hold.dials)
        if run.bitten_ns is None and poked and now_ns() - run.hold.acknowledged_ns > _SHORTEST_NS:
            silent = self._dials.unanswered(run.hold.dials, run.hold.acknowledged_ns)
            run.bitten_ns = now_ns() if silent else None
        if run.bitten_ns is None and _only_read_back(run):
            run.bitten_ns = run.hold.verified_ns
        if run.owes_a_bite() and run.bitten_ns is None:
            run.problem = run.problem or self._hit_too_much(run)
            unmet = "the kernel counted nothing" if run.hold.felt else "no port is known to dial"
            seen = self._dials.outcomes(run.hold.dials) or unmet
            run.problem = run.problem or (
                f"{run.step.fault.kind} was not seen to bite while it was on ({seen})"
            )
        self._count_losses(run)
        self._dials.restart((*run.hold.dials, *run.spared))

    def _hit_too_much(self, run: Running) -> str | None:
        """That something did not work which this fault is to spare; None if all of it did."""
        if not run.spared or self._dials.spared_ns(run.spared) is not None:
            return None
        failed = [dial for dial in run.spared if self._dials.spared_ns([dial]) is None]
        seen = self._dials.outcomes(failed)
        return f"{run.step.fault.kind} was not seen to spare what it should ({seen})"

    def _count_losses(self, run: Running) -> None:
        """Say what share of the observer's datagrams was lost, and whether that is what was asked.

        Each is lost or not, independently: five standard deviations of the binomial, and at least
        two per cent for a machine that is busy, are allowed.
        """
        share = run.hold.lost_share
        lost, sent = self._dials.lost(run.hold.dials)
        if share is None or not sent:
            return
        run.hold.detail += f"; {lost} of the observer's {sent} datagrams were lost"
        allowed = max(0.02, 5 * math.sqrt(share * (1 - share) / sent))
        if abs(lost / sent - share) > allowed:
            run.problem = run.problem or (
                f"{run.step.fault.kind} lost {lost / sent:.0%} of {sent} datagrams, not "
                f"{share:.0%} of them"
            )


def _refuse_gone(step: Step, names: tuple[str, ...], gone: frozenset[str]) -> None:
    """Nobody can be ended who has ended by himself; a heal would start a job a second time."""
    ends = any(claim.resource == "life" and not claim.share for claim in step.fault.claims())
    if ends and (idle := [name for name in names if name in gone]):
        raise NotInjected(
            f"{step.fault.kind} cannot strike {idle[0]}: it does not run, and no step has ended it"
        )


def _called(step: Step) -> str:
    """``inject`` gives a fault that stands in no file."""
    of = f" of step {step.origin + 1}" if step.origin >= 0 else ""
    return f"the fault '{step.fault.kind}'{of}"
