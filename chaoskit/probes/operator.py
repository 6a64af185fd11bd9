"""An operator inside the lab: watches for pending failovers, decides on them, switches over.

``python -m chaoskit.probes.operator``; the first line of input is the configuration. Standard
library only. Either ``{"watch": [{"node", "url"}], "every_s", "reaction_s", "decision",
"names"}``: every place is asked again and again, and ``decision`` ("approve", "reject", "wrong":
approve, but another of ``names``) is sent ``reaction_s`` after a failover was first seen pending;
without a decision it waits for ``{"do": "decide", "id", "decision"}``. A decision that could
not be delivered, or was not answered for long, is sent again while the request stands. A request
that is gone where it was first seen is said to be withdrawn, unless a decision on it was answered,
or was taken as the system says. Or
``{"switchover": url, "node", "candidate", "leader"}``: one request. What is seen and done is said,
one line each, with CLOCK_MONOTONIC; how a system is asked stands in ``docs/stacks.md``.
"""

from __future__ import annotations

import http.client
import json
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from chaoskit.probes.lines import fail, listen, read_line, say

__all__ = ["main", "request"]

_TIMEOUT_S = 0.5
_ANSWER_S = 10.0  # for what was delivered: some promote first and answer then
_AGAIN_S = 0.5  # after a try that nobody answered, until the next one
_ANSWER_MAX = 64 << 10
_TEXT_MAX = 300
_APPROVED = ("approved", "done", "lapsed")
_TAKEN = {"approve": _APPROVED, "wrong": _APPROVED, "reject": ("rejected",)}
"""Decision → the states of a request, as systems say them, that prove it was taken."""


