"""Plugged-in code may break: the run says whose, which and where, and goes on healing."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaoskit.errors import ChaoskitError

__all__ = ["blaming"]


@contextmanager
def blaming(who: str, kind: type[ChaoskitError]) -> Iterator[None]:
    """Turn what nobody expected of ``who`` into a ``kind`` with one sentence and its place."""
    try:
        yield
    except ChaoskitError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        where = f", in {Path(frames[-1].filename).name}:{frames[-1].lineno}"
        raise kind(f"{who} broke: {type(error).__name__}: {error}{where}") from error
