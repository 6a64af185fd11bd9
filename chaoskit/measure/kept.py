"""What was found in a view, kept as long as the view: several measurements ask for the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar, cast

from chaoskit.measure.view import View

__all__ = ["found_once"]

_Found = TypeVar("_Found")


def found_once(measure: Callable[[View], _Found]) -> Callable[[View], _Found]:
    """``measure``, which looks at each view once. For small findings: they live with the view.

    Kept where ``cached_property`` keeps: among the view's own attributes.
    """
    name = f"{measure.__module__}.{measure.__qualname__}"

    @wraps(measure)
    def kept(view: View) -> _Found:
        known = vars(view)
        if name not in known:
            known[name] = measure(view)
        return cast("_Found", known[name])

    return kept
