"""The operator of an experiment: a process inside the lab that acts, and the person behind it.

A fault of this kind (``approve``, ``switchover``) does not break anything: it does what people do
when something is broken. Who acts is a child on the observer (``chaoskit.probes.operator``), so
that reaction times do not depend on what the harness has to do meanwhile.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO

from chaoskit.clock import now_ns
from chaoskit.contracts import OBSERVER, Act, Child, Lab, Node
from chaoskit.errors import BadInput, Problem, Refused
from chaoskit.experiment.model import Experiment, Step
from chaoskit.stack.labels import OPERATOR, SWITCHOVER, place_of

__all__ = [
    "Desk",
    "Person",
    "ask_a_person",
    "asks",
    "check_terminal",
    "places",
    "switch_place",
]


def places(lab: Lab) -> list[dict[str, str]]:
    """Where pending failovers are seen and decided on: every service with the label."""
    return [
        {"node": node.name, "url": url}
        for node in lab.nodes()
        if (url := place_of(node.labels, OPERATOR, node.address)) is not None
    ]


def switch_place(node: Node) -> str | None:
    """Where a switchover away from ``node`` is asked for; None where nobody said so."""
    return place_of(node.labels, SWITCHOVER, node.address)


class Desk:
    """The child that acts. Messages become acts as they are read."""

    def __init__(self, lab: Lab, config: Mapping[str, object]) -> None:
        self.child: Child = lab.spawn(
            lab.node(OBSERVER), ["python", "-m", "chaoskit.probes.operator"]
        )
        self.child.send(config)

    def read(self) -> list[dict[str, Any]]:
        """What it said since the last time. Never waits. Raises ``LabError`` if it has died."""
        found: list[dict[str, Any]] = []
        while (message := self.child.receive(0.0)) is not None:
            found.append(message)
        return found

    @staticmethod
    def act(message: Mapping[str, Any]) -> Act:
        """What it said as a mark."""
        detail = str(message.get("detail") or message.get("message") or "")
        if "candidate" in message:
            detail = f"failover {message['id']} to {message['candidate']} is pending: {detail}"
        return Act(
            str(message["event"]),
            int(message.get("t_ns") or now_ns()),
            str(message.get("node", "")),
            detail,
            low_ns=message.get("since_ns"),
            high_ns=message.get("done_ns"),
        )


def ask_a_person(experiment: Experiment) -> Experiment:
    """The same experiment with a person for its operator.

    Raises ``BadInput`` if it has no operator, or if a step waits for the end of an operator's.
    """
    steps = tuple(_asking(step) for step in experiment.steps)
    if problems := [problem for step in steps for problem in _never_healed(step, steps)]:
        raise BadInput(problems)
    asked = experiment.model_copy(update={"steps": steps})
    if not asks(asked):
        raise BadInput(
            f"{experiment.path}: no step waits for an operator (fault: approve), so there would be "
            "nothing to ask; leave --operator ask out"
        )
    return asked


def asks(experiment: Experiment) -> bool:
    """Whether a step of it asks a person."""
    faults = [one.fault for step in experiment.steps for one in step.alternatives()]
    return any(getattr(fault, "decide", None) == "ask" for fault in faults)


def _asking(step: Step) -> Step:
    """The step with a person in place of its operator, to the end: nobody knows how long it takes.

    Any other step is left as it is.
    """
    if "decide" in type(step.fault).model_fields:
        fault = step.fault.model_copy(update={"decide": "ask"})
        return step.model_copy(update={"fault": fault, "for_s": None})
    return step.model_copy(update={"choose": tuple(_asking(one) for one in step.choose)})


def _never_healed(step: Step, steps: Sequence[Step]) -> Iterator[Problem]:
    """What a step waits for in vain now that a person's step lasts to the end."""
    instead = "or let the experiment's own operator decide (--operator file)"
    when = step.when
    if when is not None and when.event == "healed" and not _is_over(steps[when.step]):
        yield step.when_place.problem(
            f"when: with --operator ask step {when.step + 1} lasts to the end, as nobody knows how "
            "long a person takes, so it is not healed before; wait for something else here, e.g. "
            f"'served again', {instead}"
        )
    if step.repeat is not None and not _is_over(step):
        yield step.place.problem(
            "repeat: with --operator ask this step lasts to the end, as nobody knows how long a "
            f"person takes, so it cannot come again; take 'repeat' out, {instead}"
        )


