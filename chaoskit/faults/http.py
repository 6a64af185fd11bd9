"""``http``: a request to a node, for what is done to a system through its own interface.

A switch-over that an operator asks for, a replica set to read-only, a job started at the worst
moment. It comes from the observer's namespace. What it changes only its author knows how to take
back, so the experiment says how, or that there is nothing to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from chaoskit.clock import now_ns
from chaoskit.contracts import OBSERVER, Child, Claim, FaultModel, Hold, Lab, Node, Targets
from chaoskit.errors import ChaoskitError, HealFailed, LabError
from chaoskit.faults.exec import last_line
from chaoskit.stack.labels import port_of
from chaoskit.units import PositiveSeconds

__all__ = ["Call", "Http"]

_SLACK_S = 5.0  # for a busy machine, beyond the request's own time
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
Path = Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=2048)]
Port = Annotated[int, Field(ge=1, le=65535)]
Status = Annotated[int, Field(ge=100, le=599)]
Header = Annotated[str, Field(pattern=r"^[ -~]*$", max_length=2048)]


class Call(BaseModel):
    """One request and the status that says that it worked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Method = Field("POST", description="Its method.", examples=["POST", "DELETE"])
    path: Path = Field(
        description="Its path, with the query if there is one.", examples=["/switchover"]
    )
    body: str = Field("", max_length=65536, description="What is sent.", examples=['{"to": "b"}'])
    headers: Mapping[Header, Header] = Field(
        default_factory=dict,
        description="Further headers.",
        examples=[{"Content-Type": "application/json"}],
    )
    status: Status = Field(200, description="The status that is expected.", examples=[200, 202])


class Http(FaultModel):
    """Sends one request to each target; healed by the request that undoes it."""

    kind: ClassVar[str] = "http"
    needs: ClassVar[frozenset[str]] = frozenset({"spawn"})
    summary: ClassVar[str] = "a request to the node; healed by another that undoes it"

    method: Method = Field("POST", description="The request's method.", examples=["POST", "PUT"])
    path: Path = Field(
        description="The request's path, with the query if there is one.", examples=["/switchover"]
    )
    port: Port | None = Field(
        None, description="The node's port; its endpoint's if not said.", examples=[8008]
    )
    body: str = Field("", max_length=65536, description="What is sent.", examples=['{"to": "b"}'])
    headers: Mapping[Header, Header] = Field(
        default_factory=dict,
        description="Further headers.",
        examples=[{"Content-Type": "application/json"}],
    )
    status: Status = Field(
        200, description="The status that says that it worked.", examples=[200, 202]
    )
    timeout_s: PositiveSeconds = Field(
        5.0,
        alias="timeout",
        description="Given up, and not verified, if the answer takes longer; the trial waits.",
        examples=["5s"],
    )
    undo: Call | None = Field(
        None,
        title="Undo",
        description="The request that takes it back; sent at the heal to the same node and port.",
        examples=[{"method": "DELETE", "path": "/switchover"}],
    )
    harmless: bool = Field(
        False,
        description="Instead of 'undo': true says that there is nothing to take back.",
        examples=[True],
    )
    _child: list[Child] = PrivateAttr(default_factory=list)

    @model_validator(mode="after")
    def _knows_the_way_back(self) -> Self:
        if (self.undo is None) is not self.harmless:
            raise ValueError("give either undo: the request that takes it back, or harmless: true")
        return self

    def graceful(self) -> bool:
        """A request may be the system's own, which has it hand over; nobody here knows."""
        return True

    def claims(self) -> frozenset[Claim]:
        """Its undo needs the node alive."""
        return frozenset() if self.harmless else frozenset({Claim("life", share=True)})

    def prepare(self, lab: Lab) -> None:
        """Start the process that will send it, so that it only has to be told."""
        if not any(child.alive() for child in self._child):
            argv = ["python", "-m", "chaoskit.probes.call"]
            self._child[:] = [lab.spawn(lab.node(OBSERVER), argv)]

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Send it to every target, one after another; verified by the status of the answer."""
        self.prepare(lab)
        call = Call.model_validate(self.model_dump(include=set(Call.model_fields)))
        hold = Hold(now_ns(), 0, None, detail=f"{self.method} {self.path}", outside=False)
        begun: list[Node] = []
        try:
            said, good = [], True
            for node in targets.nodes:
                begun.append(node)
                worked, words = self._send(call, node)
                good &= worked
                said.append(f"{node.name}: {words}")
            hold.acknowledged_ns = now_ns()
            hold.verified_ns = hold.acknowledged_ns if good else None
            hold.detail = f"{self.method} {self.path}: {'; '.join(said)}"
            yield hold
        finally:
            hold.heal_commanded_ns = now_ns()
            try:
                self._take_back(begun)
            finally:
                self._child.pop().close()
            hold.healed_ns = now_ns()

    def _take_back(self, nodes: list[Node]) -> None:
        if self.undo is None:
            return
        problems = []
        for node in nodes:
            try:
                worked, words = self._send(self.undo, node)
            except ChaoskitError as error:
                worked, words = False, str(error)
            if not worked:
                problems.append(f"on {node.name}: {words}")
        if problems:
            what = f"{self.undo.method} {self.undo.path}"
            raise HealFailed(f"{what} did not undo it {'; '.join(problems)}")

    def _send(self, call: Call, node: Node) -> tuple[bool, str]:
        """Whether it came to the expected status, and what it came to."""
        port = self.port or port_of(node.labels)
        if port is None:
            raise LabError(f"{node.name} declares no port; say which one: port")
        (child,) = self._child
        asked = {**call.model_dump(exclude={"status"}), "address": node.address, "port": port}
        number = now_ns()
        child.send({**asked, "timeout_s": self.timeout_s, "id": number})
        answer = child.receive(self.timeout_s + _SLACK_S)
        while answer is not None and answer.get("id") != number:
            answer = child.receive(self.timeout_s + _SLACK_S)  # that one was too late for its asker
        if answer is None:
            return False, "no answer"
        if "error" in answer:
            return False, str(answer["error"])
        words = last_line(str(answer.get("body", "")))
        return answer["status"] == call.status, f"status {answer['status']}, {words}".rstrip(", ")
