"""``exec``: a command inside a node, for what no other fault does.

An operator's slip, a tool of the system itself, a file that goes missing. What it changes only its
author knows how to take back, so the experiment says how, or that there is nothing to.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, ClassVar, Self, cast

from pydantic import Field, model_validator

from chaoskit.capabilities import Executes, Ran
from chaoskit.clock import now_ns
from chaoskit.contracts import Claim, FaultModel, Hold, Lab, Node, Targets
from chaoskit.errors import ChaoskitError, HealFailed
from chaoskit.units import PositiveSeconds, format_duration

__all__ = ["Exec", "last_line"]

Word = Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")]
Words = Annotated[tuple[Word, ...], Field(min_length=1, max_length=256)]
_LAST = 160  # characters of the output that the report shows


class Exec(FaultModel):
    """Runs ``argv`` in the target; healed by running ``undo`` there."""

    kind: ClassVar[str] = "exec"
    needs: ClassVar[frozenset[str]] = frozenset({"exec"})
    summary: ClassVar[str] = "a command inside the node; healed by another that undoes it"

    argv: Words = Field(
        description="The program and its arguments, as a list; no shell reads them.",
        examples=[["mv", "/etc/app.conf", "/etc/app.conf.away"]],
    )
    undo: Words | None = Field(
        None,
        description="The command that takes it back; run at the heal, whatever 'argv' came to.",
        examples=[["mv", "/etc/app.conf.away", "/etc/app.conf"]],
    )
    harmless: bool = Field(
        False,
        description="Instead of 'undo': true says that there is nothing to take back.",
        examples=[True],
    )
    status: Annotated[int, Field(ge=0, le=255)] = Field(
        0, description="The exit status that says that it worked.", examples=[0]
    )
    timeout_s: PositiveSeconds = Field(
        5.0,
        alias="timeout",
        description="Killed, and not verified, if it takes longer; the trial waits for it.",
        examples=["5s"],
    )

    @model_validator(mode="after")
    def _knows_the_way_back(self) -> Self:
        if (self.undo is None) is not self.harmless:
            raise ValueError("give either undo: the command that takes it back, or harmless: true")
        return self

    def graceful(self) -> bool:
        """A command may be the system's own, which has it hand over; nobody here knows."""
        return True

    def claims(self) -> frozenset[Claim]:
        """Its undo needs the node alive."""
        return frozenset() if self.harmless else frozenset({Claim("life", share=True)})

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Run it on every target, one after another; verified by the exit status."""
        runs = cast("Executes", lab)
        hold = Hold(now_ns(), 0, None, detail=" ".join(self.argv), outside=False)
        begun: list[Node] = []
        try:
            said, good = [], True
            for node in targets.nodes:
                begun.append(node)
                ran = runs.execute(node, self.argv, self.timeout_s)
                good &= ran.status == self.status
                said.append(f"{node.name}: {self._outcome(ran)}")
            hold.acknowledged_ns = now_ns()
            hold.verified_ns = hold.acknowledged_ns if good else None
            hold.detail = f"{' '.join(self.argv)}: {'; '.join(said)}"
            yield hold
        finally:
            hold.heal_commanded_ns = now_ns()
            self._take_back(runs, begun)
            hold.healed_ns = now_ns()

    def _take_back(self, runs: Executes, nodes: list[Node]) -> None:
        if self.undo is None:
            return
        problems = []
        for node in nodes:
            try:
                ran = runs.execute(node, self.undo, self.timeout_s)
                if ran.status != 0:
                    problems.append(f"on {node.name}: {self._outcome(ran)}")
            except ChaoskitError as error:
                problems.append(f"on {node.name}: {error}")
        if problems:
            raise HealFailed(f"{' '.join(self.undo)} did not undo it {'; '.join(problems)}")

    def _outcome(self, ran: Ran) -> str:
        took = format_duration(self.timeout_s)
        how = f"no end within {took}" if ran.status is None else f"status {ran.status}"
        words = last_line(ran.output)
        return f"{how}, {words}" if words else how


def last_line(output: str) -> str:
    """The last line that says anything, without control characters, shortened; in quotes."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    plain = "".join(c if c.isprintable() else "?" for c in lines[-1]) if lines else ""
    return f"'{plain[:_LAST]}'" if plain else ""