def _is_over(step: Step) -> bool:
    """Whether it is over before the end, whatever it turns out to be."""
    return all(one.for_s for one in step.alternatives())


def check_terminal(answers: TextIO, questions: TextIO, *, quiet: bool) -> None:
    """Raises ``Refused`` where nobody could answer, or nobody would see that they are asked."""
    if quiet:
        raise Refused(
            "an operator who is asked needs to see the question, and --quiet hides it; leave out "
            "--quiet, or let the experiment's own operator decide (--operator file)"
        )
    for stream, what in ((answers, "input"), (questions, "error")):
        if not _is_terminal(stream):
            raise Refused(
                f"an operator who is asked needs a terminal, and standard {what} is none; let the "
                "experiment's own operator decide (--operator file, no 'decide: ask')"
            )


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # it is closed
        return False


class Person:
    """Asks on the terminal and does not wait: the trial goes on while somebody thinks.

    One question at a time: what becomes pending meanwhile is asked when that one is closed.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._fd = (stream or sys.stdin).fileno()
        self._typed = b""
        self._gone = False
        self._waiting: list[Mapping[str, Any]] = []
        self.asked: str | None = None  # the id that an answer would be for

    def pending(self, message: Mapping[str, Any]) -> None:
        """One more failover to ask about."""
        self._waiting.append(message)

    def withdrawn(self, request_id: str) -> bool:
        """Nothing is to be decided on it any more; True if that closes the open question."""
        self._waiting = [one for one in self._waiting if str(one["id"]) != request_id]
        if self.asked != request_id:
            return False
        self.asked = None
        return True

    def question(self) -> tuple[Mapping[str, Any], str] | None:
        """The next failover and what to show of it; None while a question is open, or without one.

        Everything that is known, and what to type.
        """
        if self.asked is not None or not self._waiting or self._gone:
            return None
        message = self._waiting.pop(0)
        self.asked = str(message["id"])
        self._take_in()
        self._typed = b""  # what was typed before the question is no answer to it
        known = message.get("known") or {}
        facts = [f"{name.replace('_', ' ')}: {_plain(value)}" for name, value in known.items()]
        lines = [
            f"{message.get('primary') or 'the primary'} -> {message['candidate']}",
            f"pending on {message['node']} since {_clock(message)}, id {message['id']}",
            str(message.get("detail") or "no reason was given"),
            *([", ".join(facts)] if facts else []),
            "approve this failover? type y or n and Enter",
        ]
        return message, "\n".join(lines)

    def answer(self) -> bool | None:
        """What was typed since; None if nothing that is an answer."""
        self._take_in()
        while self.asked is not None and b"\n" in self._typed:
            line, _, self._typed = self._typed.partition(b"\n")
            word = line.decode("utf-8", "replace").strip().lower()
            if word in ("y", "yes", "n", "no"):
                self.asked = None
                return word.startswith("y")
        if self._gone:
            self.asked = None  # nobody will answer
        return None

    def _take_in(self) -> None:
        """Read what is there, past the stream's own buffer: that would hide lines from select."""
        while not self._gone and select.select([self._fd], [], [], 0)[0]:
            data = os.read(self._fd, 4096)
            self._gone = not data
            self._typed += data


def _clock(message: Mapping[str, Any]) -> str:
    """When it was first seen, as a clock on the wall shows it."""
    ago_ns = max(0, now_ns() - int(message.get("t_ns") or now_ns()))
    seen = datetime.now(UTC) - timedelta(microseconds=ago_ns // 1000)
    return seen.strftime("%H:%M:%S UTC")


def _plain(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(str, value)) or "nobody"
    return "unknown" if value is None else str(value)
