"""``approve``: an operator who is on duty and decides on a failover that the system raises.

It breaks nothing. From its start to its end it watches the places that ``chaoskit.operator`` names;
when a failover is pending there it decides, a reaction time after it was seen. What was seen and
done becomes marks of the trial. A request that is withdrawn meanwhile is decided on all the same:
that is how late approvals come about. A decision that nobody answered is sent again, the same one,
while the request is pending and the step lasts; only one that was answered, or that the system says
it took, is a decision. A trial without any is invalid, unless the step says ``optional: true``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from chaoskit.clock import now_ns
from chaoskit.contracts import Act, FaultModel, Hold, Lab, Targets
from chaoskit.errors import LabError
from chaoskit.faults.reaction import Reaction, ReactionTime
from chaoskit.operator import Desk, Person, places
from chaoskit.stack.labels import OPERATOR

__all__ = ["Approve"]


class Approve(FaultModel):
    """An operator decides on pending failovers for as long as the step lasts."""

    kind: ClassVar[str] = "approve"
    summary: ClassVar[str] = (
        "an operator on duty decides on failovers that the system raises; nothing is undone"
    )
    labels: ClassVar[frozenset[str]] = frozenset({OPERATOR})
    waits: ClassVar[bool] = True

    decide: Literal["approve", "reject", "wrong", "ask"] = Field(
        "approve",
        description="What the operator says; 'wrong' approves another candidate than the one that "
        "is pending, 'ask' asks a person on the terminal.",
        examples=["approve", "reject"],
    )
    reaction: Reaction = Field(
        ReactionTime.model_validate({"fixed": "1s"}),
        title="Reaction",
        description="How long after a failover was seen pending: a duration, or normal, lognormal "
        "or uniform, drawn by the seed.",
        examples=["800ms", {"lognormal": {"median": "2s", "sigma": 0.5}}],
    )

    def drawn(self, rng: random.Random) -> Self:
        """With a fixed reaction time."""
        took = round(self.reaction.draw(rng), 6)
        return self.model_copy(update={"reaction": ReactionTime.model_construct(fixed=took)})

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:  # noqa: ARG002 - contract
        """Be on duty; verified once a place that shows what is pending has answered."""
        hold = Hold(now_ns(), 0, None, detail=self._intent())
        desk = Desk(lab, self._config(lab))
        watch = _Watch(desk, hold, Person() if self.decide == "ask" else None)
        try:
            watch.until_ready()
            hold.tend = watch.tend
            yield hold
            watch.listen()
            hold.detail = watch.summary(self._intent())
            hold.unmet = watch.unmet()
        finally:
            hold.heal_commanded_ns = now_ns()
            desk.child.close()
            watch.answered()  # nobody is asked any more
            hold.healed_ns = now_ns()

    def _intent(self) -> str:
        if self.decide == "ask":
            return "a person decides"
        return f"{self.decide} {self.model_dump(mode='json')['reaction']} after it is seen"

    def _config(self, lab: Lab) -> dict[str, object]:
        watched = places(lab)
        return {
            "watch": watched,
            "names": [place["node"] for place in watched],
            "decision": None if self.decide == "ask" else self.decide,
            "reaction_s": self.reaction.fixed,
        }


NEVER = "nothing was ever pending"
_READY_WITHIN_S = 5.0


class _Watch:
    """What the operator said so far, and whom to ask."""

    def __init__(self, desk: Desk, hold: Hold, person: Person | None) -> None:
        self._desk, self._hold, self._person = desk, hold, person
        self._decided: list[str] = []
        self._unanswered = 0  # tries

    def until_ready(self) -> None:
        """Wait for the first look; a system that nobody can ask leaves the hold unverified."""
        message = self._desk.child.receive(_READY_WITHIN_S)
        self._hold.acknowledged_ns = now_ns()
        if message is not None:
            self._take(message)

    def tend(self) -> bool:
        """Listen, ask and answer. Starts and ends no target."""
        if self.listen() and self._person is not None:
            self._ask(self._person)
        return False

    def listen(self) -> bool:
        """Take in what was seen and done; False if the operator's process has died."""
        try:
            for message in self._desk.read():
                self._take(message)
        except LabError as error:
            self._hold.acts.append(Act("operator-died", now_ns(), "", str(error).splitlines()[0]))
            self._hold.tend = None
            self.answered()
            return False
        return True

    def _ask(self, person: Person) -> None:
        """Take the answer to the question that is open; ask the next one if there is none."""
        asked, answer = person.asked, person.answer()
        if answer is not None:
            word = "approve" if answer else "reject"
            self._desk.child.send({"do": "decide", "id": asked, "decision": word})
        if person.asked is None:
            self.answered()
        if (next_one := person.question()) is not None:
            message, text = next_one
            self._hold.acts.append(Act("operator-asked", now_ns(), str(message["node"]), text))
            self._hold.asked_ns = now_ns()

    def _take(self, message: dict[str, Any]) -> None:
        person = self._person
        if message.get("event") == "operator-withdrawn" and person is not None:
            if person.withdrawn(str(message["id"])):
                message["detail"] += "; no answer is needed any more"
        elif message.get("event") == "operator-saw" and person is not None:
            person.pending(message)
        act = self._desk.act(message)
        self._hold.acts.append(act)
        if act.event == "operator-ready":
            self._hold.verified_ns = now_ns()
        elif message.get("taken"):
            self._decided.append(act.detail)  # nobody knows which of the tries it was
        elif message.get("status"):
            self._decided.append(
                f"{act.detail}, {message['after_ns'] / 1e6:.0f} ms after it was seen"
            )
        elif "status" in message:
            self._unanswered += 1

    def answered(self) -> None:
        """No question is open any more."""
        if self._hold.asked_ns:
            self._hold.thought_ns += now_ns() - self._hold.asked_ns
        self._hold.asked_ns = None

    def summary(self, intent: str) -> str:
        """One phrase for the report."""
        said = list(self._decided)
        if self._unanswered:
            said.append(f"no answer came {_times(self._unanswered)}")
        return "; ".join([intent, *(said or ["no decision was sent" if self._saw() else NEVER])])

    def unmet(self) -> str:
        """Why the operator decided on nothing, and what would help; empty if they did."""
        if self._decided:
            return ""
        if not self._saw():
            return (
                f"{NEVER} while the operator was on duty; let the step begin before the fault "
                "('at') and last long enough ('for'), look at the label chaoskit.operator, or say "
                "'optional: true' if nobody need be asked"
            )
        if self._unanswered:
            return (
                f"a decision was sent {_times(self._unanswered)} and no answer came, so nobody is "
                "known to have heard it; let the step last until the node that asks can be reached "
                "again ('for'), or say 'optional: true' if nobody need decide"
            )
        sooner = "answer sooner" if self._person is not None else "shorten its 'reaction'"
        return (
            f"a failover was pending and no decision was sent; {sooner}, let the step and the "
            "fault last longer ('for'), or say 'optional: true' if nobody need decide"
        )

    def _saw(self) -> bool:
        return any(act.event == "operator-saw" for act in self._hold.acts)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
