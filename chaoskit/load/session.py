"""One load from configuration to final read: Locust, combs, recorder, counts."""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import gevent
import locust
from gevent import Timeout
from locust.env import Environment
from locust.util.load_locustfile import load_locustfile

from chaoskit.errors import BadInput
from chaoskit.history.records import LATE, Outcome
from chaoskit.load.carriers import Carriers, Patience
from chaoskit.load.comb import Comb, Dispatcher, phases
from chaoskit.load.config import LoadConfig
from chaoskit.load.descriptors import make_room
from chaoskit.load.doors import door_of
from chaoskit.load.final import read_everything
from chaoskit.load.herald import Herald
from chaoskit.load.operation import Operation, Verdict
from chaoskit.load.priority import ahead_of_others, as_everybody
from chaoskit.load.recorder import FLUSH_EVERY_S, Recorder
from chaoskit.load.user import CombUser, Party, Shared

__all__ = ["LoadSession", "find_user"]

GROUP = "chaoskit.loads"
WARM_UP_S = 1.0


def find_user(user: str, options: Mapping[str, object]) -> type[CombUser]:
    """The class that is called ``user``, of the locustfile if the options name one.

    Raises ``BadInput`` in one sentence.
    """
    locustfile = options.get("locustfile")
    if locustfile is not None:
        return _from_locustfile(str(locustfile), user)
    entries = importlib.metadata.entry_points(group=GROUP)
    named = [entry for entry in entries if entry.name == user]
    if not named:
        known = ", ".join(sorted(entries.names)) or "none"
        raise BadInput(f"no load is called {user!r}; installed are: {known}")
    try:
        found = named[0].load()
    except Exception as error:  # whatever a plug-in raises at import, it is not ours
        raise BadInput(f"load {user!r} cannot be imported: {_named(error)}") from error
    if not (isinstance(found, type) and issubclass(found, CombUser)):
        raise BadInput(f"load {user!r} is {named[0].value}, which is no CombUser")
    return found


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")


def _from_locustfile(path: str, name: str) -> type[CombUser]:
    try:
        classes = load_locustfile(path)[0]
    except Exception as error:  # whatever somebody's file raises, it is the file's mistake
        raise BadInput(f"locustfile {path} cannot be imported: {_named(error)}") from error
    ours: dict[str, type[CombUser]] = {n: c for n, c in classes.items() if issubclass(c, CombUser)}
    if name in ours:
        return ours[name]
    # What others of the file derive from was only imported to be derived from.
    leaves = [c for c in ours.values() if not any(c in o.__mro__[1:] for o in ours.values())]
    if len(leaves) == 1:
        return leaves[0]
    known = ", ".join(sorted(ours)) or "none"
    raise BadInput(f"locustfile {path} has no CombUser called {name!r}; it has: {known}")


