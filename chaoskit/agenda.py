"""What a trial does when: steps with a time, and steps that wait for something to happen.

A state machine without a clock of its own. It is told what happened and what time it is, and says
what is due. ``docs/writing-an-experiment.md`` says what each trigger means; here it is decided:

- A step that waits is *armed* once every step before it in the file is in force or given up; one
  that waits for a step is armed from the beginning, and its patience counts from when that step is
  due to do it.
- What happened before a step was armed does not count for it.
- A step whose trigger does not come in time is *missed*; so is what waits for a missed step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from chaoskit.clock import NS
from chaoskit.experiment.step import Step
from chaoskit.experiment.trigger import ANY_ROLE, NO_ROLE, Trigger
from chaoskit.units import format_duration

__all__ = ["Agenda", "Due", "Missed"]


@dataclass(frozen=True)
class Due:
    """Something to do now."""

    at_ns: int  # when it was due
    what: Literal["inject", "heal"]
    index: int


@dataclass(frozen=True)
class Missed:
    """A step that will not happen."""

    index: int
    optional: bool
    sentence: str


@dataclass
class _Slot:
    step: Step
    inject_ns: int | None = None  # when it is due, once that is known
    heal_ns: int | None = None
    armed_ns: int | None = None
    begun: bool = False  # handed out to be injected
    given_up: bool = False
    healing: bool = False  # handed out to be healed


class Agenda:
    """The steps of one trial. ``zero_ns`` is when the clock of ``at`` starts.

    ``begun_ns`` is when what happens begins to count, ``roles`` are the roles by then.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        zero_ns: int,
        begun_ns: int,
        roles: Mapping[str, str | None],
    ) -> None:
        self._slots = [_Slot(step) for step in steps]
        self._roles = dict(roles)
        self._events: dict[tuple[int, str], int] = {}
        self._missed: list[Missed] = []
        self._bad_ns = 0  # when the last bad request that was told of had been due
        for slot in self._slots:
            if slot.step.at_s is not None:
                slot.inject_ns = zero_ns + int(slot.step.at_s * NS)
        self._arm(begun_ns)

    # ------------------------------------------------------------ what happened

    def role(self, node: str, value: str | None, seen_ns: int) -> None:
        """A probe saw that the node's role is ``value`` now; None: it does not answer."""
        before, self._roles[node] = self._roles.get(node), value
        if before == value:
            return
        for slot in self._waiting("role"):
            trigger = slot.step.when
            if trigger is not None and _is_change(trigger, node, before, value):
                self._fire(slot, seen_ns)

    def bad_request(self, due_ns: int, seen_ns: int) -> None:
        """A request that was due at ``due_ns`` was not good."""
        self._bad_ns = max(self._bad_ns, due_ns)
        for slot in self._waiting("bad"):
            if due_ns >= (slot.armed_ns or 0):
                self._fire(slot, seen_ns)

    def served_again(self, due_ns: int, seen_ns: int) -> None:
        """A request was good, after bad ones."""
        for slot in self._waiting("served"):
            if (slot.armed_ns or 0) <= self._bad_ns <= due_ns:
                self._fire(slot, seen_ns)

    def happened(self, index: int, event: str, at_ns: int) -> None:
        """Step ``index`` was injected, bitten or healed; the first time counts."""
        if (index, event) in self._events:
            return
        self._events[index, event] = at_ns
        slot = self._slots[index]
        if event == "injected" and slot.step.for_s is not None:
            slot.heal_ns = (slot.inject_ns or at_ns) + int(slot.step.for_s * NS)
        for other in self._waiting("step"):
            trigger = other.step.when
            if trigger is not None and (trigger.step, trigger.event) == (index, event):
                self._fire(other, at_ns)
        self._arm(at_ns)

    def not_injected(self, index: int, now_ns: int) -> None:
        """Step ``index`` was due and could not be carried out; what waits for it is missed."""
        self._give_up(index, now_ns)

    # ------------------------------------------------------------ what is due

    def due(self, now_ns: int) -> Due | None:
        """The next thing to do, if its time has come; it counts as begun."""
        ready = [d for d in self._open() if d.at_ns <= now_ns]
        if not ready:  # nobody's patience ends while what is owed to him has not been done
            self._look_at_patience(now_ns)
            return None
        first = min(ready, key=lambda d: (d.at_ns, d.what == "inject", d.index))
        slot = self._slots[first.index]
        if first.what == "inject":
            slot.begun = True
        else:
            slot.healing = True
        return first

    def next_ns(self) -> int | None:
        """When something is due next, as far as that is known now: to do, or to give up."""
        moments = [d.at_ns for d in self._open()]
        moments += [end for n in range(len(self._slots)) if (end := self._patience_ns(n))]
        return min(moments, default=None)

    def missed(self) -> list[Missed]:
        """Steps that were given up since this was asked last."""
        found, self._missed = self._missed, []
        return found

    def unfinished(self) -> list[int]:
        """Steps that are neither begun nor given up."""
        return [n for n, slot in enumerate(self._slots) if not slot.begun and not slot.given_up]

    def _open(self) -> list[Due]:
        found = []
        for n, slot in enumerate(self._slots):
            if slot.inject_ns is not None and not slot.begun and not slot.given_up:
                found.append(Due(slot.inject_ns, "inject", n))
            if slot.heal_ns is not None and not slot.healing:
                found.append(Due(slot.heal_ns, "heal", n))
        return found

    # ------------------------------------------------------------ waiting

    def _waiting(self, kind: str) -> list[_Slot]:
        return [
            slot
            for slot in self._slots
            if slot.step.when is not None
            and slot.step.when.kind == kind
            and slot.armed_ns is not None
            and slot.inject_ns is None
            and not slot.given_up
        ]

    def _fire(self, slot: _Slot, at_ns: int) -> None:
        slot.inject_ns = at_ns + int(slot.step.after_s * NS)

    def _arm(self, now_ns: int) -> None:
        settled = True
        for n, slot in enumerate(self._slots):
            when = slot.step.when
            if when is not None and slot.armed_ns is None and (settled or when.kind == "step"):
                slot.armed_ns = now_ns
            settled = settled and (slot.given_up or (n, "injected") in self._events)

    def _patience_ns(self, index: int) -> int | None:
        """When the step's patience ends; None where it does not wait, or cannot yet be said."""
        slot = self._slots[index]
        when = slot.step.when
        if when is None or slot.inject_ns is not None or slot.given_up or slot.armed_ns is None:
            return None
        since = slot.armed_ns
        if when.kind == "step":
            other = self._slots[when.step]
            due = other.heal_ns if when.event == "healed" else other.inject_ns
            if due is None:
                return None
            since = max(since, due)
        return since + int(slot.step.waits_s * NS)

    def _look_at_patience(self, now_ns: int) -> None:
        for n in range(len(self._slots)):
            end = self._patience_ns(n)
            if end is not None and end <= now_ns:
                slot = self._slots[n]
                self._note(
                    n,
                    f"step {slot.step.origin + 1} waited for '{slot.step.when}', which did not "
                    f"come within {format_duration(slot.step.waits_s)}; give it more with "
                    "'within', or say 'optional: true' if it need not happen",
                )
                self._give_up(n, now_ns)

    def _give_up(self, index: int, now_ns: int) -> None:
        """Drop the step, and in turn those that can only follow it."""
        self._slots[index].given_up = True
        for n, slot in enumerate(self._slots):
            when = slot.step.when
            follows = when is not None and when.kind == "step" and when.step == index
            if follows and slot.inject_ns is None and not slot.given_up:
                self._note(
                    n,
                    f"step {slot.step.origin + 1} waited for step "
                    f"{self._slots[index].step.origin + 1}, which did not happen",
                )
                self._give_up(n, now_ns)
        self._arm(now_ns)

    def _note(self, index: int, sentence: str) -> None:
        self._missed.append(Missed(index, self._slots[index].step.optional, sentence))


def _is_change(trigger: Trigger, node: str, before: str | None, after: str | None) -> bool:
    if trigger.node and trigger.node != node:
        return False
    return _is(trigger.before, before) and _is(trigger.after, after)


def _is(word: str, role: str | None) -> bool:
    return word in (ANY_ROLE, NO_ROLE if role is None else role)
