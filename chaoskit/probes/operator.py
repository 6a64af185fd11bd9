"""An operator inside the lab: watches for pending failovers, decides on them, switches over.

``python -m chaoskit.probes.operator``; the first line of input is the configuration. Standard
library only. Either ``{"watch": [{"node", "url"}], "every_s", "reaction_s", "decision",
"names"}``: every place is asked again and again, and ``decision`` ("approve", "reject", "wrong":
approve, but another of ``names``) is sent ``reaction_s`` after a failover was first seen pending;
without a decision it waits for ``{"do": "decide", "id", "decision"}``. A request that nobody had
decided on, and that is gone where it was first seen, is said to be withdrawn. Or ``{"switchover":
url, "node", "candidate", "leader"}``: one request. What is seen and done is said, one line
each, with CLOCK_MONOTONIC; how a system is asked stands in ``docs/stacks.md``.
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
_SWITCH_TIMEOUT_S = 10.0
_ANSWER_MAX = 64 << 10
_TEXT_MAX = 300


def request(
    method: str, url: str, body: Mapping[str, str] | None, timeout_s: float
) -> tuple[int, str]:
    """Status and text of one request. Raises ``OSError`` without an answer that is HTTP."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout_s)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        data = None if body is None else json.dumps(body).encode()
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


@dataclass(frozen=True)
class _Pending:
    """A failover that waits, as one place showed it."""

    place: _Place
    id: str
    candidate: str
    seen_ns: int
    since_ns: int  # the last look at that place that did not show it began then


def _pending(place: _Place, text: str, since_ns: int) -> tuple[_Pending, dict[str, Any]] | None:
    """What an answer says to be pending; None if nothing. Raises ``ValueError``."""
    made = json.loads(text)
    if not isinstance(made, dict):
        raise ValueError("not an object")  # noqa: TRY004 - it is data, not a type
    found = made.get("pending")
    if not found:
        return None
    if not isinstance(found, dict) or not found.get("id"):
        raise ValueError("'pending' has no id")
    now = time.monotonic_ns()
    return _Pending(place, str(found["id"]), str(found.get("candidate", "")), now, since_ns), made


class _Desk:
    """One thread a place looks; this one decides."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._places = [_Place(str(p["node"]), str(p["url"])) for p in config["watch"]]
        self._every_s = float(config.get("every_s", 0.02))
        self._reaction_s = float(config.get("reaction_s") or 0.0)
        self._decision = config.get("decision")
        self._names: Sequence[str] = [str(n) for n in config.get("names", [])]
        self._seen: dict[str, _Pending] = {}
        self._open: dict[str, bool] = {}  # id of what is pending now → whether it was decided on
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
                answered = 200 <= status < 300
                found = _pending(place, text, empty_ns) if answered else None
            except OSError:
                pass  # it is dead, cut off or stands still: that is what the experiment is about
            except ValueError as error:
                if not complained:
                    complained = True
                    self._say("operator-puzzled", place.node, f"{place.url}: {error}")
            else:
                self._saw(place, found)
                if answered:
                    self._close(place, found[0].id if found else "")
                    empty_ns = empty_ns if found else asked_ns
            time.sleep(self._every_s)

    def _saw(self, place: _Place, found: tuple[_Pending, dict[str, Any]] | None) -> None:
        with self._lock:
            if not self._looked:
                self._looked = True
                self._say("operator-ready", place.node, "sees what is pending")
            if found is None or self._known(place, found[0].id):
                return
            pending, made = found
            self._seen[pending.id] = pending
            self._open[pending.id] = False
        shown = made["pending"]
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
        return seen is not None and (request_id in self._open or seen.place != place)

    def _close(self, place: _Place, shown: str) -> None:
        """What was first seen at ``place`` and is not shown there any more is over."""
        with self._lock:
            gone = [i for i in self._open if i != shown and self._seen[i].place == place]
            undecided = [i for i in gone if not self._open.pop(i)]
        for request_id in undecided:
            say(
                {
                    "event": "operator-withdrawn",
                    "t_ns": time.monotonic_ns(),
                    "node": place.node,
                    "id": request_id,
                    "detail": f"failover {request_id} is not pending any more, and nobody had "
                    "decided on it",
                }
            )

    def _decide(self, request_id: str, decision: str) -> None:
        pending = self._seen[request_id]
        with self._lock:
            if request_id in self._open:
                self._open[request_id] = True
        candidate = pending.candidate
        if decision == "wrong":
            candidate = next((n for n in self._names if n != pending.candidate), "nobody")
        verb = "reject" if decision == "reject" else "approve"
        body = {"id": request_id, "candidate": candidate}
        sent_ns = time.monotonic_ns()
        try:
            status, text = request("POST", f"{pending.place.url}/{verb}", body, _TIMEOUT_S)
        except OSError as error:
            status, text = 0, f"no answer: {error}"
        say(
            {
                "event": f"operator-{decision}",
                "t_ns": sent_ns,
                "done_ns": time.monotonic_ns(),
                "node": pending.place.node,
                "id": request_id,
                "status": status,
                "after_ns": sent_ns - pending.seen_ns,
                "detail": f"{verb} {candidate}: {_short(status, text)}",
            }
        )

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
        status, text = request("POST", url, body, _SWITCH_TIMEOUT_S)
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
