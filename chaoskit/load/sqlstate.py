"""What an error of PostgreSQL proves, by its SQLSTATE. No library is needed to read this table.

A client sends one statement, which is a transaction of its own, and waits. An answer of severity
``ERROR`` whose code is in :data:`DEFINITE` or whose class is in :data:`DEFINITE_CLASSES` says that
the transaction was rolled back. Everything else is ambiguous, and in particular

* ``FATAL`` and ``PANIC`` after the statement was sent, whatever the code: the session ended, or the
  server did, at a moment that nobody knows. A full disk is an ERROR while rows are written and a
  PANIC while the commit is;
* ``57014`` and ``57P01``: a statement that waits for a synchronous standby has already committed
  locally. Cancelled then, it is even *acknowledged*, along with a warning: see
  :func:`is_doubtful`;
* the class ``08`` and ``40003``, which say themselves that nobody knows.

Before the statement is sent (while the session is being opened) nothing can have been executed, and
no code is looked at. The codes are those of appendix A of PostgreSQL's manual.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = [
    "DEFINITE",
    "DEFINITE_CLASSES",
    "MOVE_ON",
    "is_definite",
    "is_doubtful",
    "phrase_of",
]

DEFINITE: Mapping[str, str] = {
    "25006": "read-only transaction: the server is a standby or was made read-only",
    "40001": "serialization failure",
    "40P01": "deadlock detected",
    "53100": "disk full",
    "53200": "out of memory",
    "53300": "too many connections",
    "55P03": "lock not available",
    "57P03": "cannot connect now: starting up, shutting down or recovering",
}
"""Codes that prove, as an ERROR, that the transaction was rolled back; and what they mean."""

DEFINITE_CLASSES: Mapping[str, str] = {
    "0A": "feature not supported",
    "22": "data exception",
    "23": "integrity constraint violation",
    "28": "invalid authorization",
    "3D": "no such database",
    "3F": "no such schema",
    "42": "syntax error, undefined object or insufficient privilege",
}
"""Classes (the first two characters) of which every code proves it."""

MOVE_ON = frozenset({"25006", "57P03", "53300"})
"""Refusals that leave room to ask another server within the same operation."""

_CUT_SHORT = frozenset({"57014", "57P01"})
_WAIT = "SyncRepWaitForLSN"
_ERROR = "ERROR"
_WARNING = "WARNING"
_ADDRESS = re.compile(r'"?\b\d{1,3}(?:\.\d{1,3}){3}\b"?(?:, port \d+)?')
_SPOKEN = re.compile(r"\b(?:FATAL|PANIC|ERROR):\s+(.+)")
_LONGEST = 80
_PHRASES = {
    "connection refused": "connection refused",
    "no route to host": "no route to host",
    "network is unreachable": "network unreachable",
    "connection reset": "connection reset",
    "connection timed out": "connection timed out in the kernel",
    "server closed the connection": "closed without an answer",
    "ssl connection has been closed": "closed without an answer",
}


def is_definite(severity: str, code: str) -> bool:
    """Whether an answer after the statement was sent proves that nothing of it remains.

    ``severity`` as the protocol's field V has it, which is never translated; servers before 9.6
    do not send it, and pass as if nothing were known.
    """
    return severity == _ERROR and (code in DEFINITE or code[:2] in DEFINITE_CLASSES)


def is_doubtful(severity: str, code: str, source: str) -> bool:
    """Whether a message that came along with an acknowledgement takes it back.

    That is so where the wait for a synchronous standby was cut short: what was committed is on
    this server alone. A cancelled wait warns without a code of its own (01000) and with a text in
    the server's language; what tells it from other warnings is the function it comes from, which
    the protocol's field R names; where somebody on the way left it out, the code has to do.
    ``severity`` as for :func:`is_definite`. What a server that shuts down says of itself right
    behind an acknowledgement (FATAL or, at once, WARNING 57P01) leaves it standing.
    """
    return source == _WAIT or (not source and severity == _WARNING and code in _CUT_SHORT)


def phrase_of(message: str) -> str:
    """A message of libpq about a connection as a phrase that is the same for the same cause."""
    low = message.lower()
    for words, phrase in _PHRASES.items():
        if words in low:
            return phrase
    spoken = _SPOKEN.search(message)
    text = spoken[1] if spoken else (message.strip().splitlines() or ["no answer"])[0]
    return f"postgres: {_ADDRESS.sub('an address', text)}"[:_LONGEST].strip()
