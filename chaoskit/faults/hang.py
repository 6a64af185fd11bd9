"""``hang``: one process of the node stands still while the others go on.

A worker that waits for ever, a deadlock, a thread pool that is used up: connections are accepted
and nobody answers, while whatever watches over the node may go on saying that all is well. The
whole node standing still is ``pause``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, cast

from pydantic import Field

from chaoskit.capabilities import Process, Processes
from chaoskit.clock import now_ns
from chaoskit.contracts import OBSERVER, Claim, Dial, FaultModel, Hold, Lab, Node, Targets
from chaoskit.errors import ChaoskitError, HealFailed, LabError
from chaoskit.faults.dials import poke
from chaoskit.faults.named import MAIN, find

__all__ = ["Hang"]


class Hang(FaultModel):
    """Stops one process (SIGSTOP); healed by letting it go on (SIGCONT)."""

    kind: ClassVar[str] = "hang"
    needs: ClassVar[frozenset[str]] = frozenset({"process"})
    summary: ClassVar[str] = "one process of the node stands still; healed by letting it go on"

    process: str = Field(
        MAIN,
        min_length=1,
        description="Its name, program or command line (globs allowed; every one that fits), or "
        "'main': the node's first process.",
        examples=["main", "postgres", "*worker*"],
    )
    felt_at: Annotated[int, Field(ge=1, le=65535)] | Literal["endpoint", "nowhere"] = Field(
        "endpoint",
        description="Where an outside connection goes unanswered while it hangs: the node's "
        "endpoint, a port of its own, or 'nowhere' for a process that talks to nobody.",
        examples=["endpoint", 8081, "nowhere"],
    )

    def claims(self) -> frozenset[Claim]:
        """Whether its processes go on; they must be there all the while."""
        return frozenset({Claim("life", share=True), Claim("run")})

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Stop the process on every target; verified by reading its threads' states back."""
        acts = cast("Processes", lab)
        meant = find(acts, targets.nodes, self.process)
        dials = tuple(d for node in targets.nodes for d in self._dials(lab, node))
        hold = Hold(now_ns(), 0, None, dials)
        hold.outside = self.felt_at != "nowhere"
        try:
            hung = _hung(acts, meant, self.process)
            hold.acknowledged_ns = now_ns()
            who = ", ".join(f"{p.name} ({p.pid}) of {node.name}" for node, p in hung)
            hold.detail = f"stands still: {who}"
            hold.verified_ns = now_ns() if _all_hang(acts, hung) else None
            hold.in_force = lambda: _all_hang(acts, hung)
            yield hold
            if not _all_hang(acts, hung):
                hold.verified_ns = None
                hold.detail += "; not any more before the heal"
        finally:
            hold.heal_commanded_ns = now_ns()
            _let_go(acts, meant)
            hold.healed_ns = now_ns()

    def _dials(self, lab: Lab, node: Node) -> tuple[Dial, ...]:
        if self.felt_at == "nowhere":
            return ()
        found = poke(lab.node(OBSERVER), node)
        if isinstance(self.felt_at, int):
            some = found or (Dial(OBSERVER, node.name, node.address, 0, poke="\r\n"),)
            return tuple(replace(one, port=self.felt_at) for one in some)
        return found


def _hung(
    acts: Processes, meant: Sequence[tuple[Node, Process]], pattern: str
) -> list[tuple[Node, Process]]:
    """Stop each, but for those that ended meanwhile. ``LabError`` where a node has no other."""
    hung = [(n, p) for n, p in meant if acts.hang(n, p) and acts.runs(p)]
    left = {node.name for node, _ in hung}
    for node, process in meant:
        if node.name not in left:
            raise LabError(
                f"{process.name} ({process.pid}) of {node.name} ended before it could be stopped, "
                f"and no other process there is called '{pattern}'"
            )
    return hung


def _all_hang(acts: Processes, hung: Sequence[tuple[Node, Process]]) -> bool:
    """Whether each stands still.

    A guest may be gone, as long as another of its node is there: whoever put it there may have
    ended it, as engines do with a health check that takes too long.
    One of the node's own that is gone has been replaced, perhaps by one that goes on.
    """
    there = [(n, p) for n, p in hung if not p.guest or acts.runs(p)]
    return {n.name for n, _ in there} == {n.name for n, _ in hung} and all(
        acts.hangs(process) for _, process in there
    )


def _let_go(acts: Processes, meant: Sequence[tuple[Node, Process]]) -> None:
    """Let every one go on, whatever becomes of another."""
    problems = []
    for node, process in meant:
        try:
            acts.unhang(node, process)
        except ChaoskitError as error:
            problems.append(str(error))
    if problems:
        raise HealFailed("; ".join(problems))
