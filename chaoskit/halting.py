"""The lever that stops every run of this user on this machine, and keeps new ones from starting.

A file: ``$XDG_STATE_HOME/chaoskit/HALT``. Anything may create it (``chaoskit halt``, ``touch``, a
monitoring hook); every run looks for it ten times a second and heals when it is there. What it
holds is the reason, for people.
"""

from __future__ import annotations

import os
from pathlib import Path

from chaoskit.clock import now_ns
from chaoskit.errors import ChaoskitError, Halted, Refused
from chaoskit.lab.private import state_roots
from chaoskit.wording import plain

__all__ = ["Lever", "halt_file", "halted", "lift", "pull", "refuse_if_halted"]

_LOOK_EVERY_NS = 100_000_000


def halt_file() -> Path:
    """Where ``pull`` puts the lever."""
    return state_roots()[0] / "HALT"


def halted() -> str | None:
    """Why everything is halted; None if nothing is. A file that cannot be read halts as well.

    The file counts in every folder that may hold runs of this user, where the folder is his own.
    """
    for root in state_roots():
        path = root / "HALT"
        try:
            if not os.path.lexists(path) or root.stat().st_uid != os.geteuid():
                continue
            text = path.read_bytes()[:500].decode(errors="replace")
        except OSError as error:
            return f"{path} is there and cannot be read: {error.strerror}"
        return plain(" ".join(text.split())) or f"{path} is there"
    return None


def pull(reason: str) -> None:
    """Halt everything. Raises ``ChaoskitError`` where the file cannot be written."""
    path = halt_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(reason + "\n", encoding="utf-8")
    except OSError as error:
        raise ChaoskitError(f"cannot write {path}: {error.strerror}; create it by hand") from error


def lift() -> bool:
    """Let runs start again; whether there was anything to lift. Raises ``ChaoskitError``."""
    found = False
    for path in (root / "HALT" for root in state_roots()):
        try:
            path.unlink()
            found = True
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise ChaoskitError(f"cannot remove {path}: {error.strerror}") from error
    return found


def refuse_if_halted() -> None:
    """Raises ``Refused`` while everything is halted: nothing new is started."""
    reason = halted()
    if reason is not None:
        raise Refused(f"everything is halted: {reason}. Lift it with: chaoskit halt --lift")


class Lever:
    """Looks for the file ten times a second, for a run that asks more often."""

    def __init__(self) -> None:
        self._next_ns = 0

    def check(self) -> None:
        """Raise ``Halted`` if the lever was pulled; costs nothing between two looks."""
        now = now_ns()
        if now < self._next_ns:
            return
        self._next_ns = now + _LOOK_EVERY_NS
        reason = halted()
        if reason is not None:
            raise Halted(reason)
