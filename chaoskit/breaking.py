"""The stretch of a trial in which things break: carries out what the agenda says is due."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from chaoskit.agenda import Agenda
from chaoskit.clock import NS, now_ns
from chaoskit.errors import NotInjected
from chaoskit.experiment.model import Experiment
from chaoskit.history.history import Window
from chaoskit.history.writer import Marks
from chaoskit.injection import Injector
from chaoskit.signals import Signals

__all__ = ["Breaking"]

_IDLE_NS = 3_600_000_000_000


class _Pump(Protocol):
    def __call__(self, until_ns: int, stop: Callable[[], bool] = ..., /) -> bool: ...


class Breaking:
    """Injects and heals by the clock and by what happens, until the run is over."""

    def __init__(
        self,
        experiment: Experiment,
        injector: Injector,
        marks: Marks,
        incident: Callable[[str], None],
        signals: Signals,
    ) -> None:
        self._experiment, self._injector, self._marks = experiment, injector, marks
        self._incident, self._signals = incident, signals
        self._agenda: Agenda | None = None

    # ------------------------------------------------------------ what is heard meanwhile

    def role(self, message: Mapping[str, Any], value: str | None) -> None:
        """A probe saw another role of a node."""
        if self._agenda is not None:
            self._agenda.role(str(message["node"]), value, int(message["done_ns"]))

    def load(self, message: Mapping[str, Any]) -> None:
        """The load said that clients are not served well any more, or again."""
        if self._agenda is None:
            return
        if message.get("event") == "bad":
            self._agenda.bad_request(int(message["due_ns"]), int(message["done_ns"]))
        elif message.get("event") == "good":
            self._agenda.served_again(int(message["due_ns"]), int(message["done_ns"]))

    def all_done(self) -> bool:
        """While the run goes on: every step that is to come has come, and was healed."""
        return self._agenda is not None and not self._agenda.unfinished()

    # ------------------------------------------------------------ the stretch itself

    def run(
        self, window: Window, phase_s: float, roles: Mapping[str, str | None], pump: _Pump
    ) -> int:
        """Carry out every step, then look on until ``run_for`` is over; returns when it was.

        A baseline that took longer than the first step's time moves all of them.
        """
        steps = self._experiment.steps
        timed = [step.at_s for step in steps if step.at_s is not None]
        zero_ns = max(window.baseline_start_ns, now_ns() - int(min(timed, default=0.0) * NS))
        zero_ns += int(phase_s * NS)
        end_ns = zero_ns + int(self._experiment.run_for_s * NS)
        agenda = self._agenda = Agenda(steps, zero_ns, max(zero_ns, now_ns()), roles)
        # A person who is asked may take time: the run is longer by that.
        while (now := now_ns()) < (over_ns := end_ns + self._injector.thinking_ns()):
            if (due := agenda.due(now)) is not None:
                self._do(agenda, due.what, due.index)
            self._say_missed(agenda)
            pump(min(over_ns, agenda.next_ns() or over_ns), lambda: self._wakes(agenda))
        self._say_missed(agenda)
        for index in agenda.unfinished():
            if steps[index].optional:
                continue
            self._incident(f"step {steps[index].origin + 1} was not due before the end of the run")
        self._agenda = None
        return now_ns()

    def _wakes(self, agenda: Agenda) -> bool:
        """Whether something became due, or news of a fault may make it so."""
        for index, event, at_ns in self._injector.news():
            agenda.happened(index, event, at_ns)
        return (agenda.next_ns() or now_ns() + _IDLE_NS) <= now_ns()

    def _do(self, agenda: Agenda, what: str, index: int) -> None:
        if what == "heal":
            with self._signals.shield():
                self._injector.heal(index)
            agenda.happened(index, "healed", now_ns())
            return
        try:
            self._injector.inject(index)
        except NotInjected as error:
            origin = self._experiment.steps[index].origin + 1
            self._incident(f"step {origin} could not be carried out: {error}")
            agenda.not_injected(index, now_ns())
            return
        agenda.happened(index, "injected", now_ns())

    def _say_missed(self, agenda: Agenda) -> None:
        for missed in agenda.missed():
            if missed.optional:
                self._marks.note(f"step {missed.index + 1}", missed.sentence)
            else:
                self._incident(missed.sentence)