def request(
    method: str,
    url: str,
    body: Mapping[str, str] | None,
    timeout_s: float,
    answer_s: float | None = None,
) -> tuple[int, str]:
    """Status and text of one request. Raises ``OSError`` without an answer that is HTTP.

    It may take ``timeout_s`` to be connected, and each step of the answer ``answer_s``, which is
    as long if it is not said.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout_s)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        data = None if body is None else json.dumps(body).encode()
        connection.connect()
        if answer_s is not None and connection.sock is not None:
            connection.sock.settimeout(answer_s)
        connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read(_ANSWER_MAX).decode("utf-8", "replace")
    except http.client.HTTPException as error:
        raise OSError(f"the answer is not HTTP ({type(error).__name__})") from error
    finally:
        connection.close()


@dataclass(frozen=True)
class _Place:
    node: str
    url: str


@dataclass
class _Pending:
    """A failover that waits, as one place showed it."""

    place: _Place
    id: str
    candidate: str
    seen_ns: int
    since_ns: int  # the last look at that place that did not show it began then
    decided: bool = False  # somebody decided on it
    closed_ns: int | None = None  # when the place was first seen not to show it any more
    became: str = ""  # its state, as the place said then


def _shown(text: str) -> dict[str, Any]:
    """What a place answered. Raises ``ValueError``."""
    made = json.loads(text)
    if not isinstance(made, dict):
        raise ValueError("not an object")  # noqa: TRY004 - it is data, not a type
    found = made.get("pending")
    if found and not (isinstance(found, dict) and found.get("id")):
        raise ValueError("'pending' has no id")
    return made


def _became(made: Mapping[str, Any], request_id: str) -> str:
    """The state of a request that is not pending any more; empty where nothing is said of it."""
    decided = made.get("decided")
    if not isinstance(decided, dict) or str(decided.get("id")) != request_id:
        return ""
    return str(decided.get("state") or "")


class _Desk:
    """One thread a place looks; this one decides."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._places = [_Place(str(p["node"]), str(p["url"])) for p in config["watch"]]
        self._every_s = float(config.get("every_s", 0.02))
        self._reaction_s = float(config.get("reaction_s") or 0.0)
        self._decision = config.get("decision")
        self._names: Sequence[str] = [str(n) for n in config.get("names", [])]
        self._seen: dict[str, _Pending] = {}  # the newest of each id
        self._orders: queue.Queue[tuple[str, str]] = queue.Queue()
        self._lock = threading.Lock()
        self._looked = False

    def run(self) -> None:
        """For ever; the end of the input ends the process."""
        for place in self._places:
            threading.Thread(target=self._watch, args=(place,), daemon=True).start()
        while True:
            request_id, decision = self._orders.get()
            threading.Thread(target=self._decide, args=(request_id, decision), daemon=True).start()

    def heard(self, message: Mapping[str, object]) -> None:
        """A person decided."""
        if message.get("do") == "decide":
            self._orders.put((str(message.get("id")), str(message.get("decision"))))

    def _watch(self, place: _Place) -> None:
        complained = False
        empty_ns = time.monotonic_ns()
        while True:
            asked_ns = time.monotonic_ns()
            try:
                status, text = request("GET", place.url, None, _TIMEOUT_S)
                made = _shown(text) if 200 <= status < 300 else None
            except OSError:
                pass  # it is dead, cut off or stands still: that is what the experiment is about
            except ValueError as error:
                if not complained:
                    complained = True
                    self._say("operator-puzzled", place.node, f"{place.url}: {error}")
            else:
                self._saw(place, made or {}, empty_ns)
                if made is not None:
                    self._close(place, made)
                    empty_ns = empty_ns if made.get("pending") else asked_ns
            time.sleep(self._every_s)

    def _saw(self, place: _Place, made: Mapping[str, Any], since_ns: int) -> None:
        shown = made.get("pending")
        with self._lock:
            if not self._looked:
                self._looked = True
                self._say("operator-ready", place.node, "sees what is pending")
            if not shown or self._known(place, str(shown["id"])):
                return
            now = time.monotonic_ns()
            candidate = str(shown.get("candidate", ""))
            pending = _Pending(place, str(shown["id"]), candidate, now, since_ns)
            self._seen[pending.id] = pending
        say(
            {
                "event": "operator-saw",
                "t_ns": pending.seen_ns,
                "since_ns": pending.since_ns,
                "node": place.node,
                "id": pending.id,
                "candidate": pending.candidate,
                "primary": str(shown.get("primary", "")),
                "detail": str(shown.get("reason", ""))[:_TEXT_MAX],
                "known": made.get("known") or {},
            }
        )
        if self._decision:
            timer = threading.Timer(
                self._reaction_s, self._orders.put, [(pending.id, str(self._decision))]
            )
            timer.daemon = True
            timer.start()

    def _known(self, place: _Place, request_id: str) -> bool:
        """Whether it was seen before; one that was gone at its place is raised anew there."""
        seen = self._seen.get(request_id)
        return seen is not None and (seen.closed_ns is None or seen.place != place)

    def _close(self, place: _Place, made: Mapping[str, Any]) -> None:
        """What was first seen at ``place`` and is not shown there any more is over."""
        shown = str((made.get("pending") or {}).get("id", ""))
        with self._lock:
            gone = [p for p in self._seen.values() if p.closed_ns is None and p.place == place]
            gone = [pending for pending in gone if pending.id != shown]
            for pending in gone:
                pending.became = _became(made, pending.id)
                pending.closed_ns = time.monotonic_ns()
            undecided = [pending for pending in gone if not pending.decided]
        for pending in undecided:
            self._withdrawn(pending, "nobody had decided on it")

    def _withdrawn(self, pending: _Pending, why: str) -> None:
        say(
            {
                "event": "operator-withdrawn",
                "t_ns": pending.closed_ns,
                "node": pending.place.node,
                "id": pending.id,
                "detail": f"failover {pending.id} is not pending any more, and {why}",
            }
        )

    def _decide(self, request_id: str, decision: str) -> None:
        """Send it until somebody answers, or nothing is pending any more."""
        with self._lock:
            pending = self._seen[request_id]
            stood = pending.closed_ns is None
            pending.decided = True
        first_ns = sent_ns = time.monotonic_ns()
        while True:
            status = self._send(pending, decision, sent_ns)
            if 200 <= status < 300 or (status and sent_ns == first_ns):
                return
            time.sleep(_AGAIN_S)
            if status or pending.closed_ns is not None:
                break
            sent_ns = time.monotonic_ns()
        if stood:
            self._over(pending, decision, (first_ns, sent_ns), answered=status != 0)

    def _send(self, pending: _Pending, decision: str, sent_ns: int) -> int:
        """One try; the status of the answer, 0 where none came that is HTTP."""
        verb, candidate = self._asked(pending, decision)
        body = {"id": pending.id, "candidate": candidate}
        try:
            url = f"{pending.place.url}/{verb}"
            status, text = request("POST", url, body, _TIMEOUT_S, _ANSWER_S)
        except OSError as error:
            status, text = 0, f"no answer: {error}"
        say(
            {
                "event": f"operator-{decision}",
                "t_ns": sent_ns,
                "done_ns": time.monotonic_ns(),
                "node": pending.place.node,
                "id": pending.id,
                "status": status,
                "after_ns": sent_ns - pending.seen_ns,
                "detail": f"{verb} {candidate}: {_short(status, text)}",
            }
        )
        return status

    def _over(
        self, pending: _Pending, decision: str, tries_ns: tuple[int, int], *, answered: bool
    ) -> None:
        """A try was not answered: the system may say that it took it.

        ``tries_ns``: the first and the last. ``answered``: the last one was refused, maybe because
        an earlier one had been taken.
        """
        verb, candidate = self._asked(pending, decision)
        first_ns, sent_ns = tries_ns
        closed_ns = max(pending.closed_ns or sent_ns, sent_ns)
        if pending.became not in _TAKEN.get(decision, _APPROVED):
            if answered:
                return
            said = f"; the system says that it is {pending.became}" if pending.became else ""
            self._withdrawn(pending, f"no answer came to the decision{said}")
            return
        say(
            {
                "event": f"operator-{decision}",
                "t_ns": sent_ns,
                "since_ns": first_ns,
                "done_ns": closed_ns,
                "node": pending.place.node,
                "id": pending.id,
                "taken": pending.became,
                "after_ns": sent_ns - pending.seen_ns,
                "detail": f"{verb} {candidate}: accepted: an answer was lost, and the system says "
                f"that failover {pending.id} is {pending.became}",
            }
        )

    def _asked(self, pending: _Pending, decision: str) -> tuple[str, str]:
        """What is asked for, and for whom."""
        if decision == "wrong":
            others = (name for name in self._names if name != pending.candidate)
            return "approve", next(others, "nobody")
        return "reject" if decision == "reject" else "approve", pending.candidate

    @staticmethod
    def _say(event: str, node: str, detail: str) -> None:
        say({"event": event, "t_ns": time.monotonic_ns(), "node": node, "detail": detail})


