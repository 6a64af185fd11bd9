"""``python -m chaoskit.keeper STACK LAB FOLDER``: a lab that stays up, and takes faults by hand.

It owns the lab as a run does: a journal, a guardian, undo on every way out. Requests come as JSON
lines over a socket in FOLDER. A fault is on as long as its connection is: who hangs up, by Ctrl-C
or by dying, heals.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import signal
import socket
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from pydantic import ValidationError

from chaoskit.capabilities import LINK_NEEDS
from chaoskit.children import PROBE_CHILD, is_probed, probe_config
from chaoskit.choosing import build_lab, choose_lab, refuse_unmet
from chaoskit.clock import NS, MonotonicClock, now_ns
from chaoskit.contracts import OBSERVER, Child, FaultModel, Lab
from chaoskit.errors import ChaoskitError, HealFailed, LabError, NotInjected, Refused
from chaoskit.experiment.grammar import parse_threshold
from chaoskit.experiment.model import Experiment
from chaoskit.experiment.step import Step
from chaoskit.experiment.steps import fault_class
from chaoskit.halting import Lever, refuse_if_halted
from chaoskit.injection import Injector
from chaoskit.instruments import DialBoard, RoleBoard
from chaoskit.keeping import SOCKET
from chaoskit.lab.guardian import Guardian
from chaoskit.lab.heal import heal
from chaoskit.lab.journal import Journal
from chaoskit.rundir import write_atomically
from chaoskit.stack.compose import load_stack
from chaoskit.stack.labels import role_probe

__all__ = ["Keeper", "main"]

_EVERY_S = 0.01
_SEND_WITHIN_S = 2
_FELT_WITHIN_NS = 5_000_000_000
_MOST_BYTES = 100_000


@dataclass
class _Client:
    """Somebody who asked for something, and what he still waits for."""

    connection: socket.socket
    buffer: bytearray = field(default_factory=bytearray)
    index: int | None = None  # his fault
    until_ns: int | None = None
    healed_ns: int | None = None
    bitten: bool = False
    gone: bool = False

    def say(self, **message: object) -> None:
        try:
            self.connection.sendall(json.dumps(message, default=str).encode() + b"\n")
        except OSError:
            self.gone = True


class Keeper:
    """A lab that is up, and everybody who wants something of it."""

    def __init__(self, lab: Lab, experiment: Experiment, folder: Path, seed: int) -> None:
        self.lab, self.folder = lab, folder
        stack = load_stack(experiment.stack)
        probed = [s.name for s in stack.services.values() if role_probe(s) is not None]
        self.roles = RoleBoard(probed, {s.name: s.role() for s in stack.services.values()})
        self.dials = DialBoard(lab)
        self.probe: Child | None = None
        self._stack = stack
        rng = random.Random(seed)  # noqa: S311 - not a secret
        self.injector = Injector(
            experiment, lab, self.roles, self.dials, rng, self._incident, lambda _e, _f: None
        )
        self.clients: list[_Client] = []
        self.over = False
        self._lever = Lever()

    def watch(self) -> None:
        """Start the role probes and the child that dials, so that no fault waits for them."""
        out, told = (self.lab.inside(str(self.folder / name)) for name in ("roles", "events"))
        if is_probed(self._stack):
            self.probe = self.lab.spawn(self.lab.node(OBSERVER), PROBE_CHILD)
            self.probe.send(probe_config(self._stack, self.lab, 0.1, out, told))
        self.dials.prepare([OBSERVER])

    def serve(self, listener: socket.socket) -> None:
        """Until somebody asks for the end. Raises ``Halted`` when the lever is pulled."""
        clock = MonotonicClock()
        while not self.over:
            self._lever.check()
            self._accept(listener)
            self._look()
            for client in list(self.clients):
                self._hear(client)
                self._tend(client)
                if client.gone:
                    self._hang_up(client)
            clock.sleep(_EVERY_S)

    def close(self) -> None:
        """Heal everything that is on and end the children. Raises ``HealFailed``."""
        try:
            self.injector.heal_all()
        finally:
            for client in self.clients:
                client.say(event="error", code=4, sentence="the lab is taken down")
                client.connection.close()
            self.dials.close()
            if self.probe is not None:
                self.probe.close()

    # ------------------------------------------------------------ looking on

    def _look(self) -> None:
        while self.probe is not None and (message := self.probe.receive(0.0)) is not None:
            self.roles.take(message)
        self.dials.pump()
        self.injector.feel()
        self.injector.look()

    def _incident(self, sentence: str) -> None:
        for client in self.clients:
            client.say(event="incident", sentence=sentence)

    def _tend(self, client: _Client) -> None:
        """His fault: say when it bit, heal it when its time is over, say when that was felt."""
        if client.index is None:
            return
        record = next(r for r in self.injector.records() if r.step == client.index)
        if record.bitten_ns is not None and not client.bitten:
            client.bitten = True
            took = (record.bitten_ns - record.commanded_ns) / NS
            client.say(event="bitten", after_s=took)
        if client.healed_ns is None:
            if client.until_ns is not None and now_ns() >= client.until_ns:
                self._heal(client)
            return
        felt = record.felt_healed_ns is not None or not record.must_bite
        if felt or now_ns() - client.healed_ns > _FELT_WITHIN_NS:
            said = "felt" if felt else "not felt by any connection yet"
            client.say(event="healed", said=said, problem=record.problem, last=True)
            client.index = None

    def _heal(self, client: _Client) -> None:
        assert client.index is not None  # noqa: S101 - asked of clients with a fault
        try:
            self.injector.heal(client.index)
        except ChaoskitError as error:
            client.say(event="error", code=HealFailed.exit_code, sentence=str(error))
            raise
        client.healed_ns = now_ns()

    # ------------------------------------------------------------ clients

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            connection, _ = listener.accept()
            connection.setblocking(True)
            patience = struct.pack("ll", _SEND_WITHIN_S, 0)  # who does not read is hung up on
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
            self.clients.append(_Client(connection))

    def _hear(self, client: _Client) -> None:
        try:
            data = client.connection.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or len(client.buffer) > _MOST_BYTES:
            client.gone = True
            return
        client.buffer += data
        while b"\n" in client.buffer:
            line, _, rest = client.buffer.partition(b"\n")
            client.buffer = bytearray(rest)
            self._answer(client, bytes(line))

    def _hang_up(self, client: _Client) -> None:
        self.clients.remove(client)
        client.connection.close()
        if client.index is not None and client.healed_ns is None:
            self._heal(client)

    def _answer(self, client: _Client, line: bytes) -> None:
        try:
            message = json.loads(line)
            match message.get("do"):
                case "status":
                    client.say(event="status", **self._status(), last=True)
                case "logs":
                    self.lab.save_logs(str(self.folder / "logs"))
                    client.say(event="logs", folder=str(self.folder / "logs"), last=True)
                case "inject":
                    self._inject(client, message)
                case "heal":
                    client.until_ns = now_ns()
                case "down":
                    self.over = True
                    client.say(event="down", last=True)
                case other:
                    client.say(event="error", code=2, sentence=f"the keeper knows no {other!r}")
        except ChaoskitError as error:
            code = Refused.exit_code if isinstance(error, NotInjected) else error.exit_code
            client.say(event="error", code=code, sentence=str(error))
        except (ValueError, AttributeError) as error:
            client.say(event="error", code=2, sentence=f"not understood: {error}")

    def _status(self) -> dict[str, object]:
        roles = self.roles.roles()
        return {
            "nodes": [
                {
                    "name": node.name,
                    "address": node.address,
                    "role": roles.get(node.name),
                    "running": self.lab.identity(node) is not None,
                }
                for node in self.lab.nodes()
            ],
            "faults": [
                {"fault": r.fault, "nodes": list(r.nodes), "detail": r.detail}
                for r in self.injector.records()
                if r.healed_ns is None
            ],
        }

    def _inject(self, client: _Client, message: Mapping[str, Any]) -> None:
        step = _step(message)
        fault: FaultModel = step.fault
        if client.index is not None:
            raise Refused("one connection holds one fault")
        if fault.needs & LINK_NEEDS:
            self.dials.prepare([OBSERVER, "client", *(n.name for n in self.lab.nodes())])
        fault.prepare(self.lab)
        index = self.injector.add(step)
        self.injector.inject(index)
        client.index = index
        if step.for_s is not None:
            client.until_ns = now_ns() + int(step.for_s * NS)
        record = next(r for r in self.injector.records() if r.step == index)
        verified = record.verified_ns
        client.say(
            event="in force",
            fault=fault.kind,
            nodes=list(record.nodes),
            detail=record.detail,
            verified_s=None if verified is None else (verified - record.commanded_ns) / NS,
        )


def _step(message: Mapping[str, Any]) -> Step:
    """What was asked for, checked here again: the keeper trusts no client. Raises ``Refused``."""
    try:
        fault = fault_class(str(message["fault"])).model_validate(message.get("parameters", {}))
        return Step.model_validate(
            {"at": "0s", "for": message.get("for"), "target": message["target"], "fault": fault}
        )
    except (ValidationError, KeyError) as error:
        raise Refused(f"the fault cannot be injected like this: {error}") from error


def _experiment(stack: Path) -> Experiment:
    """What the engine wants around a step: nothing of it is ever judged."""
    return Experiment.model_validate(
        {
            "chaoskit": 1,
            "name": "by-hand",
            "question": "What happens?",
            "stack": stack,
            "load": {"user": "none"},
            "steps": (Step.model_validate({"at": "0s", "fault": fault_class("noop")()}),),
            "thresholds": (parse_threshold("lost_writes == 0"),),
        }
    )


def _listen(folder: Path) -> socket.socket:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(f"/proc/self/fd/{fd}/{SOCKET}")
    finally:
        os.close(fd)
    listener.listen(16)
    listener.setblocking(False)
    return listener


def keep(file: Path, lab_name: str, folder: Path) -> None:
    """The keeper's whole life. Raises what went wrong; everything is healed or in the journal."""
    refuse_if_halted()
    stack = load_stack(file)
    choice = choose_lab(lab_name, stack)
    refuse_unmet(choice, ())
    heal()
    run_id = secrets.token_hex(4)
    os.environ["CHAOSKIT_RUN"] = run_id
    journal = Journal.create(run_id)
    guardian = Guardian.start(journal)
    lab = build_lab(choice, stack, run_id, folder, journal)
    keeper = None
    try:
        prepare = getattr(lab, "prepare", None)
        if prepare is not None:
            prepare()
        lab.up()
        keeper = Keeper(lab, _experiment(file), folder, secrets.randbelow(2**31))
        keeper.watch()
        listener = _listen(folder)
        facts: dict[str, object] = {
            "name": folder.name,
            "stack": str(file),
            "lab": choice.name,
            "why": choice.why,
            "run": run_id,
            "pid": os.getpid(),
            "nodes": [{"name": n.name, "address": n.address} for n in lab.nodes()],
        }
        write_atomically(folder / "lab.json", json.dumps(facts) + "\n")
        keeper.serve(listener)
    finally:
        _end(keeper, lab, journal, guardian, folder)


