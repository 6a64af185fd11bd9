"""How sentences to people are worded: quoting, lists, and "did you mean".

What a person typed may hold anything. It is shown short, on one line, and with nothing in it that
could move a terminal's cursor or reverse its text.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

__all__ = ["did_you_mean", "listed", "plain", "quoted"]

_LONGEST = 60


def plain(text: str) -> str:
    """``text`` with control, format and line-separating characters shown by their numbers."""
    return "".join(
        character if unicodedata.category(character) not in _HIDDEN else f"\\u{ord(character):04x}"
        for character in text
    )


_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def quoted(text: object) -> str:
    """``text`` in single quotes, cut to a length that fits into a sentence."""
    shown = str(text)
    if len(shown) > _LONGEST:
        shown = shown[: _LONGEST - 1] + "…"
    return f"'{plain(shown)}'"


def listed(names: Iterable[str], last: str = "or") -> str:
    """``a, b or c``."""
    known = [plain(name) for name in names]
    if len(known) < 2:
        return "".join(known)
    return f"{', '.join(known[:-1])} {last} {known[-1]}"


def did_you_mean(word: str, known: Iterable[str], *, show: int = 12) -> str:
    """``; did you mean 'rate'?``, else what there is if that is few, else nothing.

    Meant to follow a sentence without its full stop.
    """
    names = sorted(set(known))
    folded = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower()[:200], folded, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{plain(folded[close[0]])}'?"
    if names and len(names) <= show:
        return f"; known: {', '.join(plain(name) for name in names)}"
    return ""
