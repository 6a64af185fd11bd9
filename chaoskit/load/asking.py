"""``python -m chaoskit.load.asking``: which options a load knows, asked before anything starts.

A process of its own, because importing Locust patches the one that does it. One JSON object comes
in on standard input, ``user`` and ``options``, one goes out: ``known``, the names of its options;
``wrong``, what the load's own check says of these; or ``error``, why the load cannot be asked.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()  # as in the load itself: before anything imports ssl or threading

# ruff: noqa: E402 - the patching has to come first

import json
import os
import sys
from collections.abc import Mapping

from chaoskit.errors import BadInput

__all__ = ["main"]


def _asked(user: str, options: Mapping[str, object]) -> dict[str, object]:
    from chaoskit.load.session import find_user

    try:
        found = find_user(user, options)
    except BadInput as error:
        return {"error": str(error)}
    rest = {name: value for name, value in options.items() if name != "locustfile"}
    known = {name: value for name, value in rest.items() if name in found.option_names}
    wrong = None
    try:
        found.check_options(known)
    except BadInput as error:
        wrong = str(error)
    return {"known": sorted(found.option_names), "wrong": wrong}


def main() -> None:
    """Answer one question. What a load prints while it is imported goes to standard error."""
    out = os.dup(1)
    os.dup2(2, 1)
    question = json.loads(sys.stdin.buffer.read())
    answer = json.dumps(_asked(question["user"], question["options"]))
    os.write(out, answer.encode() + b"\n")
    os.close(out)


if __name__ == "__main__":
    main()
