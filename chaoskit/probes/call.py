"""Sends HTTP requests on request: what a fault does to a node through its own interface.

``python -m chaoskit.probes.call``. Input, one line each: ``{"id": 1, "address": "198.18.0.2",
"port": 8080, "method": "POST", "path": "/x", "body": "", "headers": {}, "timeout_s": 5}``. Output:
``{"id": 1, "status": 200, "body": "the last of it", "sent_ns": ..., "done_ns": ...}``, or
``{"id": 1, "error": ...}``. One after another; it ends when its input does.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from chaoskit.probes.lines import say

__all__ = ["call", "main"]

_KEPT = 4096  # bytes of the answer: the last ones of what is read
_MOST = 1 << 20  # bytes that are read at all


def call(asked: Mapping[str, Any]) -> dict[str, object]:
    """Send one request; the answer, or what went wrong in words."""
    sent_ns = time.monotonic_ns()
    timeout_s = float(asked["timeout_s"])
    link = http.client.HTTPConnection(asked["address"], int(asked["port"]), timeout=timeout_s)
    try:
        body = str(asked["body"]).encode()
        link.request(asked["method"], asked["path"], body or None, dict(asked["headers"]))
        answer = link.getresponse()
        text = answer.read(_MOST)[-_KEPT:].decode(errors="replace")
        return {
            "status": answer.status,
            "body": text,
            "sent_ns": sent_ns,
            "done_ns": time.monotonic_ns(),
        }
    except TimeoutError:
        return {"error": f"no answer within {timeout_s:g} s"}
    except http.client.HTTPException as error:
        return {"error": f"not an HTTP answer: {type(error).__name__}"}
    except OSError as error:
        return {"error": error.strerror or str(error)}
    finally:
        link.close()


def main() -> None:
    """Serve until standard input closes."""
    for line in sys.stdin:
        asked: dict[str, Any] = {}
        try:
            asked = json.loads(line)
            answer = call(asked)
        except (KeyError, TypeError, ValueError) as error:
            answer = {"error": f"bad request: {error}"}
        say({"id": asked.get("id"), **answer})


if __name__ == "__main__":
    main()