def _short(status: int, text: str) -> str:
    """An answer in a line: its sentence where it is an object with one, else its text."""
    try:
        made = json.loads(text)
        said = next((made[k] for k in ("accepted", "error", "message") if k in made), text)
    except (ValueError, TypeError):
        said = text
    word = "accepted" if 200 <= status < 300 else f"refused ({status})" if status else "failed"
    return f"{word}: {' '.join(str(said).split())[:_TEXT_MAX]}"


def _switch(config: Mapping[str, Any]) -> None:
    """One switchover; said when it was answered."""
    node, url = str(config["node"]), str(config["switchover"])
    body = {name: str(config[name]) for name in ("leader", "candidate") if config.get(name)}
    sent_ns = time.monotonic_ns()
    try:
        status, text = request("POST", url, body, _ANSWER_S)
    except OSError as error:
        status, text = 0, f"no answer: {error}"
    say(
        {
            "event": "operator-switchover",
            "t_ns": sent_ns,
            "done_ns": time.monotonic_ns(),
            "node": node,
            "status": status,
            "detail": f"switchover to {body.get('candidate', 'anybody')}: {_short(status, text)}",
        }
    )


def main() -> None:
    """Serve until standard input closes."""
    try:
        config = read_line()
        if not isinstance(config, dict):
            fail("the configuration of the operator is not an object")
        if "watch" in config:
            desk = _Desk(config)
            listen(desk.heard)
            desk.run()
    except (KeyError, TypeError, ValueError) as error:
        fail(f"the configuration of the operator is wrong: {error!r}")
    ended = threading.Event()

    def heard(message: Mapping[str, object]) -> None:
        if message.get("do") == "go":
            threading.Thread(target=_switch, args=(config,), daemon=True).start()

    listen(heard)
    say({"event": "ready", "t_ns": time.monotonic_ns(), "node": "", "detail": ""})
    ended.wait()


if __name__ == "__main__":
    main()
