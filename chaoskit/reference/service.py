"""The two kinds of process: a data node with its client interface, and the witness.

::

    PUT /kv/<key>   body: unsigned 64-bit decimal     GET /kv/<key>
    POST /log       body: unsigned 64-bit decimal     GET /log      (on every node, any role)
    GET /role       GET /health       GET /events     and what ``desk.py`` offers operators

Answers of ``/kv`` and ``POST /log`` are JSON with value, version, epoch, node. 421: not primary,
nothing was executed, ``X-Chaoskit-Primary`` names who may be. 503: primary, but not able to
serve, nothing was executed. 504: executed or not, nobody knows.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
from pathlib import Path

from chaoskit.reference import desk
from chaoskit.reference.consent import Decided
from chaoskit.reference.durable import Durable
from chaoskit.reference.link import Link
from chaoskit.reference.messages import (
    Action,
    Answer,
    Append,
    Call,
    Copy,
    Message,
    Persist,
    Send,
    To,
    Told,
    encode,
)
from chaoskit.reference.node import Node
from chaoskit.reference.scan import counted
from chaoskit.reference.server import Connection, response
from chaoskit.reference.settings import BadSettings, Settings
from chaoskit.reference.shell import Shell
from chaoskit.reference.witness import Witness

__all__ = ["NodeService", "WitnessService", "read_state"]

_ERRORS = {
    421: b'{"error":"this node is not primary; nothing was executed"',
    503: b'{"error":"this primary cannot serve now; nothing was executed"',
    504: b'{"error":"the write may or may not have been executed"',
}


def incarnation() -> str:
    """A name that no other process ever had."""
    return secrets.token_hex(8)


class NodeService(Shell):
    """A data node. ``kind`` is the state machine to run: the sound one, or a planted defect."""

    def __init__(self, settings: Settings, kind: type[Node] = Node) -> None:
        super().__init__(settings)
        timing = settings.timing
        self.node = kind(
            settings.node,
            incarnation(),
            timing,
            time.monotonic_ns(),
            preferred=settings.preferred,
            rules=settings.rules,
        )
        if settings.peer is None or settings.witness is None:
            raise BadSettings("a data node needs CHAOSKIT_PEER and CHAOSKIT_WITNESS")
        patience = timing.lease_ns / 1e9
        self.links = {
            To.PEER: Link(settings.peer, patience, self.take_in),
            To.WITNESS: Link(settings.witness, patience, self.take_in),
        }
        self._request = 0
        self._pending: dict[int, Connection] = {}
        self._scans: set[asyncio.Task[None]] = set()
        self._durable: Durable | None = None
        self._trouble = ""  # of the disk, when it was looked at last

    async def start(self) -> None:
        """See ``Shell``; with ``CHAOSKIT_DATA`` the disk is part of it."""
        if self.settings.data:
            patience_s = self.settings.disk_patience_ns / 1e9
            self._durable = Durable(Path(self.settings.data), patience_s)
        await super().start()

    async def close(self) -> None:
        """Stop; for tests, where a process outlives its node."""
        await super().close()
        if self._durable:
            self._durable.close()
        for task in self._scans:
            task.cancel()
        await asyncio.gather(*self._scans, return_exceptions=True)
        for link in self.links.values():
            await link.close()

    def ticked(self, now: int) -> list[Action]:
        """Give up overdue answers, then let the state machine look at the clock."""
        at = asyncio.get_running_loop().time()
        for link in self.links.values():
            link.sweep(at)
        return [] if self._stuck() else self.node.tick(now)

    def heard(self, now: int, message: Message) -> list[Action]:
        """Peer or witness said something. A node whose disk is stuck is as if it stood still."""
        return [] if self._stuck() else self.node.message(now, message)

    def replied(self, conn: Connection, message: Message, made: bytes) -> bytes | None:
        """What the node says that it holds must be on its disk when it says so."""
        if self._durable is None or not isinstance(message, Append | Copy):
            return made
        self._durable.take(self.node.store)
        self._durable.after(lambda good: conn.respond(made if good else response(200, b"")))
        return None

    def _stuck(self) -> bool:
        """Whether the disk does not take what it was given; whoever waits for it is told."""
        if self._durable is None:
            return False
        found = self._durable.trouble()
        if found != self._trouble:
            what = "disk-stuck" if found else "disk-back"
            self.events.add(time.monotonic_ns(), what, found, self.epoch())
            self._trouble = found
        if not found or not self.node.heeds_disk:
            return False
        self._durable.give_up()
        return True

    def act(self, action: Action) -> None:
        """Send a message, or answer the client that waits for it."""
        if isinstance(action, Send):
            self.links[action.to].send(encode(action.message))
        elif isinstance(action, Answer):
            conn = self._pending.pop(action.request, None)
            if conn is not None:
                self._answered(conn, action)
        elif isinstance(action, Told):
            conn = self._pending.pop(action.request, None)
            if conn is not None:
                conn.respond(self._tell(Decided(action.status, action.sentence)))

    def _answered(self, conn: Connection, answer: Answer) -> None:
        if self._durable is None or answer.status != 200:
            conn.respond(self._render(answer))
            return
        unknown = answer._replace(status=504)
        self._durable.take(self.node.store)
        self._durable.after(lambda good: conn.respond(self._render(answer if good else unknown)))

    def epoch(self) -> int:
        """The epoch as this process knows it."""
        return self.node.epoch

    def status(self, now: int) -> tuple[bool, bytes]:
        """Healthy: serving, or in sync with a primary that is heard."""
        node = self.node
        role = node.role(now)
        made = {
            "role": role,
            "epoch": node.epoch,
            "node": node.name,
            "primary": node.primary or None,
            "in_sync": list(node.members),
            "incarnation": node.inc,
            "seq": node.store.seq,
            "declared_dead": node.declared_dead,
        }
        healthy = role == "primary" or (role == "backup" and not node.declared_dead)
        healthy = healthy and not (self._trouble and node.heeds_disk)
        return healthy, json.dumps(made, separators=(",", ":")).encode()

    # ------------------------------------------------------------ clients

    def client(self, conn: Connection, method: bytes, path: bytes, body: bytes) -> bytes | None:
        """Registers and log."""
        if path.startswith(b"/kv/"):
            key = path[4:].decode("latin-1")
            if not key or len(key) > 128 or not key.isprintable() or "?" in key:
                return self.answer(400, b'{"error":"not a usable key"}')
            if method == b"PUT":
                return self._write(conn, key, body)
            if method == b"GET":
                refused = Answer(0, 503, None, 0) if self._stuck() else None
                return self._render(refused or self.node.read(time.monotonic_ns(), key))
        elif path == b"/log":
            return self._log(conn, method, body)
        elif path in desk.PATHS:
            return self._operator(conn, method, path, body)
        known = path.startswith(b"/kv/")
        return self.answer(405 if known else 404, b'{"error":"no such path or method"}')

    def _log(self, conn: Connection, method: bytes, body: bytes) -> bytes | None:
        if method == b"POST":
            return self._write(conn, "", body)
        if method != b"GET":
            return self.answer(405, b'{"error":"no such method"}')
        task = asyncio.get_running_loop().create_task(self._scan(conn))
        self._scans.add(task)
        task.add_done_callback(self._scans.discard)
        return None

    def _operator(self, conn: Connection, method: bytes, path: bytes, body: bytes) -> bytes | None:
        now, node = time.monotonic_ns(), self.node
        if path == b"/failover" and method == b"GET":
            made = json.dumps(desk.look(node, now), separators=(",", ":")).encode()
            self.perform(node.take())
            return self.answer(200, made)
        if path == b"/failover" or method != b"POST":
            return self.answer(405, b'{"error":"no such method"}')
        if path != b"/switchover":
            decided = desk.ask(node, now, path, body)
            self.perform(node.take())
            return self._tell(decided)
        self._request += 1
        self._pending[self._request] = conn
        found = desk.switch(node, now, self._request, body)
        if isinstance(found, Decided):
            del self._pending[self._request]
            return self._tell(found)
        self.perform(found)
        return None

    def _tell(self, decided: Decided) -> bytes:
        made = {"accepted" if decided.status == 200 else "error": decided.sentence}
        hint = self.node.hint(time.monotonic_ns()) if decided.status == 421 else ""
        extra = f"X-Chaoskit-Primary: {hint}\r\n" if hint else ""
        return self.answer(decided.status, json.dumps(made).encode(), extra=extra)

    def _write(self, conn: Connection, key: str, body: bytes) -> bytes | None:
        text = body.strip()
        if not text.isdigit() or len(text) > 20 or (value := int(text)) >= 2**64:
            return self.answer(400, b'{"error":"the body must be an unsigned 64-bit decimal"}')
        if self._stuck():
            return self._render(Answer(0, 503, None, 0))
        self._request += 1
        self._pending[self._request] = conn
        self.perform(self.node.write(time.monotonic_ns(), self._request, key, value))
        return None

    def _render(self, answer: Answer) -> bytes:
        node = self.node
        tail = f',"epoch":{node.epoch},"node":"{node.name}"}}'.encode()
        if answer.status == 200:
            value = "null" if answer.value is None else answer.value
            return self.answer(200, f'{{"value":{value},"version":{answer.version}'.encode() + tail)
        hint = node.hint(time.monotonic_ns()) if answer.status == 421 else ""
        extra = f"X-Chaoskit-Primary: {hint}\r\n" if hint else ""
        return self.answer(answer.status, _ERRORS[answer.status] + tail, extra=extra)

    async def _scan(self, conn: Connection) -> None:
        """All tokens with their multiplicity, as they were at one moment.

        The log only grows, and a node that begins a new copy begins a new array.
        """
        body = await counted(self.node.store.tokens)
        role = f"X-Chaoskit-Role: {self.node.role(time.monotonic_ns())}\r\n"
        conn.respond(self.answer(200, body, "text/plain", role))


def read_state(path: str) -> dict[str, object] | None:
    """What a witness before this one made durable; None if there was none.

    Raises ``BadSettings`` for a file that cannot be read or is not one.
    """
    file = Path(path)
    try:
        made = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raise BadSettings(f"CHAOSKIT_STATE={path}: not a readable state of a witness") from None
    if not isinstance(made, dict):
        raise BadSettings(f"CHAOSKIT_STATE={path}: not a state of a witness")
    return made


class WitnessService(Shell):
    """The witness. With ``state_file`` it survives its own restart."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        durable = read_state(settings.state_file) if settings.state_file else None
        try:
            self.witness = Witness(settings.timing, incarnation(), time.monotonic_ns(), durable)
        except ValueError as error:
            raise BadSettings(f"CHAOSKIT_STATE={settings.state_file}: {error}") from None

    def ticked(self, now: int) -> list[Action]:
        """Let the state machine look at the clock."""
        return self.witness.tick(now)

    def heard(self, now: int, message: Message) -> list[Action]:
        """A node called; nothing else is for a witness."""
        return self.witness.call(now, message) if isinstance(message, Call) else []

    def act(self, action: Action) -> None:
        """Make a change durable."""
        if isinstance(action, Persist) and self.settings.state_file:
            self._write_state(Path(self.settings.state_file), action.state)

    @staticmethod
    def _write_state(file: Path, state: dict[str, object]) -> None:
        """Atomically, and on the disk before anybody hears of it."""
        fresh = file.with_name(file.name + ".new")
        with fresh.open("w", encoding="utf-8") as out:
            json.dump(state, out)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(file)

    def epoch(self) -> int:
        """The epoch as this process knows it."""
        return self.witness.epoch

    def status(self, now: int) -> tuple[bool, bytes]:  # noqa: ARG002 - a witness has no lease
        """Healthy as long as it answers."""
        witness = self.witness
        made = {
            "role": "witness",
            "epoch": witness.epoch,
            "node": self.settings.node,
            "primary": witness.primary or None,
            "in_sync": sorted(witness.in_sync),
            "incarnation": witness.inc,
        }
        return True, json.dumps(made, separators=(",", ":")).encode()

    def client(
        self,
        conn: Connection,  # noqa: ARG002 - the signature
        method: bytes,  # noqa: ARG002 - the signature
        path: bytes,  # noqa: ARG002 - the signature
        body: bytes,  # noqa: ARG002 - the signature
    ) -> bytes | None:
        """Nothing: a witness has no clients."""
        return self.answer(404, b'{"error":"a witness stores no data"}')