class LoadSession:
    """Everything of one load. Nothing is asked before ``start``."""

    def __init__(
        self,
        config: LoadConfig,
        say: Callable[[Mapping[str, object]], None] = lambda _event: None,
    ) -> None:
        user_class = find_user(config.user, config.options)
        options = {k: v for k, v in config.options.items() if k != "locustfile"}
        user_class.check_options(options)
        self.config = config
        self.herald = Herald(say)
        self.clients = [Shared(config, door_of(config), n) for n in range(config.clients)]
        names = [client.name for client in self.clients]
        self.recorder = Recorder(config.requests, config.strings, names, config.streams)
        shifts = phases(config.streams)
        self.combs = [Comb(s, i, shifts[i]) for i, s in enumerate(config.streams)]
        make_room(sum(comb.room for comb in self.combs))
        self.dispatcher = Dispatcher(self.combs, self._issue, self._skip)
        self.last_write_ok_ns = 0
        self._lags: list[int] = []
        self._carriers = Carriers(self._carry)
        self._patience = [Patience(stream.timeout_ns) for stream in config.streams]
        self._flushing: gevent.Greenlet | None = None
        self._spawn_users(user_class)
        with contextlib.suppress(OSError), Timeout(WARM_UP_S, exception=False):
            self.clients[0].seats[0].warm_up()
        # The collector's pauses would be our own lateness: what is here now is never looked at
        # again, and what comes later is collected in small portions by ``tick``.
        gc.collect()
        gc.freeze()
        gc.disable()

    def _spawn_users(self, user_class: type[CombUser]) -> None:
        """Let Locust spawn one user for each stream of each client, and see that it did."""
        self.environment = Environment(
            user_classes=[user_class], events=locust.events, catch_exceptions=False
        )
        self.environment.chaoskit_party = Party(self.clients)
        request = self.environment.events.request
        before = len(request._handlers)  # noqa: SLF001 - whoever subscribed: plug-ins, locustfile
        self._tell_locust = before > 0
        runner = self.environment.create_local_runner()
        self.environment.events.init.fire(environment=self.environment, runner=runner)
        pinned = sum(1 for comb in self.combs if comb.stream.pinned)
        count = (len(self.combs) - pinned) * len(self.clients) + pinned
        runner.start(count, spawn_rate=count)
        runner.spawning_greenlet.join()  # a user that cannot be made raises here
        if runner.spawning_greenlet.exception is not None:
            raise runner.spawning_greenlet.exception
        seated = sum(len(client.seats) for client in self.clients)
        if seated != count:
            raise BadInput(f"Locust spawned {seated} of {count} users")

    # ------------------------------------------------------------ while it runs

    def start(self, at_ns: int) -> None:
        """Slot 0 of every comb is due at ``at_ns`` plus the comb's phase."""
        ahead_of_others()
        self.dispatcher.begin(at_ns)
        self.dispatcher.start()
        self._flushing = gevent.spawn(self._flush_for_ever)

    def shed(self, from_ns: int, until_ns: int, share: float) -> None:
        """Of the slots due from (inside) to (outside) only ``share`` is asked, of every comb."""
        for comb in self.combs:
            comb.shed = (from_ns, until_ns, share)

    def stop(self) -> int:
        """Issue no more, wait for what is in flight, flush. The number of records."""
        self.dispatcher.stop()
        longest = max(stream.timeout_ns for stream in self.config.streams) / 1e9 + 1.0
        until = time.monotonic() + longest
        while any(comb.in_flight for comb in self.combs) and time.monotonic() < until:
            gevent.sleep(0.005)
        as_everybody()
        if self._flushing is not None:
            self._flushing.kill()
        self.recorder.close()
        gc.enable()
        self.environment.runner.stop()
        return self.recorder.written

    def final(self, timeout_s: float, agree_s: float) -> dict[str, dict[str, object]]:
        """Read back the front door and all nodes; see ``read_everything``."""
        user = self.clients[0].seats[0]
        folder = Path(self.config.final)
        return read_everything(user.read_back, self.config.nodes, folder, timeout_s, agree_s)

    def tick(self) -> dict[str, object]:
        """Counts since the start; lateness since the last tick, ms."""
        gc.collect(1)
        lags, self._lags = sorted(self._lags), []
        p99 = lags[min(len(lags) - 1, int(len(lags) * 0.99))] if lags else 0
        return {
            "event": "tick",
            "t_ns": time.monotonic_ns(),
            "due": sum(c.due for c in self.combs),
            "ok": sum(c.ok for c in self.combs),
            "bad": sum(c.bad for c in self.combs),
            "not_sent": sum(c.not_sent for c in self.combs),
            "in_flight": sum(c.in_flight for c in self.combs),
            "last_write_ok_ns": self.last_write_ok_ns,
            "lag_p99_ms": round(p99 / 1e6, 3),
            "lag_max_ms": round(lags[-1] / 1e6, 3) if lags else 0.0,
            "streams": {
                c.stream.name: {"due": c.due, "ok": c.ok, "bad": c.bad, "not_sent": c.not_sent}
                for c in self.combs
            },
        }

    def _flush_for_ever(self) -> None:
        while True:
            gevent.sleep(FLUSH_EVERY_S)
            self.recorder.flush()

    # ------------------------------------------------------------ one slot

    def _issue(self, comb: Comb, slot: int, due_ns: int) -> None:
        self._carriers.carry(comb, slot, due_ns)

    def _carry(self, comb: Comb, slot: int, due_ns: int) -> None:
        stream = comb.stream
        client = 0 if stream.pinned else slot % len(self.clients)
        user = self.clients[client].seats[comb.index]
        sent_ns = time.monotonic_ns()
        if sent_ns - due_ns > comb.late_ns:  # the loop was busy since it was issued
            comb.in_flight -= 1
            self._skip(comb, slot, due_ns, LATE, sent_ns - due_ns)
            return
        operation = user.plan(slot)
        sent_ns = time.monotonic_ns()
        verdict = user.carry_out(operation, self._patience[comb.index], sent_ns)
        comb.in_flight -= 1
        done_ns = operation.done_ns
        if verdict is Verdict.ACKNOWLEDGED:
            good = done_ns - due_ns <= stream.deadline_ns
            outcome = Outcome.OK if good else Outcome.OK_LATE
            if stream.op == "write":
                self.last_write_ok_ns = max(self.last_write_ok_ns, done_ns)
        else:
            refused = verdict is Verdict.REFUSED
            outcome = Outcome.FAIL_DEFINITE if refused else Outcome.AMBIGUOUS
        if outcome is Outcome.OK:
            comb.ok += 1
            if not self.herald.served and not stream.pinned:
                self.herald.good(due_ns, done_ns)
        else:
            comb.bad += 1
            if not stream.pinned:  # every node but one refuses what is pinned
                self.herald.bad(due_ns, done_ns)
        self._lags.append(sent_ns - due_ns)
        self.recorder.add(
            due_ns=due_ns,
            sent_ns=sent_ns,
            done_ns=done_ns,
            op=operation.op,
            outcome=outcome,
            stream=comb.index,
            client=client,
            token=operation.token,
            seen=operation.seen,
            key=operation.key,
            epoch=operation.epoch,
            error=operation.error,
            server=operation.server,
            attempt=operation.attempts,
            flags=operation.flags,
        )
        if self._tell_locust:
            self._fire(comb, operation, done_ns - sent_ns)

    def _skip(self, comb: Comb, slot: int, due_ns: int, why: str, late_ns: int) -> None:
        client = 0 if comb.stream.pinned else slot % len(self.clients)
        operation = self.clients[client].seats[comb.index].plan(slot)
        comb.not_sent += 1
        self._lags.append(late_ns)
        self.recorder.add(
            due_ns=due_ns,
            sent_ns=0,
            done_ns=0,
            op=operation.op,
            outcome=Outcome.NOT_SENT,
            stream=comb.index,
            client=client,
            key=operation.key,
            error=why,
        )

    def _fire(self, comb: Comb, operation: Operation, took_ns: int) -> None:
        """Locust's own event, for listeners of others; no figure of ours comes from it."""
        self.environment.events.request.fire(
            request_type=operation.op.name,
            name=comb.stream.name,
            response_time=took_ns / 1e6,
            response_length=0,
            exception=OSError(operation.error) if operation.error else None,
            context={},
        )
