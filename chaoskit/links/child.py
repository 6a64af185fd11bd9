"""Speaks with a Toxiproxy from inside the lab: ``python -m chaoskit.links.child PORT``.

It runs in the network namespace of the server, whose API listens there on loopback only. Input,
one line each: ``{"id": 1, "do": "add", "proxy": "db", "name": "...", "toxic": {...}}``; ``do`` is
``links``, ``create``, ``add``, ``has``, ``remove``, ``switch`` or ``enabled``. Output:
``{"id": 1, "ok": ...}`` or ``{"id": 1, "error": "one sentence"}``.

``python -m chaoskit.links.child PORT undo PROXY NAME`` removes one toxic (switches the proxy on,
for the name ``down``), prints one line and ends: the undo of a harness that has died.
"""

from __future__ import annotations

import json
import queue
import sys
from collections.abc import Mapping
from typing import Any

from chaoskit.errors import LabError
from chaoskit.links.api import Server
from chaoskit.links.wire import toxic_of
from chaoskit.probes.lines import listen, say
from chaoskit.toxics import DOWN

__all__ = ["answer", "main"]


def answer(  # noqa: PLR0911 - one for each order
    server: Server, ask: Mapping[str, Any]
) -> object:
    """Do what one line asks. Raises ``LabError``."""
    match ask["do"]:
        case "links":
            server.version()
            return {
                name: {"listen": p.listen, "upstream": p.upstream, "enabled": p.enabled}
                for name, p in server.proxies().items()
            }
        case "create":
            server.create(ask["proxy"], ask["listen"], ask["upstream"])
            return True
        case "add":
            server.add(ask["proxy"], ask["name"], toxic_of(ask["toxic"]))
            return True
        case "has":
            return server.has(ask["proxy"], ask["name"], toxic_of(ask["toxic"]))
        case "remove":
            return server.remove(ask["proxy"], ask["name"])
        case "switch":
            return server.switch(ask["proxy"], on=bool(ask["on"]))
        case "enabled":
            return server.proxy(ask["proxy"]).enabled
        case other:
            raise LabError(f"cannot do {other!r}")


def _undo(server: Server, proxy: str, name: str) -> int:
    try:
        done = server.switch(proxy, on=True) if name == DOWN else server.remove(proxy, name)
    except LabError as error:
        print(json.dumps({"error": str(error)}))  # noqa: T201 - the one line that is read
        return 1
    print(json.dumps({"ok": done}))  # noqa: T201 - likewise
    return 0


def main(argv: list[str]) -> int:
    """Serve until standard input closes, or undo one thing."""
    server = Server("127.0.0.1", int(argv[0]))
    if argv[1:2] == ["undo"]:
        return _undo(server, argv[2], argv[3])
    asked: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    listen(asked.put)
    say({"event": "ready"})
    while True:
        ask = asked.get()
        try:
            say({"id": ask.get("id"), "ok": answer(server, ask)})
        except LabError as error:
            say({"id": ask.get("id"), "error": str(error)})
        except (KeyError, TypeError, ValueError) as error:
            say({"id": ask.get("id"), "error": f"bad request: {error}"})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