def _end(
    keeper: Keeper | None, lab: Lab, journal: Journal, guardian: Guardian, folder: Path
) -> None:
    """Heal, take the lab down, and say goodbye to the guardian if nothing is left."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(ChaoskitError):  # what is left of it stands in the journal
        if keeper is not None:
            keeper.close()
    lab.down()
    left = journal.open_entries()
    if left:
        raise HealFailed(f"{len(left)} undo(s) are still open ({journal.path}); run: chaoskit heal")
    journal.archive(folder / "journal.jsonl")
    guardian.goodbye()


class _Asked(ChaoskitError):
    """A signal asked the keeper to end."""

    exit_code = 0


def _ask_to_end(_number: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise _Asked("the keeper was asked to end")


def main() -> None:
    """Keep a lab until it is taken down; the exit code says what became of it."""
    file, lab, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _ask_to_end)
    try:
        keep(file, lab, folder)
    except _Asked:
        sys.exit(0)
    except ChaoskitError as error:
        failure: dict[str, object] = {"event": "error", "code": error.exit_code}
        failure["sentence"] = str(error)
        write_atomically(folder / "error.json", json.dumps(failure) + "\n")
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    except Exception as error:
        sentence = f"the lab's keeper failed: {type(error).__name__}: {error}"
        failure = {"event": "error", "code": LabError.exit_code, "sentence": sentence}
        write_atomically(folder / "error.json", json.dumps(failure) + "\n")
        raise


if __name__ == "__main__":
    main()
